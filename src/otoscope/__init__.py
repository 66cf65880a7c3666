"""Hear what an audio classifier listens to."""

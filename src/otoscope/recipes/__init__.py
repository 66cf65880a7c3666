"""Recipes: YAML files on top of one another, their settings checked, and the folders of runs."""

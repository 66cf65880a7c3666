"""The nouns as frozen records, errors, the registry, optional packages, seeds, devices, safe files.

Imports nothing of the other rooms. Axes and units are those of `records`.
"""

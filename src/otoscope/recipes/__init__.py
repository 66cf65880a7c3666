"""Recipes. YAML files on top of one another, checked by pydantic models, and the folders of the runs they describe.

`schema` holds the base of all recipes, `find` the recipes of the package by name, `read` the reader, `runs` the folder of a
run. Imports only `otoscope.core`.
"""

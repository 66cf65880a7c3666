"""Pieces of the cards of trained models."""

from __future__ import annotations

from otoscope.datasets import Dataset
from otoscope.training import Recipe
from otoscope.training.card import about_data, about_training, fill, percent


def test_paragraphs_are_filled_and_headings_and_tables_stay():
    text = fill(["# Head", "word " * 40, "| a | b |\n|---|---|"])
    assert text.startswith("# Head\n\nword")
    assert text.endswith("\n\n| a | b |\n|---|---|\n")
    assert max(map(len, text.splitlines())) <= 120


def test_data_and_training_are_told():
    recipe = Recipe(
        seed=7, data={"test": [1, 2]}, optimiser={"epochs": 3, "batch_size": 8, "lr": 0.01, "name": "adamw"}
    )
    assert about_data(Dataset("toy", ("a",), (), ""), recipe) == (
        "toy (no reference); test folds: 1, 2. Licence of the data: not recorded. The clips are not in this folder."
    )
    assert about_training(recipe, {"train_s": 90}, "up to ") == (
        "`otoscope train` with the recipe of this name, seed 7: up to 3 epochs of batches of 8, adamw, learning rate 0.01, "
        "1.5 minutes"
    )


def test_intervals_are_in_percent():
    assert percent((0.5, 0.755)) == "95 % interval 50.0 to 75.5"

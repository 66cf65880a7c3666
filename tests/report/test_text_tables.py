"""The writer of Markdown tables."""

from otoscope.report.text_tables import markdown_table


def test_a_table_with_bars_and_numbers():
    assert markdown_table(["a|b", "n"], [["x|y", 1], ["", 2.5]]).splitlines() == [
        "| a\\|b | n |",
        "| --- | --- |",
        "| x\\|y | 1 |",
        "|  | 2.5 |",
    ]


def test_columns_are_aligned():
    rule = markdown_table(["a", "b", "c"], [], align=["left", "right", "center"]).splitlines()[1]
    assert rule == "| --- | ---: | :---: |"

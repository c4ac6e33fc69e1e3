"""Tables: as Markdown, as text, and what they refuse."""

import pytest
from markdown_it import MarkdownIt

from lowdim.tables import Table

SMALL = Table(["n", "rate $a$", "x"], [["one", "0.5", "1"], ["two", "12.25", "-1"]])


def test_the_markdown_is_a_table_of_all_texts():
    """Read back by a Markdown parser: one cell for each text, in order, none lost."""
    tokens = MarkdownIt("commonmark").enable("table").parse(SMALL._repr_markdown_())
    cells = [token.content for token in tokens if token.type == "inline"]
    assert cells == [*SMALL.head, *SMALL.rows[0], *SMALL.rows[1]]
    assert sum(token.type == "th_open" for token in tokens) == 3
    assert tokens[0].type == "table_open"


def test_the_text_keeps_columns_aligned():
    assert repr(SMALL).split("\n") == ["n    rate $a$   x", "one       0.5   1",
                                       "two     12.25  -1"]


def test_numbers_have_four_decimals():
    made = Table.of(["n", "x"], ["one", "two"], [[1 / 3], [2]])
    assert made.rows == [["one", "0.3333"], ["two", "2.0000"]]
    with pytest.raises(ValueError):
        Table.of(["n", "x"], ["one"], [[1], [2]])


@pytest.mark.parametrize("table", [
    Table(["n", "x"], [["one"]]), Table(["n"], [["one", "two"]]), Table([], []),
    Table(["|B|"], [["one"]]), Table(["n"], [["one\ntwo"]])])
def test_what_is_no_table_is_refused(table):
    for show in (repr, Table._repr_markdown_):
        with pytest.raises(ValueError, match="rows"):
            show(table)

"""Tables of a chapter: Markdown on its page and in JupyterLab, aligned text in a terminal."""

from collections.abc import Iterable
from typing import NamedTuple


class Table(NamedTuple):
    """A head and rows of equally many texts; the first column reads left, the others right.

    Displayed as Markdown, in which a head may hold formulas. Raises ValueError, when it is shown,
    for rows of another length than the head, and for a text with a bar or a line break.

    >>> Table(["n", "rate"], [["one", "0.5"]])
    n    rate
    one   0.5
    """

    head: list[str]
    rows: list[list[str]]

    @classmethod
    def of(cls, head: Iterable[str], names: Iterable[str],
           numbers: Iterable[Iterable[float]]) -> "Table":
        """A row for each name, with its numbers to 4 decimals.

        Raises ValueError unless there are as many names as rows of numbers.
        """
        return cls([*head], [[name, *(f"{float(number):.4f}" for number in row)]
                             for name, row in zip(names, numbers, strict=True)])

    def _repr_markdown_(self) -> str:
        rule = [":--", *["--:"] * (len(self.head) - 1)]
        lines = [self.head, rule, *self._checked()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def __repr__(self) -> str:
        lines = [self.head, *self._checked()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join([line[0].ljust(widths[0]),
                                    *map(str.rjust, line[1:], widths[1:])]).rstrip()
                         for line in lines)

    def _checked(self) -> list[list[str]]:
        for line in [self.head, *self.rows]:
            if len(line) != len(self.head) or not line:
                raise ValueError(f"rows must hold {len(self.head)} texts like head, at least one, "
                                 f"got {line}")
            if any("|" in text or "\n" in text for text in line):
                raise ValueError(f"rows and head must hold no bar and no line break, got {line}")
        return self.rows

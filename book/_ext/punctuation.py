"""Keep a short formula and the mark that follows it on one line.

A browser may break between an inline formula and text, so that a full stop opens the next line.
Long formulas stay free to break, for narrow screens.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

MARKS = re.compile(r"[.,;:!?)’”-][^\s]*")
LONGEST = 24  # characters of TeX


def bind(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for formula in list(doctree.findall(nodes.math)):
        text = formula.next_node(descend=False, siblings=True)
        mark = isinstance(text, nodes.Text) and MARKS.match(text.astext())
        if mark and len(formula.astext()) <= LONGEST and len(mark[0]) <= LONGEST:
            # By identity: Node.replace looks for an equal node, and two commas are equal.
            at = next(i for i, node in enumerate(formula.parent) if node is formula)
            formula.parent[at + 1] = nodes.Text(text.astext()[mark.end():])
            formula.parent[at] = nodes.inline("", "", formula.deepcopy(), nodes.Text(mark[0]),
                                              classes=["one-line"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", bind)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Mend what axe-core reports in the elements that Sphinx and its directives write.

What it reports in the theme's own frame is mended in `book/_templates`, colours in
`book/_static/book.css`.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx_proof.nodes import proof_node

# sphinx-proof and sphinx-exercise give every box on a page the same id.
REPEATED_IDS = {"proof", "proof-content", "exercise-content", "solution-content"}


def drop_empty_heads(doctree: nodes.document) -> None:
    """Markdown has no table without a header row; an empty one is announced, but says nothing."""
    for head in list(doctree.findall(nodes.thead)):
        if not head.astext().strip():
            head.parent.remove(head)


def mark_proofs(doctree: nodes.document) -> None:
    """Give proofs a class of their own: claims have the class `proof` as well.

    The opening "Proof. " is part of the text; here it becomes an element that can be styled.
    """
    for proof in doctree.findall(proof_node):
        box = proof[0]
        box["classes"].append("proof-text")
        for opening in list(box.findall(nodes.Text))[:1]:
            rest = opening.astext().removeprefix("Proof. ")
            if rest != opening.astext():
                parts = [nodes.emphasis("", "Proof."), nodes.Text(f" {rest}")]
                opening.parent.replace(opening, parts)


def drop_repeated_ids(doctree: nodes.document) -> None:
    for box in doctree.findall(lambda node: isinstance(node, nodes.section | nodes.admonition)):
        box["ids"] = [name for name in box["ids"] if name not in REPEATED_IDS]


def mend(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    drop_empty_heads(doctree)
    mark_proofs(doctree)
    drop_repeated_ids(doctree)


def mend_html(app: Sphinx, pagename, templatename, context, doctree) -> None:
    if doctree:
        # The role is deprecated, and a list must have list items.
        body = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
        # A label of its own would hide the words "Show code cell source" from a screen reader.
        body = body.replace(' aria-label="Toggle hidden content"', "")
        # The underline of the link began under the space before it.
        context["body"] = re.sub("(Solution to)(<a [^>]*>) ", r"\1 \2", body)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", mend)
    app.connect("html-page-context", mend_html)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

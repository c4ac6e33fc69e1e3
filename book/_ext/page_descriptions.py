r"""Give each page a description of its own, in plain words.

Search engines and link previews show it. The automatic one is the beginning of the page, with
raw TeX and the table of reading times in it. A chapter says what it is about in the paragraph
that begins with **In short.**: that, with its formulas as plain characters, is the description.
"""

import re
from html import escape
from html.entities import html5
from unicodedata import normalize

from docutils import nodes
from sphinx.application import Sphinx

OPENING = "In short."
LENGTH = 300  # what link previews show at most

FORMATTING = r"\\(mathrm|mathbb|mathbf|mathcal|operatorname|text|left|right|quad|[bB]ig)\b\*?"
ACCENTS = {"hat": "\u0302", "bar": "\u0304", "tilde": "\u0303", "dot": "\u0307"}
# Where TeX and HTML have other names for a character, or the same name for another character.
NAMES = {"lVert": "‖", "rVert": "‖", "lvert": "|", "rvert": "|", "cdot": "·", "to": "→",
         "sqrt": "√"}
NAMES |= dict.fromkeys(["dots", "ldots", "cdots"], "…")


def plain(tex: str) -> str:
    r"""TeX as characters: `h_j^* \ge \alpha` becomes `h_j^* ≥ α`."""
    part = r"\s*(\w|\{[^{}]*\})"
    tex = re.sub(FORMATTING, "", tex).replace(r"\|", "‖")
    tex = re.sub(r"\\[,;:>!]", " ", tex)  # thin and thick spaces
    tex = re.sub(rf"\\[dt]?frac{part}{part}", r"\1/\2", tex)
    tex = re.sub(rf"\\({'|'.join(ACCENTS)})\b{part}", lambda m: m[2] + ACCENTS[m[1]], tex)
    tex = re.sub(r"\\([A-Za-z]+)", lambda m: NAMES.get(m[1]) or html5.get(m[1] + ";", m[1]), tex)
    tex = re.sub(r"(?<!\\)[{}]", "", tex)
    return " ".join(normalize("NFC", re.sub(r"\\(\W)", r"\1", tex)).split())


def shorten(text: str, length: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= length else text[:length].rsplit(" ", 1)[0] + " …"


def words(node: nodes.Element) -> str:
    """The text of a paragraph or a title, its formulas as plain characters."""
    return "".join(
        plain(leaf.astext()) if isinstance(leaf.parent, nodes.math | nodes.math_block)
        else leaf.astext()
        for leaf in node.findall(nodes.Text)
    )


def describe(doctree: nodes.document) -> str:
    """The paragraph that begins with "In short.", else the first one of the page."""
    texts = [words(paragraph) for paragraph in doctree.findall(nodes.paragraph)]
    texts = [text for text in texts if text.startswith(OPENING)] or texts[:1]
    return shorten(texts[0].removeprefix(OPENING), LENGTH) if texts else ""


def add_description(app: Sphinx, pagename, templatename, context, doctree) -> None:
    description = describe(doctree) if doctree else ""
    if description:
        context["metatags"] += f'<meta name="description" content="{escape(description)}" />\n'
        # sphinxext.opengraph takes fields of the page over what it finds itself.
        fields = {"og:description": escape(description)}
        context["meta"] = (context.get("meta") or {}) | fields


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_description, priority=400)  # before opengraph's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}

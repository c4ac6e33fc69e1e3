"""A search whose hits are places: sections, claims, exercises, figures and words of the glossary.

Sphinx finds pages, and leads to their top. Here every place is an entry with its number and title,
its text and its code; the file _static/entries.js holds them all, with formulas as plain
characters. It is a script, since a page opened as a file may not fetch anything. The search page
(book/_static/search.js) ranks the entries with MiniSearch.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from page_descriptions import words
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

FIRST_SENTENCE = re.compile(r".*?[.?!](?= |$)", re.DOTALL)


class Place:
    """A part of a page that has an anchor, with what it says outside the places within it."""

    def __init__(self, title: str, anchor: str) -> None:
        self.title, self.anchor = title, anchor
        self.text: list[str] = []
        self.code: list[str] = []

    def entry(self, docname: str, page: str) -> dict[str, str]:
        text, code = " ".join(" ".join(self.text).split()), "\n".join(self.code)
        return {"title": self.title, "text": text, "code": code, "page": page,
                "address": f"{docname}.html", "anchor": self.anchor}


def places(env: BuildEnvironment, docname: str, doctree: nodes.document) -> list[Place]:
    found: list[Place] = []

    def read(node: nodes.Element, inside: Place) -> None:
        for part in parts(node):
            title = name(env, docname, part)
            if title:
                found.append(Place(title, anchor(part)))
                read(part, found[-1])
            elif isinstance(part, nodes.literal_block):
                inside.code.append(part.astext())
            elif not isinstance(part, nodes.TextElement):
                read(part, inside)
            elif not (isinstance(part, nodes.title | nodes.term) and name(env, docname, node)):
                inside.text.append(words(part))

    read(doctree, Place("", ""))
    return found


def parts(node: nodes.Element) -> Iterator[nodes.Element]:
    """The children of a node without raw HTML, numbers of references, and what the ledger repeats;
    of outputs, the figures."""
    for child in node.children:
        if isinstance(child, nodes.Element) and not isinstance(child, nodes.raw | nodes.label):
            if "cell_output" in child["classes"]:
                yield from child.findall(nodes.figure)
            elif "ledger" not in child["classes"]:
                yield child


def anchor(node: nodes.Element) -> str:
    ids = node["ids"] or [name for term in node.findall(nodes.term) for name in term["ids"]]
    return ids[0] if ids else ""


def name(env: BuildEnvironment, docname: str, node: nodes.Element) -> str:
    """What the place is called, with its number; "" if the node is no place."""
    numbers = env.toc_fignumbers.get(docname, {})

    def numbered(kind: str, counter: str, title: str) -> str:
        number = ".".join(map(str, numbers.get(counter, {}).get(anchor(node), ())))
        return f"{kind} {number}".strip() + (f": {title}" if title else "")

    if "realtype" in node and node["ids"] and "label" in node:
        return numbered(node["realtype"].capitalize(), node["countertype"],
                        node["title"].strip().removeprefix("(").removesuffix(")"))
    if node.tagname.startswith("exercise"):
        title = re.fullmatch(r"\s*\((.*)\)\s*", words(node[0]))
        return numbered("Exercise", "exercise", title[1] if title else "")
    if isinstance(node, nodes.figure) and node["ids"]:
        caption = words(next(node.findall(nodes.caption)))
        first = FIRST_SENTENCE.match(caption)
        return numbered("Fig.", "figure", first[0] if first else caption)
    if isinstance(node, nodes.definition_list_item) and node.parent.parent.tagname == "glossary":
        return ", ".join(words(term) for term in node.findall(nodes.term))
    if isinstance(node, nodes.section) and node["ids"] and isinstance(node[0], nodes.title):
        place = "" if isinstance(node.parent, nodes.document) else f"#{anchor(node)}"
        number = ".".join(map(str, env.toc_secnumbers.get(docname, {}).get(place, ())))
        return f"{number} {words(node[0])}".strip()
    return ""


def collect(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Every page is written in every build (--all), so that every page comes by here."""
    found = places(app.env, docname, doctree)
    page = found[0].title if found else ""
    app.search_entries += [place.entry(docname, page) for place in found]


def write(app: Sphinx, exception: Exception | None) -> None:
    if not exception and app.builder.format == "html":
        content = json.dumps(app.search_entries, ensure_ascii=False, separators=(",", ":"))
        path = Path(app.outdir) / "_static" / "entries.js"
        path.write_text(f"const ENTRIES = {content};\n", encoding="utf-8")


def replace_the_search_of_sphinx(app: Sphinx) -> None:
    app.search_entries = []
    app.builder.search = False


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("builder-inited", replace_the_search_of_sphinx)
    app.connect("doctree-resolved", collect, priority=400)  # before claims link to the ledger
    app.connect("build-finished", write)
    # One process writes all pages: the entries stand in its application.
    return {"parallel_read_safe": True, "parallel_write_safe": False}

"""What a reader may want to follow, or to point at, and Sphinx leaves without a link.

A reference to a claim carries its title. Claims and exercises have a permalink, as headings and
figures have. A figure leads to its own file, in which the browser enlarges it. Entries of the
bibliography lead to their paper. "Fig. 1" and "Theorem 2" stay on one line.
"""

import re

from docutils import nodes
from sphinx.application import Sphinx

PAPER = re.compile(r"(arXiv):(\d{4}\.\d{4,5})|(doi):(10\.\d{4,}/[^\s,]*[^\s,.])")
NUMBER = re.compile(r"((?:Fig\.|[A-Z][a-z]+) (?:\d+\.)*\d+)")  # "Fig. 1.2", "Theorem 3"
BOX = re.compile(r'(<div class="(?:proof|exercise) [^>]*id="([^"]+)">\s*'
                 r'<p class="admonition-title">.*?)(</p>)')
IMAGE = re.compile(r'(<figure [^>]*>\s*)(<img [^>]*src="([^"]+\.svg)"[^>]*>)')


def titles(app: Sphinx) -> dict[str, str]:
    """The title of every claim by its label; sphinx-proof keeps labels, and not titles."""
    return app.env.__dict__.setdefault("claim_titles", {})


def keep_titles(app: Sphinx, doctree: nodes.document) -> None:
    for box in doctree.findall(nodes.Element):
        if "realtype" in box:
            titles(app)[box["label"]] = box["title"].strip().removeprefix("(").removesuffix(")")


def title_references(app: Sphinx, doctree: nodes.document) -> None:
    for reference in doctree.findall(nodes.reference):
        label = reference.get("refid") or reference.get("refuri", "").partition("#")[2]
        if title := titles(app).get(label):
            reference.setdefault("reftitle", title)


def keep_numbers_whole(doctree: nodes.document) -> None:
    for reference in doctree.findall(nodes.reference):
        for text in list(reference.findall(nodes.Text)):
            if NUMBER.fullmatch(text.astext()):
                text.parent.replace(text, nodes.Text(text.astext().replace(" ", "\u00a0")))


def link_papers(doctree: nodes.document) -> None:
    for entry in doctree.findall(nodes.citation):
        for text in [leaf for leaf in entry.findall(nodes.Text)
                     if not isinstance(leaf.parent, nodes.reference)]:
            found = PAPER.search(text.astext())
            while found:
                host = "arxiv.org/abs" if found[1] else "doi.org"
                uri = f"https://{host}/{found[2] or found[4]}"
                before, rest = text[: found.start()], nodes.Text(text[found.end():])
                link = nodes.reference("", found[0], refuri=uri, internal=False)
                text.parent.replace(text, [nodes.Text(before), link, rest])
                text, found = rest, PAPER.search(rest)


def mend(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    title_references(app, doctree)
    keep_numbers_whole(doctree)
    link_papers(doctree)


def mend_html(app: Sphinx, pagename, templatename, context, doctree) -> None:
    if doctree:
        link = r'<a class="headerlink" href="#\2" title="Link to this place">#</a>'
        body = BOX.sub(rf"\1{link}\3", context["body"])
        enlarge = r'<a class="enlarge" href="\3" title="Open the figure in its full size">\2</a>'
        context["body"] = IMAGE.sub(rf"\1{enlarge}", body)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-read", keep_titles)
    app.connect("doctree-resolved", mend)
    app.connect("html-page-context", mend_html)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

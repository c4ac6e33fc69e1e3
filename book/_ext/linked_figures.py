"""Write a figure that holds links into its page: in an <img> they would be dead.

Matplotlib makes a link of what has a `url`. Such a figure should be the only one on its page, since
the names in it (of clips, glyphs and markers) would meet those of another.
"""

import re
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

LINK = re.compile(r'<a xlink:href="([^"#]+)\.html"(?: target="_blank")?>')


def inline(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Replace each image with links by its SVG; a link is named after the page it leads to."""
    if app.builder.format != "html":
        return

    def named(link: re.Match) -> str:
        page = str(Path(docname).parent / link[1])
        if page not in app.env.titles:
            raise ValueError(f"{docname}: a figure links to {link[1]}.html, which is no page")
        title = escape(app.env.titles[page].astext())
        return f'<a href="{link[1]}.html" aria-label="{title}">'

    for image in list(doctree.findall(nodes.image)):
        path = Path(app.srcdir, image["uri"])
        if path.suffix != ".svg" or not LINK.search(text := path.read_text(encoding="utf-8")):
            continue
        svg = LINK.sub(named, text[text.index("<svg"):])
        opening = f'<svg class="linked" role="group" aria-label="{escape(image.get("alt", ""))}"'
        image.replace_self(nodes.raw("", svg.replace("<svg", opening, 1), format="html"))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("doctree-resolved", inline)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

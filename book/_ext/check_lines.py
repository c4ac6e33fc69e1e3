"""Set the verdicts of the checks apart: `PASS clm-…/…: 0.12 < 0.2 (why)`.

They are the lines that a sceptical reader looks for, and some are wider than the page. Each
becomes an element of its own, so that the style sheet can wrap it with a hanging indent.
"""

import re

from sphinx.application import Sphinx

from lowdim.checks import LABEL

IN_HTML = re.compile(rf"^(.*<pre><span></span>)?PASS ({LABEL}: .*)\n", re.MULTILINE)
MARKUP = r'\1<span class="verdict"><span class="pass">PASS</span> \2\n</span>'


def mark_verdicts(app: Sphinx, pagename, templatename, context, doctree) -> None:
    if doctree:
        context["body"] = IN_HTML.sub(MARKUP, context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", mark_verdicts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

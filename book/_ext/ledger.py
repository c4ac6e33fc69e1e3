"""The ledger: every claim of the book beside the checks that this very build executed.

Claims are the theorem boxes whose label begins `clm-`; checks are the lines `PASS clm-a/what: …`
in the outputs of executed cells. A claim without a check, a check without a claim, and a label of
either kind that stands twice are warnings, so that `-W` fails the build. The directive `ledger`
marks the page that lists them, `ledger-summary` the place of their numbers; each box gets a link
to its entry, and each entry one to the cell of every check.
"""

import platform
import re
import subprocess
from collections import Counter
from importlib.metadata import version
from typing import NamedTuple

from docutils import nodes
from sphinx.addnodes import compact_paragraph
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from lowdim.checks import IDENTITY, PASS_LINE, PROVED, SOURCES

logger = logging.getLogger(__name__)
PACKAGES = ("numpy", "scipy", "sympy", "torch", "numba")


class Claim(NamedTuple):
    docname: str
    label: str
    kind: str
    title: str
    source: str


class Check(NamedTuple):
    docname: str
    claim: str
    what: str
    measured: str
    why: str
    anchor: str = ""  # of its cell


class Ledger(nodes.General, nodes.Element):
    """Stands for the list until every chapter has been read."""


class Summary(nodes.General, nodes.Element):
    """Stands for the numbers of the list until then."""


class LedgerDirective(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.ledger_page = self.env.docname
        return [Ledger()]


class SummaryDirective(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [Summary()]


def entries(env: BuildEnvironment) -> dict[str, tuple[list[Claim], list[Check]]]:
    if not hasattr(env, "ledger_entries"):
        env.ledger_entries = {}
    return env.ledger_entries


def collect(app: Sphinx, doctree: nodes.document) -> None:
    """Read the claims and the executed verdicts off one page."""
    docname = app.env.docname
    claims = [Claim(docname, box["label"], box["realtype"],
                    box["title"].strip().removeprefix("(").removesuffix(")"),
                    next((SOURCES[name] for name in box["classes"] if name in SOURCES), ""))
              for box in doctree.findall(nodes.Element)
              if "realtype" in box and box["label"].startswith("clm-")]
    checks = [Check(docname, *verdict, anchor) for output in doctree.findall(nodes.container)
              if "cell_output" in output["classes"]
              for verdicts in [PASS_LINE.findall(output.astext())] if verdicts
              for anchor in [mark(output.parent, verdicts[0])]
              for verdict in verdicts]
    entries(app.env)[docname] = claims, checks


def mark(cell: nodes.Element, verdict: tuple[str, ...]) -> str:
    """The anchor of a cell: the label of the first check that it prints."""
    anchor = f"check-{verdict[0].removeprefix('clm-')}-{verdict[1]}"
    if anchor not in cell["ids"]:
        cell["ids"].append(anchor)
    return anchor


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    entries(env).pop(docname, None)


def everything(env: BuildEnvironment) -> tuple[list[Claim], list[Check]]:
    pages = [entries(env)[docname] for docname in sorted(entries(env))]
    return [claim for page in pages for claim in page[0]], [c for page in pages for c in page[1]]


def faults(claims: list[Claim], checks: list[Check]) -> list[tuple[str, str]]:
    """(page, sentence) for each claim or check that would leave a hole in the ledger."""
    found, claimed, checked = [], {}, set()
    for claim in claims:
        if claim.label in claimed:
            found.append((claim.docname, f"the claim {claim.label} is stated twice, "
                          f"first in {claimed[claim.label].docname}"))
        claimed.setdefault(claim.label, claim)
    for check in checks:
        label = f"{check.claim}/{check.what}"
        if check.claim not in claimed:
            found.append((check.docname, f"the check {label} belongs to no claim"))
        elif claimed[check.claim].docname != check.docname:
            found.append((check.docname, f"the check {label} belongs to a claim of another page"))
        if label in checked:
            found.append((check.docname, f"the check {label} is printed twice"))
        checked.add(label)
    with_check = {check.claim for check in checks}
    found += [(claim.docname, f"the claim {claim.label} has no executed check")
              for claim in claimed.values() if claim.label not in with_check]
    return found


def report(app: Sphinx, env: BuildEnvironment) -> None:
    for docname, sentence in faults(*everything(env)):
        logger.warning("ledger: %s", sentence, location=docname, type="ledger")


def rewrite(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The page depends on every chapter: write it anew whenever anything was read."""
    if not hasattr(env, "ledger_page"):
        return []
    list_headings(env)
    return [env.ledger_page]


def list_headings(env: BuildEnvironment) -> None:
    """Put the headings of the list, which no source holds, into the page's table of contents."""
    page = env.ledger_page
    contents = env.tocs[page][0]
    if len(contents) == 1:
        contents += nodes.bullet_list()
    contents[1][:] = [item for item in contents[1]
                      if not item.next_node(nodes.reference)["anchorname"].startswith("#ledger-")]
    for docname in chapters(everything(env)[0]):
        title = nodes.reference("", heading(env, docname), internal=True, refuri=page,
                                anchorname=f"#{section_id(docname)}")
        contents[1] += nodes.list_item("", compact_paragraph("", "", title))


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Write list and summary on their page, and on the others a link from claims to entries."""
    env = app.env
    page = getattr(env, "ledger_page", None)
    claims, checks = everything(env)
    for placeholder in list(doctree.findall(Summary)):
        placeholder.replace_self(summary(app, claims, checks))
    for placeholder in list(doctree.findall(Ledger)):
        home = placeholder.parent
        home.remove(placeholder)
        while isinstance(home.parent, nodes.section):  # beside the headings of the page, not below
            home = home.parent
        home += listing(app, claims, checks)
    for box in list(doctree.findall(lambda node: isinstance(node, nodes.Element)
                                    and node.get("label", "").startswith("clm-")
                                    and "realtype" in node)) if page else ():
        count = sum(check.claim == box["label"] for check in checks)
        uri = f"{app.builder.get_relative_uri(docname, page)}#ledger-{box['label']}"
        text = f"{count} check{'s' * (count != 1)} in the ledger"
        box[-1].append(nodes.paragraph("", "", link(text, uri), classes=["ledger-link"]))


def chapters(claims: list[Claim]) -> list[str]:
    return list(dict.fromkeys(claim.docname for claim in claims))


def heading(env: BuildEnvironment, docname: str) -> str:
    number = env.toc_secnumbers.get(docname, {}).get("", ())
    return "".join(f"{part}. " for part in number) + env.titles[docname].astext()


def section_id(docname: str) -> str:
    return f"ledger-{docname.rsplit('/')[-1]}"


def is_identity(check: Check) -> bool:
    return bool(IDENTITY.fullmatch(check.measured))


def summary(app: Sphinx, claims: list[Claim], checks: list[Check]) -> list[nodes.Node]:
    """Sentences on the whole, and a table with a line for each chapter."""
    rows = [[nodes.Text(word) for word in
             ["Chapter", "Proved", "Observed", "Conjectured", "Checks", "Identities"]]]
    for docname in chapters(claims):
        title = link(heading(app.env, docname), f"#{section_id(docname)}")
        rows.append([title, *counts([claim for claim in claims if claim.docname == docname],
                                    [check for check in checks if check.docname == docname])])
    rows.append([nodes.Text("The book"), *counts(claims, checks)])
    return [nodes.paragraph("", said(claims, checks)), nodes.paragraph("", made_with(app.srcdir)),
            table(rows)]


def counts(claims: list[Claim], checks: list[Check]) -> list[nodes.Node]:
    kinds = [f"prf:{claim.kind}" for claim in claims]
    numbers = [sum(kind in PROVED for kind in kinds), kinds.count("prf:observation"),
               kinds.count("prf:conjecture"), len(checks), sum(map(is_identity, checks))]
    return [nodes.Text(str(number)) for number in numbers]


def said(claims: list[Claim], checks: list[Check]) -> str:
    kinds = Counter(claim.kind for claim in claims).most_common()
    by_kind = ", ".join(f"{count} {kind if count == 1 else re.sub('y$', 'ie', kind) + 's'}"
                        for kind, count in kinds)
    return (f"{len(claims)} claims ({by_kind}) and {len(checks)} checks, of which "
            f"{sum(map(is_identity, checks))} are identities "
            "that hold exactly (decided by SymPy or in fractions). "
            "All were executed by the build that made this page, and all passed.")


def made_with(root: str) -> str:
    """The versions that can move a number, and the commit, where there is one."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    command = ["git", "describe", "--always", "--dirty=, with changes", "--exclude=*"]
    try:
        git = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        commit = f" Commit {git.stdout.strip()}."
    except (OSError, subprocess.CalledProcessError):
        commit = ""
    return f"Executed with Python {platform.python_version()}, {packages}.{commit}"


def table(rows: list[list[nodes.Node]]) -> nodes.table:
    """A table of docutils whose first row is its head."""
    lines = [nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in row))
             for row in rows]
    columns = [nodes.colspec(colwidth=1) for _ in rows[0]]
    group = nodes.tgroup("", *columns, nodes.thead("", lines[0]), nodes.tbody("", *lines[1:]),
                         cols=len(columns))
    return nodes.table("", group, classes=["ledger-numbers"])


def listing(app: Sphinx, claims: list[Claim], checks: list[Check]) -> list[nodes.Node]:
    sections = []
    for docname in chapters(claims):
        section = nodes.section("", nodes.title("", heading(app.env, docname)),
                                ids=[section_id(docname)])
        section += nodes.definition_list(
            "", *(entry(app, claim, [check for check in checks if check.claim == claim.label])
                  for claim in claims if claim.docname == docname), classes=["ledger"])
        sections.append(section)
    return sections


def entry(app: Sphinx, claim: Claim, checks: list[Check]) -> nodes.definition_list_item:
    env = app.env
    number = env.toc_fignumbers.get(claim.docname, {}).get("theorem", {}).get(claim.label, ())
    name = f"{claim.kind.capitalize()} {'.'.join(map(str, number))}".strip()
    page = app.builder.get_relative_uri(env.ledger_page, claim.docname)
    term = nodes.term("", "", link(name, f"{page}#{claim.label}"), nodes.Text(f" {claim.title} "),
                      nodes.inline("", claim.source, classes=["ledger-source"]),
                      ids=[f"ledger-{claim.label}"])
    lines = [nodes.list_item("", nodes.paragraph(
        "", "", link(check.what, f"{page}#{check.anchor}"),
        nodes.Text(f": {in_words(check.measured)} "),
        nodes.inline("", f"({check.why})", classes=["ledger-why"]))) for check in checks]
    return nodes.definition_list_item("", term, nodes.definition("", nodes.bullet_list("", *lines)))


def link(text: str, uri: str) -> nodes.reference:
    return nodes.reference("", text, internal=True, refuri=uri)


def in_words(measured: str) -> str:
    """`0 = 0` says little of an identity; every other line is as the check printed it."""
    if not IDENTITY.fullmatch(measured):
        return measured
    count = re.match(r"largest of (\d+)", measured)
    exactly = " in fractions" if measured.endswith(" in fractions") else ""
    return (f"{count[1]} identities hold" if count else "identity holds") + exactly


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(Ledger)
    app.add_node(Summary)
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("ledger-summary", SummaryDirective)
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", purge)
    app.connect("env-check-consistency", report)
    app.connect("env-get-updated", rewrite, priority=900)  # when chapters have their numbers
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

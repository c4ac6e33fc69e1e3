"""The ledger: every claim of the book beside the checks that this very build executed.

Claims are the theorem boxes whose label begins `clm-`; checks are the lines `PASS clm-a/what: …`
in the outputs of executed cells. A claim without a check, a check without a claim, and a label of
either kind that stands twice are warnings, so that `-W` fails the build. The directive `ledger`
marks the page that lists them; each box gets a link to its entry.
"""

from typing import NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from lowdim.checks import IDENTITY, PASS_LINE, SOURCES

logger = logging.getLogger(__name__)


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


class Ledger(nodes.General, nodes.Element):
    """Stands for the list until every chapter has been read."""


class LedgerDirective(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.ledger_page = self.env.docname
        return [Ledger()]


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
    checks = [Check(docname, *verdict) for output in doctree.findall(nodes.container)
              if "cell_output" in output["classes"]
              for block in output.findall(nodes.literal_block)
              for verdict in PASS_LINE.findall(block.astext())]
    entries(app.env)[docname] = claims, checks


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
    return [env.ledger_page] if hasattr(env, "ledger_page") else []


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Write the list on its page, and on the others a link from each claim to its entry."""
    env = app.env
    page = getattr(env, "ledger_page", None)
    claims, checks = everything(env)
    for placeholder in list(doctree.findall(Ledger)):
        placeholder.replace_self(listing(app, claims, checks))
    for box in list(doctree.findall(lambda node: isinstance(node, nodes.Element)
                                    and node.get("label", "").startswith("clm-")
                                    and "realtype" in node)) if page else ():
        count = sum(check.claim == box["label"] for check in checks)
        uri = f"{app.builder.get_relative_uri(docname, page)}#ledger-{box['label']}"
        text = f"{count} check{'s' * (count != 1)} in the ledger"
        link = nodes.reference("", text, internal=True, refuri=uri)
        box[-1].append(nodes.paragraph("", "", link, classes=["ledger-link"]))


def summary(claims: list[Claim], checks: list[Check]) -> str:
    identities = sum(bool(IDENTITY.fullmatch(check.measured)) for check in checks)
    return (f"{len(claims)} claims and {len(checks)} checks, of which {identities} are identities "
            "that hold exactly (decided by SymPy or in fractions). "
            "All were executed by the build that made this page, and all passed.")


def listing(app: Sphinx, claims: list[Claim], checks: list[Check]) -> list[nodes.Node]:
    sections = [nodes.paragraph("", summary(claims, checks))]
    for docname in dict.fromkeys(claim.docname for claim in claims):
        number = app.env.toc_secnumbers.get(docname, {}).get("", ())
        title = nodes.title("", "".join(f"{part}. " for part in number)
                            + app.env.titles[docname].astext())
        section = nodes.section("", title, ids=[f"ledger-{docname.rsplit('/')[-1]}"])
        section += nodes.definition_list(
            "", *(entry(app, claim, [check for check in checks if check.claim == claim.label])
                  for claim in claims if claim.docname == docname), classes=["ledger"])
        sections.append(section)
    return sections


def entry(app: Sphinx, claim: Claim, checks: list[Check]) -> nodes.definition_list_item:
    env = app.env
    number = env.toc_fignumbers.get(claim.docname, {}).get("theorem", {}).get(claim.label, ())
    name = f"{claim.kind.capitalize()} {'.'.join(map(str, number))}".strip()
    uri = f"{app.builder.get_relative_uri(env.ledger_page, claim.docname)}#{claim.label}"
    term = nodes.term("", "", nodes.reference("", name, internal=True, refuri=uri),
                      nodes.Text(f" {claim.title} "),
                      nodes.inline("", claim.source, classes=["ledger-source"]),
                      ids=[f"ledger-{claim.label}"])
    lines = [nodes.list_item("", nodes.paragraph(
        "", "", nodes.literal("", check.what), nodes.Text(f": {check.measured} "),
        nodes.inline("", f"({check.why})", classes=["ledger-why"]))) for check in checks]
    return nodes.definition_list_item("", term, nodes.definition("", nodes.bullet_list("", *lines)))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(Ledger)
    app.add_directive("ledger", LedgerDirective)
    app.connect("doctree-read", collect)
    app.connect("env-purge-doc", purge)
    app.connect("env-check-consistency", report)
    app.connect("env-updated", rewrite)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

"""The one entry `repository` of _config.yml, and what follows from it.

    repository:
      url: https://github.com/owner/name   # the source
      branch: main
      pages: https://owner.github.io/name  # the address of the built pages, if they have one

From `url` come the links to the source of a page, to its issues, to an edit of it and to a launch
of its notebook; from `pages` the address that a preview of a page names. The file CITATION.cff is
published beside the pages with both. Where an entry is empty, so is all that follows from it.
"""

import re
from pathlib import Path

import yaml
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ConfigError

SOURCE = re.compile(r"https://(github|gitlab)\.com/[^/\s]+/[^/\s]+")
PAGES = re.compile(r"https://[^\s]+")
BINDER = "https://mybinder.org"
BUTTONS = ("use_repository_button", "use_source_button", "use_edit_page_button",
           "use_issues_button")


def entry(root: Path) -> dict[str, str]:
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    return {name: str(value or "").rstrip("/")
            for name, value in (config.get("repository") or {}).items()}


def apply(app: Sphinx, config: Config) -> None:
    given = entry(Path(app.confdir))
    for name, form in {"url": SOURCE, "pages": PAGES}.items():
        if given.get(name) and not form.fullmatch(given[name]):
            raise ConfigError(f"_config.yml: repository: {name} is {given[name]!r} and needs the "
                              f"form {form.pattern}, or to be empty")
    options = config.html_theme_options
    if url := given.get("url"):
        options |= dict.fromkeys(BUTTONS, True)
        options |= {"repository_url": url, "launch_buttons": {
            "binderhub_url": BINDER, "notebook_interface": "jupyterlab"}}
    else:
        options.pop("repository_url", None)
    config.ogp_site_url = given.get("pages") and f"{given['pages']}/"


def drop_the_address(app: Sphinx, pagename, templatename, context, doctree) -> None:
    """Without a site, sphinxext.opengraph names a path, which is the address of nothing."""
    if not app.config.ogp_site_url:
        context["metatags"] = re.sub(r'<meta property="og:url"[^>]*>\n?', "",
                                     context.get("metatags", ""))


def publish_citation(app: Sphinx, exception: Exception | None) -> None:
    source = Path(app.srcdir) / "CITATION.cff"
    if exception or app.builder.format != "html" or not source.exists():
        return
    given = entry(Path(app.confdir))
    names = {"repository-code": given.get("url"), "url": given.get("pages")}
    lines = [f"{name}: {value}\n" for name, value in names.items() if value]
    text = source.read_text(encoding="utf-8") + "".join(lines)
    (Path(app.outdir) / source.name).write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", apply)
    app.connect("html-page-context", drop_the_address, priority=900)  # after opengraph
    app.connect("build-finished", publish_citation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

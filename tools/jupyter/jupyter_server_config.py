"""A chapter of book/ that JupyterLab saves keeps the canonical form: a diff shows what was written.

The copies of `make lab` are the reader's, and are saved as they are.
"""

import runpy
from pathlib import Path

import nbformat
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager

ROOT = Path(__file__).resolve().parents[2]
canonical = runpy.run_path(str(ROOT / "tools" / "notebooks.py"))["canonical"]


class Contents(AsyncLargeFileManager):
    """The server's own, with the hook registered: set as a trait it would warn at every start."""

    def __init__(self, **settings) -> None:
        super().__init__(**settings)
        self.register_pre_save_hook(keep_form)


def keep_form(path: str, model: dict, contents_manager: Contents, **_) -> None:
    folder = Path(contents_manager.root_dir, path).resolve().parent
    if model["type"] == "notebook" and folder == ROOT / "book":
        model["content"] = canonical(nbformat.from_dict(model["content"]))


get_config().ServerApp.contents_manager_class = Contents

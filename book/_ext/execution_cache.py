"""Execute the chapters again when `lowdim` changes.

The execution cache compares a notebook's cells with those it has stored. It does not look at
what the cells import, so after a change in `lowdim/` it would serve outputs of code that is no
longer there. Here the cache's folder is named after a hash of that code and of the locked
dependencies: another hash, an empty cache.
"""

import hashlib
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def digest(root: Path) -> str:
    """A hash of the names and contents of `lowdim/**` and `constraints.txt` under `root`."""
    files = [path for path in (root / "lowdim").rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts]
    files += root.glob("constraints.txt")
    total = hashlib.sha256()
    for path in sorted(files):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(root).as_posix()} {content}\n".encode())
    return total.hexdigest()[:16]


def place_cache(app: Sphinx, config: Config) -> None:
    cache = Path(app.outdir).parent / ".jupyter_cache" / digest(Path(app.srcdir))
    config.nb_execution_cache_path = str(cache)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("config-inited", place_cache)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

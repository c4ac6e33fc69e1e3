"""Write the README's figure: the first figure stored in book/index.ipynb, on white paper.

In the book a figure is transparent and its page supplies the background; a code host in its dark
theme would show black lines on black.
"""

import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]


def first_figure(notebook: Path) -> str:
    """The first SVG among the stored outputs; ValueError if there is none."""
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/svg+xml" in output.get("data", {}):
                return output["data"]["image/svg+xml"]
    raise ValueError(f"{notebook.name} stores no SVG: run make notebooks first")


def on_white(svg: str) -> str:
    """The same picture over a white rectangle."""
    return re.sub(r"(<svg\b[^>]*>)", r'\1\n <rect width="100%" height="100%" fill="white"/>', svg,
                  count=1)


if __name__ == "__main__":
    target = ROOT / "book" / "_static" / "two_students.svg"
    target.write_text(on_white(first_figure(ROOT / "book" / "index.ipynb")), encoding="utf-8")
    print(f"wrote {target.relative_to(ROOT)}")

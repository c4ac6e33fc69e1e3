"""What two SVG figures of matplotlib show differently, coordinates to half a pixel.

nbval compares text, and the text of an SVG changes with every rounding. Here both figures are
parsed: elements, colours, dashes, markers and glyphs must be the same, and every coordinate within
half a pixel. Left out are matplotlib's metadata (date and version) and the names of ids, which
hash coordinates; a reference counts by the place of what it refers to.
"""

import base64
import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import numpy as np
from matplotlib.image import imread

HALF_PIXEL = 0.375  # matplotlib draws in points of 1/72 inch, and a CSS pixel is 1/96 inch
SHADE = 8 / 255  # of a channel of a raster image, too little to see
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
# An angle or a scale acts on everything inside it, so it must be the same but for rounding.
LINEAR = re.compile(r"(?:rotate|scale|skew[XY]|matrix)\([^)]*\)")


def differences(stored: str, drawn: str) -> Iterator[str]:
    """One sentence for each difference, in the order of the stored figure; none is good."""
    old, new = (ElementTree.fromstring(svg.encode()) for svg in (stored, drawn))
    yield from _differences(old, new, (_places(old), _places(new)), "figure")


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _children(element: ElementTree.Element) -> list[ElementTree.Element]:
    return [child for child in element if _name(child) != "metadata"]


def _places(root: ElementTree.Element) -> dict[str, int]:
    """The ids of a figure, numbered in the order of the document."""
    named = [element.get("id") for element in root.iter() if element.get("id")]
    return {name: place for place, name in enumerate(named)}


def _differences(old, new, places, at: str) -> Iterator[str]:
    if _name(old) != _name(new):
        yield f"{at}: {_name(new)} is drawn, {_name(old)} is stored"
        return
    at = old.get("id", at) if _name(old) == "g" else at  # other ids are hashes
    yield from _attribute_differences(old, new, places, at)
    if (old.text or "").strip() != (new.text or "").strip():
        yield f"{at}: the text {(new.text or '').strip()!r} is drawn, {old.text.strip()!r} stored"
    inner = _children(old), _children(new)
    if len(inner[0]) != len(inner[1]):
        yield f"{at}: {len(inner[1])} elements are drawn, {len(inner[0])} are stored"
        return
    for pair in zip(*inner, strict=True):
        yield from _differences(*pair, places, at)


def _attribute_differences(old, new, places, at: str) -> Iterator[str]:
    if set(old.attrib) != set(new.attrib):
        yield f"{at}: attributes {sorted(new.attrib)} are drawn, {sorted(old.attrib)} stored"
        return
    for key in old.attrib:
        before, after = old.attrib[key], new.attrib[key]
        kind = key.rpartition("}")[2]
        same = {"id": _same_id, "href": _same_reference, "clip-path": _same_reference,
                "style": _same_style, "d": _same_path, "transform": _same_transform}
        if before != after and not same.get(kind, _same_numbers)(before, after, places):
            said = f"{at}: {kind} {_short(after)} is drawn, {_short(before)} is stored"
            yield f"{said}{_apart(before, after)}"


def _apart(before: str, after: str) -> str:
    """How far the coordinates lie apart, where they are as many and of the same kind."""
    if NUMBER.sub("0", before) != NUMBER.sub("0", after):
        return ""
    old, new = (np.array(NUMBER.findall(value), float) for value in (before, after))
    return f" (up to {np.abs(old - new).max() * 4 / 3:.1f} px apart)" if old.size else ""


def _short(value: str) -> str:
    flat = " ".join(value.split())
    return flat if len(flat) <= 40 else f"{flat[:37]}..."


def _same_id(before: str, after: str, places) -> bool:
    return places[0][before] == places[1][after]


def _same_style(before: str, after: str, places) -> bool:
    return False  # colours, widths and dashes are chosen, not computed


def _same_reference(before: str, after: str, places) -> bool:
    """The same place of the document, or the same raster image."""
    if before.startswith("data:image/png"):
        return after.startswith("data:image/png") and _same_raster(before, after)
    names = [re.fullmatch(r"(?:url\()?#([^)]+)\)?", value) for value in (before, after)]
    if not all(names):
        return False
    found = [where.get(name[1]) for where, name in zip(places, names, strict=True)]
    return found[0] is not None and found[0] == found[1]


def _same_raster(before: str, after: str) -> bool:
    old, new = (imread(io.BytesIO(base64.b64decode(value.partition(",")[2])))
                for value in (before, after))
    return old.shape == new.shape and bool(np.abs(old - new).max() <= SHADE)


def _same_numbers(before: str, after: str, places=None, tolerance: float = HALF_PIXEL) -> bool:
    if NUMBER.sub("0", before) != NUMBER.sub("0", after):
        return False
    old, new = (np.array(NUMBER.findall(value), float) for value in (before, after))
    return bool((np.abs(old - new) <= tolerance).all())


def _same_transform(before: str, after: str, places) -> bool:
    old, new = LINEAR.findall(before), LINEAR.findall(after)
    return (len(old) == len(new)
            and all(_same_numbers(*pair, tolerance=1e-5) for pair in zip(old, new, strict=True))
            and _same_numbers(LINEAR.sub("", before), LINEAR.sub("", after)))


def _same_path(before: str, after: str, places) -> bool:
    """Point by point; where matplotlib left out other points of a line, as two lines."""
    if _same_numbers(before, after):
        return True
    lines = [value.split() for value in (before, after)]
    if any(not re.fullmatch(r"M [^A-Z]*(?: L [^A-Z]*)*", " ".join(line)) for line in lines):
        return False
    old, new = (np.array(NUMBER.findall(value), float).reshape(-1, 2) for value in (before, after))
    if len(old) == len(new) or min(len(old), len(new)) < 2:
        return False
    return _near(old, new) and _near(new, old)


def _near(points: np.ndarray, line: np.ndarray) -> bool:
    """Every point lies within half a pixel of the line."""
    start, edge = line[:-1], np.diff(line, axis=0)
    length = np.maximum((edge**2).sum(-1), 1e-12)
    along = (((points[:, None] - start) * edge).sum(-1) / length).clip(0, 1)
    gap = np.linalg.norm(points[:, None] - start - along[..., None] * edge, axis=-1).min(-1)
    return bool((gap <= HALF_PIXEL).all())

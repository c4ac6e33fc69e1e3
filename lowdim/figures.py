"""Plots in the book's style, as f(ax, arrays) -> ax.

Teachers are black and dashed, students coloured, theory a thin solid line; a median stands in
its 10-90 % band, and the boundary between trained and unseen lags is drawn. STYLE holds the
rcParams of the book; a chapter applies them, this module never does.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

# Okabe and Ito's colours, which readers with any colour vision tell apart.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE)

STYLE = {
    "figure.figsize": (7.0, 3.2), "figure.facecolor": "none", "axes.facecolor": "none",
    "savefig.transparent": True, "svg.hashsalt": "lowdim", "font.size": 10.5,
    "axes.spines.top": False, "axes.spines.right": False, "axes.labelsize": 10.5,
    "legend.frameon": False, "lines.linewidth": 1.8, "figure.constrained_layout.use": True,
}


def impulse_responses(ax: Axes, teacher: ArrayLike, students: Mapping[str, ArrayLike], *,
                      train_length: int) -> Axes:
    """Impulse responses against the lag: the teacher dashed, each student as median and band.

    Shapes: teacher (J,), each student (J,) or (seeds, J); students maps legend entries to them.
    Raises ValueError for another length than the teacher's, a train_length outside 1 … J, or more
    students than there are colours.
    """
    teacher = _numbers(teacher, "teacher", 1)
    lags = np.arange(teacher.shape[0])
    if not 1 <= train_length <= len(lags):
        raise ValueError(f"train_length must lie in 1 … {len(lags)}, got {train_length}")
    if len(students) > len(COLOURS):
        raise ValueError(f"students must be at most {len(COLOURS)}, got {len(students)}")
    for colour, (label, h) in zip(COLOURS, students.items(), strict=False):
        median_band(ax, lags, np.atleast_2d(_numbers(h, label, 1, 2)), label=label, colour=colour)
    ax.plot(lags, teacher, "--", color="black", label="teacher", zorder=3)
    train_boundary(ax, train_length)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="lag $j$", ylabel="impulse response $h_j$")
    ax.legend()
    return ax


def median_band(ax: Axes, x: ArrayLike, samples: ArrayLike, *, label: str, colour: str = BLUE,
                marker: str = "o") -> Axes:
    """The median of samples over axis 0 against x, in its 10-90 % band.

    Shapes: x (P,), samples (seeds, P). Raises ValueError for shapes that differ or numbers that
    are not finite: a diverged run is to be shown, not dropped by the plot.
    """
    x, samples = _numbers(x, "x", 1), _numbers(samples, "samples", 2)
    if samples.shape[1] != len(x):
        raise ValueError(f"samples must be (seeds, {len(x)}) like x, got {samples.shape}")
    low, median, high = np.quantile(samples, (0.1, 0.5, 0.9), axis=0)
    ax.fill_between(x, low, high, color=colour, alpha=0.25, linewidth=0)
    ax.plot(x, median, color=colour, marker=marker, markersize=3.5, label=label)
    return ax


def train_boundary(ax: Axes, train_length: int) -> Axes:
    """A vertical line between the trained lags 0 … k-1 and the unseen ones, k = train_length.

    The axis is in lags. Raises ValueError for k < 1.
    """
    if not train_length >= 1:
        raise ValueError(f"train_length must be at least 1, got {train_length}")
    ax.axvline(train_length - 0.5, color="0.45", linewidth=1, linestyle=":")
    ax.annotate("trained  ", (train_length - 0.5, 1.0), xycoords=("data", "axes fraction"),
                ha="right", va="bottom", color="0.3", fontsize=9)
    ax.annotate("  unseen", (train_length - 0.5, 1.0), xycoords=("data", "axes fraction"),
                ha="left", va="bottom", color="0.3", fontsize=9)
    return ax


def box_diagram(ax: Axes, boxes: Mapping[str, tuple[float, float]],
                arrows: Mapping[str, Sequence[str]]) -> Axes:
    """Boxes and the arrows between them, on equal axes that are not drawn.

    boxes maps the word in a box to its centre; arrows maps a colour to texts "from to label" with
    the words of two boxes, or one of them twice for a loop, which lies away from the other boxes.
    An arrow passes to the left of the straight line, so that one there and one back stay apart.
    Raises ValueError for an arrow to or from a box that is not there.
    """
    frame = {"boxstyle": "round,pad=0.45", "facecolor": "none", "edgecolor": "0.3"}
    drawn = {word: ax.text(*centre, word, ha="center", va="center", bbox=frame)
             for word, centre in boxes.items()}
    across, up = (np.array(side) for side in zip(*boxes.values(), strict=True))
    for colour, texts in arrows.items():
        for text in texts:
            start, end, label = (text.split(maxsplit=2) + [""] * 3)[:3]
            if {start, end} - set(boxes):
                raise ValueError(f"arrows must join two of the boxes {[*boxes]}, got {text!r}")
            tail, head = np.array(boxes[start]), np.array(boxes[end])
            middle, shape = (tail + head) / 2, {"arrowstyle": "-|>", "color": colour}
            if start == end:
                side = np.array([0.2, 0.22]) * (1 if tail[1] >= up.mean() else -1)
                tail, head, bend = tail + side, head + side * np.array([-1, 1]), 1.6
                at = middle + side * np.array([0, 3.5])
            else:
                left = np.array([tail[1] - head[1], head[0] - tail[0]])
                bend, at = -0.18, middle + 0.09 * left + 0.25 * left / np.hypot(*left)
                shape |= {"patchA": drawn[start].get_bbox_patch(), "shrinkA": 2,
                          "patchB": drawn[end].get_bbox_patch(), "shrinkB": 2}
            shape["connectionstyle"] = f"arc3,rad={bend}"
            ax.annotate("", head, tail, arrowprops=shape)
            ax.text(*at, label, color=colour, ha="center", va="center")
    ax.set(xlim=(across.min() - 0.6, across.max() + 0.6),
           ylim=(up.min() - 0.95, up.max() + 0.95))
    ax.set_aspect("equal")
    ax.axis("off")
    return ax


def _numbers(values: ArrayLike, name: str, *ndim: int) -> np.ndarray:
    array = np.asarray(values)
    if array.dtype.kind not in "iuf" or array.ndim not in ndim or array.size == 0:
        axes = " or ".join(map(str, ndim))
        raise ValueError(f"{name} must be real numbers with {axes} axes, none of length 0, "
                         f"got dtype {array.dtype} and shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite")
    return array

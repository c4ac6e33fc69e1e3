"""Hankel matrices, their singular values, and spectral measures."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import hankel as scipy_hankel
from structured import structured_rnns
from torch.testing import assert_close

from lowdim.rnn import LinearRNN, change_basis, impulse_response, random_rnn
from lowdim.structure import hankel, hankel_singular_values, spectral_measure

pytestmark = pytest.mark.usefixtures("no_global_state")

# Decompositions of matrices of size one and order at most ten: rounding stays below 1e-14.
ROUNDING = dict(rtol=1e-12, atol=1e-12)
SEEDS = st.integers(0, 99)


def symmetric_rnn(d, *batch, structure="symmetric", seed=0):
    generator = torch.Generator().manual_seed(seed)
    return random_rnn(d, scale=0.5, batch=batch, structure=structure, generator=generator)


def assert_hankel(H, h, rows):
    """h_{i+j}, built by SciPy from the first column and the last row."""
    expected = scipy_hankel(h[:rows].numpy(), h[rows - 1:].numpy())
    assert torch.equal(H, torch.from_numpy(expected))


def assert_moments(nodes, weights, h):
    """h_j = sum_i w_i l_i^j by the Vandermonde matrix of the nodes."""
    powers = torch.from_numpy(np.vander(nodes.numpy(), h.shape[-1], increasing=True))
    assert_close(weights @ powers, h, **ROUNDING)


@given(st.integers(1, 9), st.data())
def test_hankel_is_scipys_for_every_number_of_rows(normal, length, data):
    h, rows = normal(length), data.draw(st.integers(1, length))
    assert_hankel(hankel(h, rows), h, rows)


def test_hankel_is_observability_times_controllability(gaussian):
    A, B, C = rnn = gaussian(3)
    O_matrix = torch.cat([C @ torch.linalg.matrix_power(A, i) for i in range(4)], -2)
    K_matrix = torch.cat([torch.linalg.matrix_power(A, j) @ B for j in range(5)], -1)
    assert_close(hankel(impulse_response(rnn, 8), 4), O_matrix @ K_matrix, **ROUNDING)


@given(st.integers(1, 9), SEEDS)
def test_singular_values_are_roots_of_eigenvalues_of_the_gram_matrix(normal, length, seed):
    h, rows = normal(length, seed=seed), (length + 1) // 2
    values = hankel_singular_values(h)
    H = hankel(h, rows).numpy()
    expected = np.sort(np.linalg.eigvalsh(H @ H.T))[::-1]
    assert values.shape == (rows,)
    assert_close(values.square(), torch.from_numpy(expected.copy()), **ROUNDING)


def test_one_pole_has_one_hankel_singular_value_in_closed_form():
    h = torch.tensor([3 * 0.5**j for j in range(7)], dtype=torch.float64)
    values = hankel_singular_values(h)  # 3 u u^T with u = (1, 1/2, 1/4, 1/8)
    assert values[0].item() == pytest.approx(3 * (1 + 1 / 4 + 1 / 16 + 1 / 64), rel=1e-14)
    assert values[1:].max() <= 1e-15  # rounding of numbers of size 3


@given(structured_rnns())
def test_rank_of_the_hankel_matrix_is_the_number_of_states_that_take_part(rnn):
    """Kronecker: observability times controllability has at most the rank of either factor."""
    A, B, C = rnn
    d = len(A)
    O_matrix = torch.cat([C @ torch.linalg.matrix_power(A, i) for i in range(d)], -2)
    K_matrix = torch.cat([torch.linalg.matrix_power(A, j) @ B for j in range(d)], -1)
    values = hankel_singular_values(impulse_response(rnn, 2 * d - 1))
    assert_close(values, torch.linalg.svdvals(O_matrix @ K_matrix), **ROUNDING)
    hidden = d - min(map(torch.linalg.matrix_rank, (O_matrix, K_matrix))).item()
    assert not hidden or values[d - hidden:].max() <= 1e-12


@given(st.integers(1, 4), SEEDS)
def test_hankel_singular_values_do_not_depend_on_the_basis(gaussian, normal, d, seed):
    rnn = gaussian(d, seed=seed)
    T = torch.eye(d, dtype=torch.float64) + 0.3 * normal(d, d, seed=seed).tanh() / d  # cond < 2
    first, second = (hankel_singular_values(impulse_response(r, 9))
                     for r in (rnn, change_basis(rnn, T)))
    assert_close(first, second, **ROUNDING)


@given(st.integers(1, 5), SEEDS)
def test_spectral_measure_has_the_impulse_response_as_its_moments(d, seed):
    rnn = symmetric_rnn(d, seed=seed)
    nodes, weights = spectral_measure(rnn)
    assert_moments(nodes, weights, impulse_response(rnn, 8))
    assert (nodes.diff() >= 0).all()


def test_weights_of_a_diagonal_system_are_the_products_of_B_and_C():
    A = torch.diag(torch.tensor([0.5, -0.5, 0.0], dtype=torch.float64))
    rnn = LinearRNN(A, torch.tensor([[1.0], [2], [3]], dtype=torch.float64),
                    torch.tensor([[4.0, -5, 6]], dtype=torch.float64))
    nodes, weights = spectral_measure(rnn)
    assert nodes.tolist() == [-0.5, 0.0, 0.5] and weights.tolist() == [-10.0, 18.0, 4.0]


@given(st.integers(1, 5), SEEDS)
def test_weights_are_nonnegative_when_B_is_C_transposed(d, seed):
    _, weights = spectral_measure(symmetric_rnn(d, structure="symmetric_balanced", seed=seed))
    assert (weights >= 0).all()  # squares, also in floating point


def test_break_it_a_flipped_weight_or_a_dropped_shift_is_seen(normal):
    rnn, h = symmetric_rnn(3), normal(7)
    nodes, weights = spectral_measure(rnn)
    with pytest.raises(AssertionError):
        assert_moments(nodes, weights * torch.tensor([-1, 1, 1]), impulse_response(rnn, 8))
    with pytest.raises(AssertionError):  # a matrix whose rows all start at h_0
        assert_hankel(h[:4].expand(4, 4), h, 4)
    with pytest.raises(AssertionError):  # a Toeplitz matrix: the shift goes the wrong way
        assert_hankel(hankel(h, 4).flip(0), h, 4)


def test_each_element_of_a_batch_equals_its_single_call(normal):
    h, rnn = normal(2, 3, 7), symmetric_rnn(3, 2, 3)
    H, values, (nodes, weights) = hankel(h, 3), hankel_singular_values(h), spectral_measure(rnn)
    assert H.shape == (2, 3, 3, 5) and values.shape == (2, 3, 4)
    for i in np.ndindex(2, 3):
        one = spectral_measure(LinearRNN(*(M[i] for M in rnn)))
        assert torch.equal(H[i], hankel(h[i], 3))
        assert_close(values[i], hankel_singular_values(h[i]), **ROUNDING)
        assert_close((nodes[i], weights[i]), one, **ROUNDING)


def test_inputs_are_not_modified_and_results_do_not_share_their_memory(normal):
    h, rnn = normal(7), symmetric_rnn(3)
    copies = [M.clone() for M in (h, *rnn)]
    hankel(h, 3).zero_(), hankel(h, 1).zero_(), hankel(h, 7).zero_()
    hankel_singular_values(h), spectral_measure(rnn)
    assert all(map(torch.equal, (h, *rnn), copies))


def test_results_stay_on_the_device_of_the_input(normal):
    h, rnn = normal(7), symmetric_rnn(3)

    def results():
        return hankel(h, 3), hankel_singular_values(h), *spectral_measure(rnn)

    plain = results()
    with torch.device("meta"):  # a factory that forgets the device would land here
        elsewhere = results()
    assert all(map(torch.equal, elsewhere, plain))


B, C = torch.ones(2, 1, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
LEANING = torch.tensor([[0.5, 0.0], [6e-13, 0.5]], dtype=torch.float64)


def test_symmetry_is_judged_at_1e_12_of_the_largest_entry():
    spectral_measure(LinearRNN(LEANING * torch.tensor([[1], [0.8]]), B, C))  # 4.8e-13 below 5e-13
    with pytest.raises(ValueError, match="A must be symmetric"):
        spectral_measure(LinearRNN(LEANING, B, C))


@pytest.mark.parametrize("unit", [1e-200, 1.0, 1e200])  # squares of entries under- and overflow
def test_an_asymmetric_A_is_refused_in_any_unit(unit):
    A = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(ValueError, match="A must be symmetric"):
        spectral_measure(LinearRNN(unit * A, B, C))


def test_one_asymmetric_element_spoils_a_batch():
    A = torch.stack([torch.eye(2).double(), LEANING])
    with pytest.raises(ValueError, match="A must be symmetric"):
        spectral_measure(LinearRNN(A, torch.stack([B] * 2), torch.stack([C] * 2)))


def test_the_zero_matrix_is_symmetric():
    nodes, weights = spectral_measure(LinearRNN(torch.zeros(2, 2).double(), B, C))
    assert nodes.tolist() == [0, 0] and weights.sum().item() == pytest.approx(2, rel=1e-15)


@pytest.mark.parametrize("call, argument", [
    (lambda: hankel([], 1), "h must"), (lambda: hankel(1.0, 1), "h must"),
    (lambda: hankel(torch.ones(3), 1), "h must be float64"), (lambda: hankel([1j], 1), "h must"),
    (lambda: hankel([1.0, float("inf")], 1), "h must be finite"),
    (lambda: hankel([1.0, 2.0], 0), "rows"), (lambda: hankel([1.0, 2.0], 3), "rows"),
    (lambda: hankel([1.0, 2.0], 1.0), "rows"), (lambda: hankel([1.0, 2.0], True), "rows"),
    (lambda: hankel([True, 2.0], 1), "h must hold"),
    (lambda: hankel([np.float32(1), 2.0], 1), "h must hold"),
    (lambda: hankel_singular_values([1.7e308] * 3), "the Hankel singular values overflow"),
    (lambda: hankel_singular_values([[1.0, True]]), "h must hold"),
    (lambda: spectral_measure(LinearRNN(LEANING.tril(-1) * 0, 1e200 * B, 1e200 * C)),
     "the weights overflow"),
    (lambda: spectral_measure(LinearRNN([[True]], [[1.0]], [[1.0]])), "A must hold"),
    (lambda: hankel_singular_values([]), "h must"),
    (lambda: hankel_singular_values(2.0), "h must"),
    (lambda: hankel_singular_values(None), "h must"),
    (lambda: hankel_singular_values(torch.ones(3)), "h must be float64"),
    (lambda: hankel_singular_values([float("nan")]), "h must be finite"),
    (lambda: spectral_measure(LinearRNN(B, B, C)), "A must have shape"),
    (lambda: spectral_measure(LinearRNN(LEANING, C, C)), "B must"),
    (lambda: spectral_measure(LinearRNN(LEANING.float(), B, C)), "A must be float64"),
    (lambda: spectral_measure(LinearRNN(LEANING * torch.nan, B, C)), "A must be finite"),
    (lambda: spectral_measure(B), "rnn must"),
])
def test_bad_arguments_are_refused(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()

"""Teachers: their impulse responses in closed form, their size, and what they refuse."""

import numpy as np
import pytest
import sympy
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import signal
from torch.testing import assert_close

from lowdim.rnn import LinearRNN, impulse_response
from lowdim.teachers import delay_teacher, memoryless_teacher, modal_teacher

pytestmark = pytest.mark.usefixtures("no_global_state")

# Powers of numbers of size at most one, summed over at most five modes.
ROUNDING = dict(rtol=1e-12, atol=1e-13)
SIZES = st.floats(0.1, 3).flatmap(lambda size: st.sampled_from([size, -size]))
MODULI, ANGLES = st.floats(0.05, 1), st.floats(0.05, 3.1)


def system(reals, pairs):
    """poles and residues from (pole, residue) and (modulus, angle, size, phase)."""
    upper = [(r * np.exp(1j * angle), size * np.exp(1j * phase)) for r, angle, size, phase in pairs]
    modes = [*reals, *upper, *((p.conjugate(), w.conjugate()) for p, w in upper)]
    return [p for p, _ in modes], [w for _, w in modes]


def assert_response_is_the_sum_of_modes(teacher, poles, residues):
    """h_j = sum_i residues_i poles_i^j in NumPy's complex arithmetic."""
    h = sum(w * np.power(complex(p), np.arange(9)) for p, w in zip(poles, residues, strict=True))
    assert abs(h.imag).max() <= 1e-13  # conjugates cancel to rounding
    assert_close(impulse_response(teacher, 9), torch.from_numpy(h.real.copy()), **ROUNDING)


@given(st.lists(st.tuples(st.floats(-1, 1), SIZES), max_size=3),
       st.lists(st.tuples(MODULI, ANGLES, st.floats(0.1, 3), ANGLES), max_size=2))
def test_modal_teacher_is_the_sum_of_its_modes_with_as_many_states(reals, pairs):
    poles, residues = system(reals, pairs)
    assume(poles and len(set(map(complex, poles))) == len(poles))
    teacher = modal_teacher(poles, residues)
    assert [tuple(M.shape) for M in teacher] == [(n := len(poles), n), (n, 1), (1, n)]
    assert_response_is_the_sum_of_modes(teacher, poles, residues)


def test_poles_and_residues_are_scipys_partial_fractions():
    """h in powers of z^-1 is sum_i w_i / (1 - p_i z^-1); residuez recovers it from b and a."""
    poles, residues = [0.9, -0.4, 0.3 + 0.6j, 0.3 - 0.6j], [1.0, -2.0, 0.5 + 1j, 0.5 - 1j]
    h = impulse_response(modal_teacher(poles, residues), 8)
    a = np.poly(poles).real
    b = np.convolve(h.numpy(), a)[:4]
    found_residues, found_poles, _ = signal.residuez(b, a)
    order = [np.abs(found_poles - p).argmin() for p in poles]
    # roots of a well separated quartic: 1e-10 leaves a factor 1e4 over their rounding
    np.testing.assert_allclose(found_poles[order], poles, rtol=0, atol=1e-10)
    np.testing.assert_allclose(found_residues[order], residues, rtol=0, atol=1e-10)


def test_the_real_block_of_a_pair_has_the_stated_response():
    """C A^j B of the book's block is 2 |w| r^j cos(j theta + psi), by SymPy."""
    r, theta, psi, w = sympy.symbols("r theta psi w", positive=True)
    block = r * sympy.Matrix([[sympy.cos(theta), -sympy.sin(theta)],
                              [sympy.sin(theta), sympy.cos(theta)]])
    root = sympy.sqrt(2 * w)
    B, C = sympy.Matrix([root, 0]), sympy.Matrix([[root * sympy.cos(psi), -root * sympy.sin(psi)]])
    for j in range(4):
        gap = (C * block**j * B)[0] - 2 * w * r**j * sympy.cos(j * theta + psi)
        assert sympy.simplify(sympy.expand_trig(gap)) == 0
    at = {r: sympy.Rational(1, 2), theta: 1, psi: sympy.Rational(2, 5), w: 3}
    poles, residues = system([], [(0.5, 1.0, 3.0, 0.4)])
    for M, exact in zip(modal_teacher(poles, residues), (block, B, C), strict=True):
        assert_close(M, torch.tensor(exact.subs(at).evalf().tolist(), dtype=torch.float64),
                     **ROUNDING)


@given(st.lists(st.tuples(st.floats(-1, 1), SIZES), min_size=1, max_size=4))
def test_real_poles_are_diagonal_in_the_order_given_and_norm_balanced(modes):
    poles, residues = system(modes, [])
    assume(len(set(poles)) == len(poles))
    A, B, C = modal_teacher(poles, residues)
    assert torch.equal(A, torch.diag(torch.tensor(poles, dtype=torch.float64)))
    assert torch.equal(B.mT.abs(), C.abs()) and (B > 0).all()
    assert_close((C * B.mT)[0], torch.tensor(residues, dtype=torch.float64), rtol=1e-15, atol=0)


def test_positive_residues_give_the_symmetric_balanced_system():
    A, B, C = modal_teacher([0.5, -0.25], [2.0, 3.0])
    assert torch.equal(A, A.mT) and torch.equal(C, B.mT)


def test_the_order_of_a_pair_does_not_matter():
    poles, residues = system([(0.5, 1.0)], [(0.8, 1.0, 2.0, 0.3)])
    teachers = [modal_teacher(poles[::s], residues[::s]) for s in (1, -1)]
    first, second = (impulse_response(t, 9) for t in teachers)
    assert_close(first, second, **ROUNDING)


@given(st.integers(0, 5), SIZES)
def test_delay_teacher_answers_at_its_lag_only_with_the_least_state(lag, gain):
    teacher = delay_teacher(lag, gain)
    h = impulse_response(teacher, lag + 3)
    expected = torch.zeros(lag + 3, dtype=torch.float64)
    expected[lag] = gain
    assert_close(h, expected, rtol=1e-15, atol=0)  # gain = (sqrt|gain|)^2 but for two roundings
    assert teacher.A.shape == (lag + 1, lag + 1)
    H = torch.tensor([[expected[i + j].item() if i + j < lag + 3 else 0.0
                       for j in range(lag + 2)] for i in range(lag + 2)], dtype=torch.float64)
    assert torch.linalg.matrix_rank(H) == lag + 1  # Kronecker: no smaller state will do
    assert torch.equal(teacher.B.abs().max(), teacher.C.abs().max())


def test_memoryless_teacher_is_a_gain():
    for gain in (2.0, -9, torch.tensor(0.25, dtype=torch.float64), 1e308, -1e-308, 5e-324):
        h = impulse_response(memoryless_teacher(gain), 4)
        assert h.tolist() == pytest.approx([float(gain), 0, 0, 0], rel=1e-15, abs=0)
    assert impulse_response(delay_teacher(2), 4).tolist() == [0, 0, 1, 0]


def test_break_it_a_flipped_residue_and_a_late_response_are_seen():
    poles, residues = system([(0.5, -1.0)], [(0.8, 1.0, 2.0, 0.3)])
    teacher = modal_teacher(poles, residues)
    assert_response_is_the_sum_of_modes(teacher, poles, residues)
    wrong = [teacher._replace(C=teacher.C * torch.tensor([-1, 1, 1])),  # sign of a residue
             teacher._replace(B=teacher.A @ teacher.B),  # one lag late
             teacher._replace(A=teacher.A.mT)]  # the pair turns the other way
    for broken in wrong:
        with pytest.raises(AssertionError):
            assert_response_is_the_sum_of_modes(broken, poles, residues)


def test_each_element_of_a_batch_equals_its_single_call(normal):
    poles, residues = normal(2, 3, 4).tanh(), normal(2, 3, 4, seed=1)
    pairs = torch.complex(poles[..., :2], normal(2, 3, 2, seed=2))
    mixed = torch.cat((pairs, pairs.conj(), poles[..., 3:]), -1)
    weights = torch.cat((pairs * 1j, (pairs * 1j).conj(), residues[..., 3:]), -1)
    for p, w in ((poles, residues), (mixed, weights)):
        teacher = modal_teacher(p, w)
        assert teacher.A.shape == (2, 3, p.shape[-1], p.shape[-1])
        for i in np.ndindex(2, 3):
            one = modal_teacher(p[i], w[i])
            assert all(torch.equal(M[i], N) for M, N in zip(teacher, one, strict=True))


def test_inputs_are_not_modified_nor_shared():
    poles, residues = torch.tensor([0.5, 0.25]).double(), torch.tensor([1.0, -4.0]).double()
    gain = torch.tensor(4.0, dtype=torch.float64)
    for teacher in (modal_teacher(poles, residues), delay_teacher(0, gain)):
        for M in teacher:
            M.fill_(7)
    assert poles.tolist() == [0.5, 0.25] and residues.tolist() == [1, -4] and gain == 4


def test_results_stay_on_the_device_of_the_input():
    poles, residues = torch.tensor([0.5, 0.25]).double(), torch.tensor([1.0, -4.0]).double()
    pair = torch.tensor([0.5j, -0.5j], dtype=torch.complex128)
    gain = torch.tensor(4.0, dtype=torch.float64)

    def results():
        return (*modal_teacher(poles, residues), *modal_teacher(pair, [1.0, 1.0]),
                *delay_teacher(2, gain), *memoryless_teacher(gain))

    plain = results()
    with torch.device("meta"):  # a factory that forgets the device would land here
        elsewhere = results()
    assert all(map(torch.equal, elsewhere, plain))
    assert all(isinstance(t, LinearRNN) for t in (memoryless_teacher(1.0), delay_teacher(1)))


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("poles, residues, argument", [
    ([0.5, 0.5], [1.0, 2.0], "poles must be distinct"),
    ([0.5j, -0.5j, 0.5j, -0.5j], [1.0] * 4, "poles must be distinct"),
    ([0.0, -0.0], [1.0, 2.0], "poles must be distinct"),
    ([0.5, 0.25], [1.0, 0.0], "residues must be nonzero"),
    ([0.5j, -0.5j], [0j, 0j], "residues must be nonzero"),
    ([0.5j], [1.0], "pole .*needs its exact conjugate"),
    ([0.5j, -0.5j, 0.1j], [1.0] * 3, "pole .*needs its exact conjugate"),
    ([0.5j, -0.4j], [1.0, 1.0], "pole .*needs its exact conjugate"),
    ([0.5j, -0.5j], [1.0, 2.0], "residue .*needs its exact conjugate"),
    ([0.5j, -0.5j], [1j, 1j], "residue .*needs its exact conjugate"),
    ([0.5], [1j], "residue .*needs its exact conjugate"),
    ([0.5], [1.0, 2.0], "poles and residues must have the same shape"),
    ([[0.5, 0.1]], [1.0, 2.0], "poles and residues must have the same shape"),
    ([[0.5, 0.1], [0.3, 0.3]], [[1.0, 2.0]] * 2, "poles must be distinct"),
    ([], [], "poles must have at least 1"), (0.5, 1.0, "poles must have at least 1"),
    ([0.5], 1.0, "residues must have at least 1"),
    ([NAN], [1.0], "poles must be finite"), ([0.5], [INF], "residues must be finite"),
    ([complex(0, NAN)], [1.0], "poles must be finite"),
    (torch.tensor([0.5]), [1.0], "poles must be float64"),
    (torch.tensor([0.5j, -0.5j]), [1.0, 1.0], "poles must be float64"),
    ([0.5], torch.tensor([1]), "residues must be float64"),
    (np.ones(1, "f4"), [1.0], "poles must be float64"),
    (["a"], [1.0], "poles must be an array"), (None, [1.0], "poles must be an array"),
    ([[0.5], [0.1, 0.2]], [1.0], "poles must be an array"), ([0.5], [None], "residues must be an"),
    (torch.tensor([0.5]).double(), torch.ones(1, dtype=torch.float64, device="meta"),
     "residues must be on"),
    ([True], [1.0], "poles must hold"), ([0.5], [True], "residues must hold"),
    ([np.float32(0.5)], [1.0], "poles must hold"), ([0.5], [np.complex64(1)], "residues must hold"),
    # h_2 = 1e400; two residues that add up to more than float64 holds, or whose modulus does; and
    # one whose phase no longer has ten digits.
    ([1e200], [1.0], "stays within float64"), ([0.5, -0.5], [1.7e308] * 2, "stays within float64"),
    ([0.5j, -0.5j], [1.7e308 + 1.7e308j, 1.7e308 - 1.7e308j], "stays within float64"),
    ([0.5j, -0.5j], [1e-320 + 2e-320j, 1e-320 - 2e-320j], "stays within float64"),
    ([[0.5], [1e200]], [[1.0], [1.0]], "stays within float64"),
    # A sum of moduli beyond float64, though h is within; h_1 = 4e-316 by way of 3e-318, six digits.
    ([0.5, -0.5], [1.7e308, -1.7e308], "stays within float64"),
    ([3e-320], [12345.0], "stays within float64"),
])
def test_impossible_modes_are_refused(poles, residues, argument):
    with pytest.raises(ValueError, match=argument):
        modal_teacher(poles, residues)


@pytest.mark.parametrize("poles, residues", [
    ([1e150], [1e-300]), ([0.5], [1e308]), ([0.5], [5e-324]), ([1e-200, 0.0], [1.0, -1.0]),
    ([0.5j, -0.5j], [1e300 + 1e300j, 1e300 - 1e300j]),
    ([0.5j, -0.5j], [1e-300 + 1e-300j, 1e-300 - 1e-300j]),
])
def test_modes_of_any_size_that_float64_holds_are_taken(poles, residues):
    h = impulse_response(modal_teacher(poles, residues), 3).numpy()
    expected = sum(w * complex(p)**np.arange(3) for p, w in zip(poles, residues, strict=True)).real
    np.testing.assert_allclose(h, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("call, argument", [
    (lambda: delay_teacher(-1), "lag"), (lambda: delay_teacher(1.0), "lag"),
    (lambda: delay_teacher(True), "lag"), (lambda: delay_teacher(None), "lag"),
    *[(lambda teacher=teacher, gain=gain: teacher(gain), "gain") for gain in
      (0.0, -0.0, NAN, INF, "1", None, 1j, [1.0], [], torch.tensor(1.0), True, np.float32(1))
      for teacher in (memoryless_teacher, lambda gain: delay_teacher(1, gain))],
])
def test_bad_lags_and_gains_are_refused(call, argument):
    with pytest.raises(ValueError, match=argument):
        call()

"""Gradient descent, step by step, against autograd, a scalar iteration and its own records."""

import functools
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from lowdim import flow
from lowdim.flow import gradient_descent
from lowdim.loss import population_loss
from lowdim.rnn import LinearRNN, impulse_response

pytestmark = pytest.mark.usefixtures("no_global_state")

# Twenty contracting steps, each rounded at 1e-15 of numbers of size one.
ROUNDING = dict(rtol=1e-10, atol=1e-12)
NAN, INF = float("nan"), float("inf")
DEFAULTS = dict(lr=0.02, steps=20, record_every=1)
ROUTES = {"compiled": {}, "tensors": {"project": lambda rnn: rnn}}
projected_descent = functools.partial(gradient_descent, **DEFAULTS)


@pytest.fixture(scope="module", params=ROUTES)
def descend(request):
    """gradient_descent by each of its two routes: what holds of one holds of the other."""
    return functools.partial(gradient_descent, **DEFAULTS | ROUTES[request.param])


def scalar(a, b, c):
    """The one-state system with h_j = c a^j b."""
    return LinearRNN(*(torch.tensor([[float(m)]], dtype=torch.float64) for m in (a, b, c)))


def scalars(*triples):
    return LinearRNN(*(torch.stack(M) for M in zip(*(scalar(*t) for t in triples), strict=True)))


def autograd_descent(rnn, h_teacher, lr, steps, S=None):
    """All iterates of theta <- theta - lr grad L, with autograd through matrix powers."""
    k = len(h_teacher)
    S = torch.eye(k, dtype=torch.float64) if S is None else S
    iterates = [rnn]
    for _ in range(steps):
        A, B, C = leaves = [M.clone().requires_grad_() for M in iterates[-1]]
        h = torch.cat([(C @ torch.linalg.matrix_power(A, j) @ B)[0] for j in range(k)])
        r = h - h_teacher
        gradient = torch.autograd.grad(r @ S @ r, leaves, allow_unused=True)
        iterates.append(LinearRNN(*(M.detach() if G is None else (M - lr * G).detach()
                                    for M, G in zip(leaves, gradient, strict=True))))
    return LinearRNN(*(torch.stack(M) for M in zip(*iterates, strict=True)))


def assert_iterates_are_autograds(trace, rnn, h_teacher, lr, S=None):
    expected = autograd_descent(rnn, h_teacher, lr, int(trace.step[-1]), S)
    assert_close(trace.snapshots, LinearRNN(*(M[trace.step] for M in expected)), **ROUNDING)


def assert_records_are_consistent(trace, h_teacher, lr):
    """Every loss is that of its snapshot, and flow time is lr times the steps of each run."""
    h = impulse_response(trace.snapshots, h_teacher.shape[-1])
    assert_close(trace.loss, population_loss(h, h_teacher), **ROUNDING)
    assert trace.step[0] == 0 and (trace.step.diff() > 0).all()
    steps = trace.time / lr  # a frozen run's clock stops at its last step
    reached = trace.step.reshape(-1, *[1] * (trace.time.ndim - 1))
    assert_close(steps, torch.minimum(reached.double(), steps[-1]), rtol=1e-14, atol=0)
    assert trace.step[-1].item() == round(steps[-1].max().item())


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_every_iterate_is_autograds(descend, gaussian, normal, d, k, seed):
    rnn, h_teacher = gaussian(d, seed=seed), normal(k, seed=seed)
    trace = descend(rnn, h_teacher, lr=0.002, steps=8)
    assert trace.step.tolist() == list(range(9)) and trace.reason == "steps"
    assert_iterates_are_autograds(trace, rnn, h_teacher, 0.002)
    assert_records_are_consistent(trace, h_teacher, 0.002)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_every_iterate_on_correlated_inputs_is_autograds(descend, gaussian, normal, d, k, seed):
    rnn, h_teacher, x = gaussian(d, seed=seed), normal(k, seed=seed), normal(3, k, seed=seed)
    S = x.mT @ x / 3  # r^T S r is the mean of (x r)^2
    trace = descend(rnn, h_teacher, lr=0.001, steps=6, covariance=S)
    assert_iterates_are_autograds(trace, rnn, h_teacher, 0.001, S)
    r = impulse_response(trace.snapshots, k) - h_teacher
    assert_close(trace.loss, (r @ x.mT).square().sum(-1) / 3, **ROUNDING)


@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.floats(-1, 1), st.floats(0.001, 0.1))
def test_one_lag_is_the_iteration_of_a_scalar_product(descend, b, c, target, lr):
    """k = 1, d = 1: L = (cb - h*)^2, so b and c step together and a stands still."""
    trace = descend(scalar(0.7, b, c), [target], lr=lr)
    for M, expected in ((trace.snapshots.B, []), (trace.snapshots.C, [])):
        b_t, c_t = b, c
        for _ in trace.step:
            expected.append(b_t if M is trace.snapshots.B else c_t)
            g = 2 * (c_t * b_t - target)
            b_t, c_t = b_t - lr * g * c_t, c_t - lr * g * b_t
        assert M.flatten().tolist() == pytest.approx(expected, rel=1e-10, abs=1e-12)
    assert (trace.snapshots.A == 0.7).all()


def test_break_it_a_wrong_rate_and_a_shifted_record_are_seen(descend, gaussian, normal):
    rnn, h_teacher = gaussian(2), normal(4)
    trace = descend(rnn, h_teacher)
    late = trace._replace(loss=trace.loss.roll(1))
    with pytest.raises(AssertionError):
        assert_records_are_consistent(late, h_teacher, 0.02)
    with pytest.raises(AssertionError):
        assert_records_are_consistent(trace, h_teacher, 0.01)
    with pytest.raises(AssertionError):
        assert_iterates_are_autograds(descend(rnn, h_teacher, lr=0.01), rnn, h_teacher, 0.02)


def test_break_it_half_a_loss_is_seen_on_both_routes(gaussian, normal, monkeypatch):
    rnn, h_teacher = gaussian(2), normal(4)
    gradient, kernel = flow.loss_and_gradient, flow.descend

    def half_gradient(*arguments):
        loss, G = gradient(*arguments)
        return 0.5 * loss, G.map(lambda M: 0.5 * M)

    def half_kernel(*arguments):
        kernel(*arguments)
        arguments[8][:] *= 0.5  # the losses

    monkeypatch.setattr(flow, "loss_and_gradient", half_gradient)
    monkeypatch.setattr(flow, "descend", half_kernel)
    for route in ROUTES.values():
        trace = gradient_descent(rnn, h_teacher, **DEFAULTS | route)
        with pytest.raises(AssertionError):
            assert_records_are_consistent(trace, h_teacher, 0.02)


def test_records_come_at_multiples_and_at_the_end_once(descend, gaussian, normal):
    rnn, h_teacher = gaussian(2), normal(4)
    every = descend(rnn, h_teacher, steps=20)
    for steps, record_every, expected in ((20, 5, [0, 5, 10, 15, 20]), (20, 7, [0, 7, 14, 20]),
                                          (20, 50, [0, 20]), (1, 1, [0, 1]), (0, 3, [0])):
        trace = descend(rnn, h_teacher, steps=steps, record_every=record_every)
        assert trace.step.tolist() == expected and trace.step.dtype == torch.int64
        assert all(map(torch.equal, trace.snapshots, (M[expected] for M in every.snapshots)))
        assert torch.equal(trace.loss, every.loss[expected])


def test_zero_steps_record_the_start_only(descend, gaussian, normal):
    rnn, h_teacher = gaussian(2, 3), normal(4)
    trace = descend(rnn, h_teacher, steps=0)
    assert trace.step.tolist() == [0] and trace.time.tolist() == [[0.0] * 3]
    assert all(map(torch.equal, (M[0] for M in trace.snapshots), rnn))
    assert trace.reason.tolist() == ["steps"] * 3
    done = descend(rnn, h_teacher, steps=0, loss_tol=1e9)
    assert done.reason.tolist() == ["loss_tol"] * 3


def test_a_run_ends_at_the_first_loss_within_tolerance(descend):
    rnn, h_teacher = scalar(0.5, 1, 1), torch.tensor([2.0, 1.0], dtype=torch.float64)
    losses = descend(rnn, h_teacher, steps=60).loss
    tol = losses[25].item()
    trace = descend(rnn, h_teacher, steps=60, record_every=10, loss_tol=tol)
    assert trace.reason == "loss_tol" and trace.step.tolist() == [0, 10, 20, 25]
    assert torch.equal(trace.loss, losses[[0, 10, 20, 25]])  # "<=": the tolerance itself will do
    assert (losses[:25] > tol).all()


def test_a_start_within_tolerance_does_not_move(descend):
    trace = descend(scalar(0.5, 1, 1), [1.0, 0.5])
    assert trace.step.tolist() == [0] and trace.loss.item() == 0 and trace.reason == "loss_tol"


def test_a_diverged_run_keeps_its_last_finite_iterate(descend):
    rnn, h_teacher = scalar(0.5, 3, 1), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    trace = descend(rnn, h_teacher, lr=1.0, steps=50)
    assert trace.reason == "diverged" and trace.step[-1] < 50
    assert all(torch.isfinite(M).all() for M in (trace.loss, trace.time, *trace.snapshots))
    assert_records_are_consistent(trace, h_teacher, 1.0)
    last = trace.snapshots.at(-1)
    after = autograd_descent(last, h_teacher, 1.0, 1)  # one more step leaves float64
    assert not torch.isfinite(population_loss_of(after.at(1), h_teacher))


def population_loss_of(rnn, h_teacher):
    A, B, C = (M.item() for M in rnn)
    h = torch.tensor([C * A**j * B if abs(A) < 1e100 else float("inf")
                      for j in range(len(h_teacher))], dtype=torch.float64)
    return (h - h_teacher).square().sum()


def test_a_huge_rate_diverges_at_once_and_leaves_the_start(descend):
    rnn = scalar(0.5, 3, 1)
    trace = descend(rnn, [1.0, 0.0, 0.0], lr=1e200)
    assert trace.step.tolist() == [0] and trace.reason == "diverged"
    assert all(torch.equal(M[-1], N) for M, N in zip(trace.snapshots, rnn, strict=True))


MIXED = scalars((0.5, 1, 1), (0.5, 1, 1), (0.5, 3, 1), (0.5, 1, 2), (0.1, 0.2, 0.3))
TARGETS = torch.tensor([[1.0, 0.5], [2.0, 1.0], [1.0, 0.0], [1.0, 0.3], [0.5, 0.5]],
                       dtype=torch.float64)
RATES = torch.tensor([0.1, 0.05, 3.0, 0.05, 0.001], dtype=torch.float64)
REASONS = ["loss_tol", "loss_tol", "diverged", "loss_tol", "steps"]


def test_endings_of_every_kind_in_one_batch_agree_with_single_runs(descend):
    trace = descend(MIXED, TARGETS, lr=RATES, steps=400, loss_tol=1e-6)
    assert trace.reason.tolist() == REASONS
    assert trace.step[-1] == 400  # one run is still going
    assert_records_are_consistent(trace, TARGETS, RATES)
    for i, reason in enumerate(REASONS):
        one = descend(MIXED.at(i), TARGETS[i], lr=RATES[i].item(), steps=400, loss_tol=1e-6)
        end = int(one.step[-1])
        assert one.reason == reason and trace.time[-1, i] == one.time[-1]
        # a run that blows up doubles digits each step, so only its losses' first digits agree
        assert_close(trace.loss[:end + 1, i], one.loss, rtol=1e-6, atol=1e-12)
        assert_close(trace.snapshots.at((-1, i)), one.snapshots.at(-1), rtol=1e-6,
                     atol=1e-12)


def test_a_finished_element_is_frozen_to_the_last_bit(descend):
    trace = descend(MIXED, TARGETS, lr=RATES, steps=400, loss_tol=1e-6)
    for i, end in enumerate((trace.time[-1] / RATES).round().int().tolist()):
        for M in (trace.loss, trace.time, *trace.snapshots):
            assert torch.equal(M[end:, i], M[end, i].expand_as(M[end:, i]))
        # the same batch, run only so far, ends at the same bits
        short = descend(MIXED, TARGETS, lr=RATES, steps=end, record_every=400, loss_tol=1e-6)
        assert all(torch.equal(M[-1, i], N[-1, i])
                   for M, N in zip(trace.snapshots, short.snapshots, strict=True))


@given(st.permutations(range(5)))
def test_a_permuted_batch_gives_permuted_runs(descend, order):
    trace = descend(MIXED, TARGETS, lr=RATES, steps=40, loss_tol=1e-6)
    moved = descend(MIXED.at(order), TARGETS[order], lr=RATES[order], steps=40, loss_tol=1e-6)
    assert moved.reason.tolist() == trace.reason[list(order)].tolist()
    assert_close(moved.loss, trace.loss[:, order], rtol=1e-6, atol=1e-12)  # as above: blow-up


def test_every_argument_may_have_a_batch_axis(descend, gaussian, normal):
    rnn, targets, x = gaussian(2, 2, 3), normal(2, 3, 4), normal(2, 3, 5, 4)
    S, lr = x.mT @ x / 5, torch.tensor([0.001, 0.002, 0.004], dtype=torch.float64)
    tol = torch.tensor([[0.5], [1e9]], dtype=torch.float64)
    trace = descend(rnn, targets, lr=lr, loss_tol=tol, covariance=S)
    assert trace.loss.shape == trace.time.shape == (21, 2, 3) and trace.reason.shape == (2, 3)
    assert trace.reason[1].tolist() == ["loss_tol"] * 3
    for i in np.ndindex(2, 3):
        one = descend(rnn.at(i), targets[i], lr=lr[i[1]], loss_tol=tol[i[0], 0],
                      covariance=S[i])
        assert one.reason == trace.reason[i] and one.time[-1] == trace.time[(-1, *i)]
        assert_close(trace.snapshots.at((-1, *i)), one.snapshots.at(-1), **ROUNDING)


def test_project_is_called_after_each_step_and_its_result_is_used(gaussian, normal):
    rnn, h_teacher, calls = gaussian(3), normal(4), []

    def symmetrise(new):
        calls.append(new)
        return LinearRNN((new.A + new.A.mT) / 2, new.B, new.C)

    trace = projected_descent(rnn, h_teacher, lr=0.01, project=symmetrise)
    assert len(calls) == 20
    for t in range(20):  # each iterate is the projection of one autograd step from the last
        step = autograd_descent(trace.snapshots.at(t), h_teacher, 0.01, 1).at(1)
        assert_close(calls[t], step, **ROUNDING)
        assert_close(trace.snapshots.A[t + 1], (step.A + step.A.mT) / 2, **ROUNDING)
    assert torch.equal(trace.snapshots.A[0], rnn.A)  # the start is not projected
    assert_records_are_consistent(trace, h_teacher, 0.01)


def test_project_does_not_move_a_finished_element():
    offered = []

    def drift(rnn):
        offered.append(rnn.A[0].item())
        return rnn._replace(A=rnn.A + 0.1)

    trace = projected_descent(scalars((0.5, 1, 1), (0.5, 1, 2)), [1.0, 0.5], project=drift, steps=3)
    assert trace.reason.tolist() == ["loss_tol", "steps"]
    assert trace.snapshots.A[:, 0].flatten().tolist() == [0.5] * 4
    assert offered == [0.5] * 3  # its gradient stays that of the frozen point, which is zero


def test_nothing_is_computed_once_every_run_has_ended():
    calls = []
    ended = scalars((0.5, 3, 1), (0.5, 1, 1))
    trace = projected_descent(ended, [1.0, 0.5], lr=1e200, steps=50,
                              project=lambda rnn: calls.append(0) or rnn)
    assert trace.reason.tolist() == ["diverged", "loss_tol"] and len(calls) == 1


def test_inputs_are_not_modified_and_no_record_shares_their_memory(descend, gaussian, normal):
    rnn, h_teacher, lr = gaussian(2, 2), normal(2, 4), torch.tensor([0.01, 0.02]).double()
    S = torch.eye(4, dtype=torch.float64)
    inputs = (*rnn, h_teacher, lr, S)
    copies = [M.clone() for M in inputs]
    for steps in (0, 5):
        trace = descend(rnn, h_teacher, lr=lr, steps=steps, covariance=S)
        for M in (trace.time, trace.loss, *trace.snapshots, *trace.last):
            M.fill_(7)
    assert all(map(torch.equal, inputs, copies))


def test_results_stay_on_the_device_of_the_input(descend, gaussian, normal):
    rnn, h_teacher = gaussian(2, 3), normal(4)

    def results():
        traces = (descend(rnn, h_teacher), descend(rnn, h_teacher.tolist(), lr=[0.01, 0.02, 9.0]),
                  descend(rnn, h_teacher, covariance=np.eye(4).tolist(), loss_tol=0.1))
        return [M for t in traces for M in (t.step, t.time, t.loss, *t.snapshots)]

    plain = results()
    with torch.device("meta"):  # a factory that forgets the device would land here
        elsewhere = results()
    assert all(map(torch.equal, elsewhere, plain))


@given(st.integers(1, 12), st.integers(1, 9), st.booleans(), st.integers(0, 99))
def test_both_routes_take_the_same_steps(gaussian, normal, d, k, correlated, seed):
    rnn, h_teacher, x = gaussian(d, 3, seed=seed), normal(3, k, seed=seed), normal(3, 5, k)
    problem = dict(lr=[0.0005, 0.001, 0.002], steps=30, record_every=7, loss_tol=[2.0, 0.1, 0.0],
                   covariance=x.mT @ x / 5 if correlated else None)
    ours, oracle = (gradient_descent(rnn, h_teacher, **problem | route)
                    for route in ROUTES.values())
    assert ours.reason.tolist() == oracle.reason.tolist()
    # Thirty steps of this size stretch a difference of rounding size a thousandfold at most.
    assert_close((ours.loss, *ours.last), (oracle.loss, *oracle.last), rtol=1e-9, atol=1e-11)
    assert torch.equal(ours.time, oracle.time)


def test_a_compiled_run_does_not_depend_on_batch_threads_or_records(gaussian, normal):
    rnn, h_teacher = gaussian(6, 40), normal(40, 7)
    problem = dict(lr=0.003, loss_tol=0.1, steps=400)
    alone = [gradient_descent(rnn.at(i), h_teacher[i], record_every=400, **problem)
             for i in range(40)]
    threads = torch.get_num_threads()
    try:
        for count, record_every in ((1, 400), (2, 400), (3, 30)):
            torch.set_num_threads(count)
            trace = gradient_descent(rnn, h_teacher, record_every=record_every, **problem)
            assert {"loss_tol", "steps"} <= set(trace.reason.tolist())
            for i, one in enumerate(alone):
                assert torch.equal(trace.loss[-1, i], one.loss[-1])
                assert all(map(torch.equal, trace.last.at(i), one.last))
    finally:
        torch.set_num_threads(threads)


def test_the_last_iterate_and_the_losses_need_no_snapshots(descend, gaussian, normal):
    rnn, h_teacher = gaussian(2, 3), normal(4)
    whole, bare = (descend(rnn, h_teacher, record_every=7, snapshots=s) for s in (True, False))
    assert bare.snapshots is None
    for M, N in ((whole.loss, bare.loss), (whole.time, bare.time), (whole.step, bare.step),
                 *zip(whole.last, bare.last, strict=True),
                 *zip(whole.last, whole.snapshots.at(-1), strict=True)):
        assert torch.equal(M, N)


def test_memory_stays_near_the_size_of_the_trace(descend, gaussian, normal):
    """Counted by tracemalloc: the arrays of NumPy, which hold the records on both routes."""
    rnn, h_teacher = gaussian(10, 100), normal(4)
    descend(rnn, h_teacher, steps=2)
    tracemalloc.start()
    try:
        trace = descend(rnn, h_teacher, lr=1e-3, steps=150)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        bare = descend(rnn, h_teacher, lr=1e-3, steps=150, snapshots=False)
        peak_of_bare = tracemalloc.get_traced_memory()[1] - tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    size = sum(M.nbytes for M in (trace.step, trace.loss, trace.time, *trace.snapshots))
    assert size <= 1.05 * peak and peak <= 1.2 * size  # the first: that anything was counted
    assert peak_of_bare <= 0.05 * size and len(bare.loss) == 151


def test_runs_that_require_gradients_are_trained_as_plain_numbers(descend, gaussian, normal):
    rnn, h_teacher = gaussian(2), normal(4)
    plain = descend(rnn, h_teacher)
    for leaves in (rnn.map(lambda M: M.clone().requires_grad_()), rnn):
        trace = descend(leaves, h_teacher)
        assert not trace.loss.requires_grad and torch.equal(trace.loss, plain.loss)


def test_a_projection_beyond_float64_is_a_divergence(gaussian):
    """With k = 1 the loss does not see A: a NaN there must not pass for convergence."""
    def spoil(rnn):
        return rnn._replace(A=rnn.A * torch.tensor([1.0, NAN, INF]).double()[:, None, None])

    trace = projected_descent(gaussian(2, 3), [1.0], project=spoil)
    assert trace.reason.tolist() == ["steps", "diverged", "diverged"]
    assert all(torch.isfinite(M).all() for M in trace.last)


ONE, PAIR = scalar(0.5, 1, 1), scalars((0.5, 1, 1), (0.5, 1, 2))
H = torch.tensor([1.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("rnn, changes, argument", [
    (None, {}, "rnn must"), (tuple(ONE), {}, "rnn must"),
    (ONE._replace(B=ONE.B.float()), {}, "B must be float64"),
    (ONE._replace(A=ONE.A * NAN), {}, "A must be finite"),
    (scalar(1e200, 1e200, 1e200), {}, "loss of rnn is not finite"),
    (ONE, {"h_teacher": []}, "h_teacher"), (ONE, {"h_teacher": 1.0}, "h_teacher"),
    (ONE, {"h_teacher": H.float()}, "h_teacher must be float64"),
    (ONE, {"h_teacher": [NAN]}, "h_teacher must be finite"),
    (ONE, {"h_teacher": H.to("meta")}, "h_teacher must be on"),
    (ONE, {"h_teacher": [[1.0, 0.0]] * 2}, "h_teacher has leading axes"),
    (PAIR, {"h_teacher": [[1.0, 0.0]] * 3}, "h_teacher has leading axes"),
    *[(ONE, {"lr": lr}, "lr must") for lr in (0.0, -0.1, NAN, INF, None, "1", 1j, [],
                                              torch.tensor(0.1))],
    (PAIR, {"lr": [0.1, 0.0]}, "lr must be positive"), (ONE, {"lr": [0.1, 0.1]}, "lr has leading"),
    (PAIR, {"lr": [0.1] * 3}, "lr has leading"),
    *[(ONE, {"steps": steps}, "steps") for steps in (-1, 2.0, True, None, "3")],
    *[(ONE, {"record_every": every}, "record_every") for every in (0, -1, 2.0, True, None)],
    *[(ONE, {"loss_tol": tol}, "loss_tol") for tol in (-1e-9, NAN, INF, None, "0", [0.1, 0.2])],
    (ONE, {"covariance": [1.0, 2.0]}, "covariance"),
    (ONE, {"covariance": np.eye(3).tolist()}, "covariance must be"),
    (ONE, {"covariance": torch.eye(2)}, "covariance must be float64"),
    (ONE, {"covariance": [[1.0, 1.0], [0.0, 1.0]]}, "covariance must be symmetric"),
    (ONE, {"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "covariance must be positive"),
    (ONE, {"covariance": [np.eye(2).tolist()] * 2}, "covariance"),
    (PAIR, {"covariance": [np.eye(2).tolist()] * 3}, "covariance"),
    (PAIR, {"project": lambda rnn: rnn.at(0)}, "project must"),
    (ONE, {"project": lambda rnn: PAIR}, "project must"),
    (ONE, {"project": lambda rnn: rnn.map(torch.Tensor.float)}, "project must"),
    (ONE, {"project": lambda rnn: rnn.A}, "project must"),
    (ONE, {"project": lambda rnn: rnn[:2]}, "project must"),
    (ONE, {"project": lambda rnn: rnn.map(torch.Tensor.numpy)}, "project must"),
])
def test_bad_arguments_are_refused(rnn, changes, argument):
    good = {"h_teacher": H, "lr": 0.1, "steps": 3, "record_every": 1}
    with pytest.raises(ValueError, match=argument):
        gradient_descent(rnn, **good | changes)

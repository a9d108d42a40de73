"""The bank's parts: order, schedules, chunks, exam sheets, rows, threads."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from soundfit.bank import BankData, MemberRows
from soundfit.bank.architecture import architecture_key
from soundfit.bank.chunk import MemberNeed, chunk_bounds, members_at_once
from soundfit.bank.evaluation import TapedExam, answered, exam_groups, exam_losses, exam_sheets
from soundfit.bank.loss import resolve_loss
from soundfit.bank.order import epoch_order, steps_per_epoch
from soundfit.bank.program import Program
from soundfit.bank.schedule import SCHEDULES, multiplier, multiplier_table
from soundfit.bank.stack import stack_modules
from soundfit.bank.tape import Tape
from soundfit.bank.threads import at_places

CPU = torch.device("cpu")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(n=st.integers(1, 300), batch=st.integers(1, 70), seed=st.integers(0, 10**6), epoch=st.integers(1, 50))
def test_an_epoch_is_the_start_of_a_permutation(n: int, batch: int, seed: int, epoch: int) -> None:
    order = epoch_order(n, batch, seed=seed, epoch=epoch, device=CPU)
    assert order.shape == (steps_per_epoch(n, min(n, batch)), min(n, batch))
    flat = order.flatten().tolist()
    assert len(set(flat)) == len(flat)
    assert min(flat) >= 0
    assert max(flat) < n
    assert torch.equal(order, epoch_order(n, batch, seed=seed, epoch=epoch, device=CPU))


def test_orders_of_epochs_and_seeds_differ_and_reach_all_rows() -> None:
    orders = [epoch_order(50, 16, seed=s, epoch=e, device=CPU) for s in (0, 1) for e in range(1, 30)]
    assert len({tuple(o.flatten().tolist()) for o in orders}) == len(orders)
    first = np.bincount([int(o[0, 0]) for o in orders], minlength=50)
    assert first.max() <= 8
    assert len(set(torch.cat([o.flatten() for o in orders]).tolist())) == 50


@settings(max_examples=200, deadline=None, derandomize=True)
@given(runs=st.lists(st.integers(1, 30), min_size=1, max_size=12), at_once=st.integers(1, 64))
def test_chunks_cover_members_once_and_keep_the_limit(runs: list[int], at_once: int) -> None:
    streams = [k for k, n in enumerate(runs) for _ in range(n)]
    bounds = chunk_bounds(streams, at_once)
    assert [a for a, _ in bounds] == [0, *(b for _, b in bounds[:-1])]
    assert bounds[-1][1] == len(streams)
    sizes = [b - a for a, b in bounds]
    assert max(sizes) <= at_once
    assert min(sizes) >= 1
    if at_once <= 2 * min(runs):
        assert all(len(set(streams[a:b])) == 1 for a, b in bounds)
    else:
        assert max(sizes) - min(sizes) <= 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(parameters=st.integers(1, 10**6), activations=st.integers(1, 10**6), memory=st.integers(10**6, 10**10))
def test_members_at_once_fit_the_memory(parameters: int, activations: int, memory: int) -> None:
    need = MemberNeed(parameters, activations)
    n = members_at_once(need, device=CPU, memory_bytes=memory)
    assert n >= 1
    if n > 1:
        assert n * need.peak_bytes <= memory


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_schedules_stay_between_0_and_1(schedule: str) -> None:
    curve = multiplier(schedule, 100, 0.1)
    assert curve.shape == (100,)
    assert curve.min() >= 0
    assert curve.max() <= 1
    assert curve.max() > 0.9


def test_a_schedule_table_ends_with_its_member() -> None:
    table = multiplier_table([("constant", 3, 0.0), ("cosine", 5, 0.0)])
    assert table.shape == (5, 2)
    assert table[:, 0].tolist() == [1, 1, 1, 0, 0]
    with pytest.raises(ValueError, match="a schedule is one of"):
        multiplier("linear", 3, 0.0)


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("limit", ["one sheet", "sheets of their own", "many passes"])
@pytest.mark.parametrize("taped", [False, True])
def test_exams_equal_a_plain_loop(kind: str, limit: str, taped: bool, problem: Any, monkeypatch: Any) -> None:
    if limit != "one sheet":
        monkeypatch.setattr("soundfit.bank.evaluation.GATHER_BYTES", 0)
    p = problem(kind=kind)
    # Folds of different sizes, and a member with no validation rows: judged by its training rows.
    short = MemberRows(1, p.folds[1].train[:70], p.folds[1].validation[:20], 1)
    bare = MemberRows(2, p.folds[2].train, p.folds[2].validation[:0], 2)
    rows = [p.folds[0], p.folds[0], short, bare]
    name = "mse" if kind == "regression" else "cross_entropy"
    torch.manual_seed(0)
    modules = [
        nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 1 if name == "mse" else 3))
        for _ in rows
    ]
    stack = stack_modules(modules, sample=p.data.sample(8), device=CPU)
    loss = resolve_loss(name)
    groups = exam_groups(rows, CPU)
    program = Program(stack, loss)
    answer = (
        TapedExam(program, stack, p.data, fuse=False) if taped else partial(answered, program, stack, p.data)
    )
    sheets = exam_sheets(groups, p.data, 13) if limit == "many passes" else exam_sheets(groups, p.data)
    first = exam_losses(sheets, answer)
    training, validation = exam_losses(sheets, answer)
    assert torch.equal(torch.stack(first), torch.stack((training, validation)))
    of_member = [next(g for g in groups if g.members.start <= i < g.members.stop) for i in range(4)]
    for i, (module, group) in enumerate(zip(modules, of_member, strict=True)):
        module.eval()
        judged = group.validation if len(group.validation) else group.training
        for got, where in ((training[i], group.training), (validation[i], judged)):
            x, y = p.data.inputs_VN[group.view][where], p.data.targets_VN[group.view][where]
            assert float(got) == pytest.approx(
                float(loss(module(x), y, torch.tensor(0.0)).detach()), rel=1e-4
            )


def test_an_exam_of_many_passes_records_one_pass_of_each_shape(problem: Any, monkeypatch: Any) -> None:
    p = problem(kind="regression")
    stack = stack_modules([nn.Linear(5, 1) for _ in range(2)], sample=p.data.sample(8), device=CPU)
    sheets = exam_sheets(exam_groups([p.folds[0]] * 2, CPU), p.data, 7)
    shapes = {sheet.rows.shape for sheet in sheets[0]}
    assert len(sheets[0]) > 3 > len(shapes)
    made = []

    def tape(*args: Any, **options: Any) -> Tape:
        made.append(options)
        return Tape(*args, **options)

    monkeypatch.setattr("soundfit.bank.evaluation.Tape", tape)
    answer = TapedExam(Program(stack, resolve_loss("mse")), stack, p.data, fuse=False)
    for _ in range(2):
        exam_losses(sheets, answer)
    assert len(made) == len(shapes)


def test_streams_are_equal_for_equal_rows_only() -> None:
    a = np.arange(5)
    assert MemberRows(0, a, a, 1).stream == MemberRows(0, a.copy(), a[:2], 1).stream
    others = [MemberRows(1, a, a, 1), MemberRows(0, a, a, 2), MemberRows(0, a[::-1].copy(), a, 1)]
    assert len({r.stream for r in [MemberRows(0, a, a, 1), *others]}) == 4


def test_bank_data_is_single_precision_and_checks_its_axes() -> None:
    half = BankData.of(np.zeros((1, 4, 2), dtype=np.float16), np.zeros((1, 4, 1)))
    assert half.inputs_VN.dtype == half.targets_VN.dtype == torch.float32
    codes = BankData.of(np.zeros((1, 4, 2), dtype=np.int64), np.zeros((1, 4), dtype=np.int64))
    assert codes.inputs_VN.dtype == codes.targets_VN.dtype == torch.int64
    with pytest.raises(ValueError, match="agree in their first two axes"):
        BankData.of(np.zeros((1, 4, 2)), np.zeros((1, 5)))


def test_architecture_keys_read_constants_not_weights() -> None:
    assert architecture_key(nn.Linear(2, 3)) == architecture_key(nn.Linear(2, 3))
    frozen = nn.Linear(2, 3).requires_grad_(False)
    others = [nn.Linear(2, 3, bias=False), nn.Linear(3, 2), frozen, nn.Sequential(nn.Linear(2, 3))]
    activations = [nn.LeakyReLU(0.1), nn.LeakyReLU(0.2), nn.ReLU(), nn.GELU(), nn.GELU(approximate="tanh")]
    keys = [architecture_key(m) for m in [nn.Linear(2, 3), *others, *activations]]
    assert len(set(keys)) == len(keys)


def test_results_of_threads_keep_their_order_and_errors_surface() -> None:
    assert at_places(lambda x, place: x * x, list(range(7)), 3) == [x * x for x in range(7)]
    with pytest.raises(ZeroDivisionError):
        at_places(lambda x, place: 1 // x, [1, 0, 2], 2)
    before = torch.get_num_threads()
    assert at_places(lambda _, place: torch.get_num_threads(), [0, 1], 2) == [1, 1]
    assert torch.get_num_threads() == before


def test_modules_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one architecture"):
        stack_modules([nn.Linear(2, 3), nn.Linear(3, 3)], sample=torch.zeros(2, 2), device=CPU)
    with pytest.raises(ValueError, match="at least one trainable parameter"):
        stack_modules([nn.Tanh()], sample=torch.zeros(2, 2), device=CPU)


def test_stacking_and_unstacking_keep_every_value() -> None:
    modules: list[nn.Module] = [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)) for _ in range(3)]
    modules[1][0].bias.requires_grad_(False)  # type: ignore[index, union-attr]
    for module in modules:
        module[0].bias.requires_grad_(False)  # type: ignore[index]
        module[1].running_mean.normal_()  # type: ignore[index]
    stack = stack_modules(modules, sample=torch.randn(4, 3), device=CPU)
    for module, state in zip(modules, stack.members(), strict=True):
        assert all(torch.equal(state[n], v) for n, v in module.state_dict().items())
    assert set(stack.mutated) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}

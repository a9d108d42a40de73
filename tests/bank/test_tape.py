"""A replayed tape computes what its function computes, on whatever values its tensors hold."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from soundfit.bank.recorder import record
from soundfit.bank.tape import Tape

CPU = torch.device("cpu")
Function = Callable[[], tuple[Tensor, ...]]


def check(make: Callable[[list[Tensor]], Function], tensors: list[Tensor], *, state: bool = False) -> Tape:
    """Replay against a plain run on three sets of fresh values; return the tape."""
    generator = torch.Generator().manual_seed(1)
    twins = [t.clone() for t in tensors]
    mine, twin = make(tensors), make(twins)
    with torch.no_grad():
        tape = Tape(mine, device=CPU)
        expected = twin()
        for _ in range(3):
            for a, b in zip(tape.outputs, expected, strict=True):
                assert torch.equal(a, b)
            for a, b in zip(tensors, twins, strict=True):
                assert torch.equal(a, b)
                if not state and a.is_floating_point():
                    a.copy_(torch.randn(a.shape, generator=generator))
                    b.copy_(a)
            assert tape.replay() is tape.outputs
            expected = twin()
    return tape


def test_pointwise_chains_reuse_memory_and_keep_what_is_read_later() -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            a = t[0] * 2
            b = a + t[1]
            c = torch.tanh(b)
            return c * a, b

        return run

    check(make, [torch.randn(3, 4), torch.randn(4)])


def test_views_of_intermediates_alias_them() -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            a = t[0] @ t[1]
            left, right = a[:, :2], a.t()
            left.add_(1.0)
            return (right.reshape(-1) * 3, left.sum(0))

        return run

    check(make, [torch.randn(3, 4), torch.randn(4, 5)])


def test_state_changed_in_place_advances_once_a_replay() -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            t[0].mul_(0.9).add_(t[1])
            t[2].add_(1)
            return (t[0] ** t[2],)

        return run

    check(make, [torch.rand(4), torch.rand(4), torch.ones(())], state=True)


def test_constants_are_computed_once_unless_written() -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            counter = torch.arange(4).float() * 2
            total = torch.zeros(4)
            total.add_(t[0])
            total.index_add_(0, torch.tensor([1, 1]), t[0][:2])
            return (total + counter,)

        return run

    tape = check(make, [torch.randn(4)])
    names = [op.func.overloadpacket.__name__ for op in record(make([torch.randn(4)]), CPU).ops]
    assert "arange" in names
    assert len(tape.calls) < len(names)


def test_a_product_with_ones_costs_nothing() -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            a = torch.exp(t[0])
            return (torch.sin(a * torch.ones_like(a)), a)

        return run

    assert len(check(make, [torch.randn(5)]).calls) == 2


def test_what_nobody_reads_is_left_out() -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            torch.linalg.vector_norm(t[0] * 5)
            return (t[0] + 1,)

        return run

    assert len(check(make, [torch.randn(5)]).calls) == 1


def test_memory_is_lent_on() -> None:
    x = torch.randn(64, 64)

    def run() -> tuple[Tensor, ...]:
        y = x
        for _ in range(20):
            y = torch.tanh(y @ x)
        return (y,)

    with torch.no_grad():
        tape = Tape(run, device=CPU)
        expected = run()[0]
        assert torch.equal(tape.replay()[0], expected)
    memory = {c[2]["out"].untyped_storage().data_ptr() for c in tape.calls}
    assert len(memory) <= 3


def test_operations_without_an_out_variant_and_with_many_outputs() -> None:
    norm = nn.LayerNorm(6)

    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            a = nn.functional.gelu(norm(t[0]))
            values, where = a.max(dim=1)
            return values, where, torch.relu(a).clone(), a.sort(dim=1).values

        return run

    check(make, [torch.randn(5, 6)])


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_changes_its_statistics_once_a_replay(training: bool) -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            return (nn.functional.batch_norm(t[0], t[1], t[2], training=training),)

        return run

    check(make, [torch.randn(8, 3), torch.zeros(3), torch.ones(3)], state=True)


def test_gradients() -> None:
    def make(t: list[Tensor]) -> Function:
        def run() -> tuple[Tensor, ...]:
            with torch.enable_grad():
                w = t[0].detach().requires_grad_()
                loss = torch.relu(t[1] @ w).square().mean()
                (g,) = torch.autograd.grad(loss, w)
            return g, loss.detach()

        return run

    check(make, [torch.randn(4, 3), torch.randn(6, 4)])


def test_errors_of_the_function_surface() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        Tape(lambda: (torch.ones(2, 3) @ torch.ones(2, 3),), device=CPU)


def test_many_replays_are_as_many_single_ones() -> None:
    def make(t: list[Tensor]) -> Function:
        # Reads its row by a counter that it advances itself, as a training step does.
        def run() -> tuple[Tensor, ...]:
            x = t[0].index_select(0, t[1])[0]
            t[2].add_(torch.tanh(x @ t[3])).mul_(0.9)
            t[1].add_(1)
            return (t[2].sum(),)

        return run

    generator = torch.Generator().manual_seed(0)
    first = [
        torch.randn(12, 3, 4, generator=generator),
        torch.zeros(1, dtype=torch.int32),
        torch.zeros(3, 5),
        torch.randn(4, 5, generator=generator),
    ]
    second = [t.clone() for t in first]
    at_once, single = (Tape(make(t), device=CPU) for t in (first, second))
    (a,) = at_once.replay(7)
    for _ in range(7):
        (b,) = single.replay()
    assert first[1].item() == 8
    assert torch.equal(a, b)
    assert torch.equal(first[2], second[2])


class _Graph:
    """Stands in for a CUDA graph: captures by doing nothing, or not at all."""

    made = 0

    def __init__(self, tape: Tape, runs: int) -> None:
        self.tape, self.runs = tape, runs
        _Graph.made += 1

    def replay(self) -> None:
        self.tape._run(self.runs)


def _counting_tape() -> tuple[Tape, Tensor]:
    count, x = torch.zeros(1), torch.ones(3)

    def function() -> tuple[Tensor, ...]:
        count.add_(1.0)
        return (x * count,)

    tape = Tape(function, device=CPU)
    tape.device = torch.device("cuda")
    return tape, count


def test_many_runs_are_launched_in_few_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, count = _counting_tape()
    monkeypatch.setattr(Tape, "_captured", lambda self, times: _Graph(self, times))
    monkeypatch.setattr("soundfit.bank.tape.GRAPH_CALLS", 5 * len(tape.calls))
    _Graph.made = 0
    (y,) = tape.replay(12)
    assert count.item() == 1 + 12
    assert y.tolist() == [13.0] * 3
    assert _Graph.made == 2  # one of five runs, one of a single run


def test_what_cannot_be_captured_is_run_call_by_call(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, count = _counting_tape()

    def refuse(self: Tape, times: int) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(Tape, "_captured", refuse)
    with pytest.warns(RuntimeWarning, match="not permitted when stream is capturing"):
        tape.replay(3)
    (y,) = tape.replay(2)
    assert count.item() == 1 + 5
    assert y.tolist() == [6.0] * 3


def test_memory_that_runs_out_while_capturing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    tape, _ = _counting_tape()

    def no_room(self: Tape, times: int) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Tape, "_captured", no_room)
    with pytest.raises(torch.OutOfMemoryError):
        tape.replay()

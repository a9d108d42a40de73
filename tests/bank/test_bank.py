"""Who else is in the bank never matters: order, chunks, threads, rollbacks, leaving, restarts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from soundfit.bank import Bank, BankData, MemberRows, train_members
from soundfit.bank.bank import MAX_ROLLBACKS
from soundfit.bank.loss import resolve_loss
from soundfit.bank.stack import stack_modules
from soundfit.records import Config

CPU = torch.device("cpu")
BASE = Config(epochs=6, batch_size=24, width=8, learning_rate=5e-3)

configurations = st.builds(
    lambda **k: BASE.with_(**k),
    learning_rate=st.sampled_from([1e-3, 1e-2]),
    weight_decay=st.sampled_from([0.0, 0.2]),
    schedule=st.sampled_from(["constant", "cosine", "one-cycle"]),
    label_smoothing=st.sampled_from([0.0, 0.1]),
    input_noise=st.sampled_from([0.0, 0.2]),
    l1=st.sampled_from([0.0, 1e-4]),
    gradient_clip=st.sampled_from([0.0, 0.3]),
    epochs=st.integers(1, 7),
    patience=st.sampled_from([0, 2]),
    dropout=st.sampled_from([0.0, 0.3]),
    width=st.sampled_from([4, 8]),
    optimizer=st.sampled_from(["adamw", "sgd"]),
    momentum=st.sampled_from([0.0, 0.9]),
    warmup=st.sampled_from([0.0, 0.3]),
    beta2=st.sampled_from([0.95, 0.999]),
    batch_size=st.sampled_from([24, 40]),
)


def small_net(config: Config) -> nn.Module:
    return nn.Sequential(
        nn.Linear(5, config.width), nn.Tanh(), nn.Dropout(config.dropout), nn.Linear(config.width, 3)
    )


def relu_net(config: Config) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))


def train(make: Any, configs: list[Config], rows: list[MemberRows], data: BankData, **kw: Any) -> list[Any]:
    kw = {"workers": 1, "loss": "cross_entropy", "seeds": list(range(len(configs))), **kw}
    return train_members(make, configs, rows, data, **kw)


def assert_same(a: Any, b: Any, *, rtol: float = 1e-4) -> None:
    """Two outcomes agree: bit for bit at ``rtol=0``."""
    assert (a.status, a.epochs, a.rollbacks) == (b.status, b.epochs, b.rollbacks)
    if rtol == 0:
        assert a.best_epoch == b.best_epoch
    for name, series in a.trace.series.items():
        np.testing.assert_allclose(series, b.trace.series[name], rtol=rtol, atol=1e-6 * (rtol > 0))
    atol = 0.0 if rtol == 0 else 1e-4
    torch.testing.assert_close(
        a.validation_outputs, b.validation_outputs, rtol=rtol, atol=atol, equal_nan=True
    )


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    configs=st.lists(configurations, min_size=2, max_size=6),
    at_once=st.integers(1, 6),
    workers=st.sampled_from([1, 2]),
    n_folds=st.integers(1, 3),
)
def test_a_member_alone_is_the_member_in_a_bank(
    configs: list[Config], at_once: int, workers: int, n_folds: int, problem: Any
) -> None:
    p = problem(kind="classification", n_folds=n_folds)
    rows = [p.rows(i) for i in range(len(configs))]
    together = train(small_net, configs, rows, p.data, at_once=at_once, workers=workers)
    for i in (0, len(configs) - 1):
        (single,) = train(small_net, [configs[i]], [rows[i]], p.data, seeds=[i])
        assert_same(together[i], single)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_same_seed_gives_the_same_bits(workers: int, problem: Any) -> None:
    p = problem(kind="classification")
    configs = [BASE.with_(dropout=0.2, input_noise=0.1, learning_rate=r) for r in (1e-3, 2e-3, 3e-3, 4e-3)]
    rows = [p.rows(i) for i in range(4)]
    first, second = (train(small_net, configs, rows, p.data, at_once=2, workers=w) for w in (1, workers))
    for a, b in zip(first, second, strict=True):
        assert_same(a, b, rtol=0)


def test_another_seed_gives_another_result(problem: Any) -> None:
    p = problem(kind="classification")
    a, b = train(small_net, [BASE, BASE], [p.rows(0), p.rows(0)], p.data, seeds=[0, 1])
    assert not torch.equal(a.validation_outputs, b.validation_outputs)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_trace_equals_plain_vmap(dropout: float, problem: Any) -> None:
    p = problem(kind="classification")
    configs = [BASE.with_(dropout=dropout, gradient_clip=g, input_noise=0.1) for g in (0.0, 0.2)]
    rows = [p.rows(i) for i in range(2)]
    fast, slow = (train(small_net, configs, rows, p.data, trace=t) for t in (True, False))
    for a, b in zip(fast, slow, strict=True):
        assert_same(a, b, rtol=1e-5)


def test_members_that_share_rows_train_as_with_rows_of_their_own(problem: Any) -> None:
    p = problem(kind="classification", n_folds=2)
    configs = [BASE.with_(learning_rate=r) for r in (1e-3, 5e-3)]
    shared = train(small_net, configs, [p.folds[0], p.folds[0]], p.data)
    mixed = train(small_net, [*configs, BASE], [p.folds[0], p.folds[0], p.folds[1]], p.data)
    for a, b in zip(shared, mixed[:2], strict=True):
        assert_same(a, b)


def test_members_whose_forward_reads_another_constant_are_no_one_bank(problem: Any, alone: Any) -> None:
    class Scaled(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor, self.map = factor, nn.Linear(5, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.map(x * self.factor)

    p = problem()
    configs = [BASE.with_(factor=f) for f in (1.0, 3.0)]
    outcomes = train(lambda c: Scaled(c["factor"]), configs, [p.folds[0]] * 2, p.data, loss="mse")
    for i, config in enumerate(configs):
        twin = alone(lambda c: Scaled(c["factor"]), config, p.folds[0], p.data, seed=i)
        assert outcomes[i].validation_loss == pytest.approx(min(twin.validation), rel=1e-4)


# ---- rollback ----------------------------------------------------------------------------------------


def with_damage(p: Any, *, damaged: bool) -> tuple[list[MemberRows], BankData]:
    """Three folds; the middle one's view has a NaN in a training row where ``damaged``."""
    inputs = p.data.inputs_VN.clone()
    if damaged:
        inputs[1, p.folds[1].train[0]] = float("nan")
    return [p.folds[i % 3] for i in range(9)], BankData(inputs, p.data.targets_VN)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_sick_member_leaves_its_neighbours_bit_identical(dropout: float, problem: Any) -> None:
    p = problem(kind="classification")
    configs = [BASE.with_(epochs=16, dropout=dropout, schedule="constant")] * 9
    healthy = train(small_net, configs, *with_damage(p, damaged=False))
    sick = train(small_net, configs, *with_damage(p, damaged=True))
    for i in range(9):
        if i % 3 == 1:
            assert sick[i].status == "failed"
            assert sick[i].rollbacks == MAX_ROLLBACKS + 1
            events = sick[i].trace.events
            assert [e.kind for e in events] == ["rollback"] * (MAX_ROLLBACKS + 1)
            assert "given up after repeated rollbacks" in events[-1].message
        else:
            assert_same(healthy[i], sick[i], rtol=0)


def test_a_rate_that_explodes_is_cut_until_it_trains(problem: Any) -> None:
    p = problem()
    base = BASE.with_(optimizer="sgd", schedule="constant", warmup=0.0, momentum=0.0, epochs=40)
    configs = [base.with_(learning_rate=r) for r in (0.01, 8.0, 0.01)]
    outcomes = train(relu_net, configs, [p.folds[0]] * 3, p.data, loss="mse")
    assert 1 <= outcomes[1].rollbacks <= MAX_ROLLBACKS
    assert outcomes[1].status == "done"
    assert np.isfinite(outcomes[1].validation_loss)
    rates = [e.detail["learning_rate"] for e in outcomes[1].trace.events]
    assert rates == pytest.approx([8.0 * 0.3**k for k in range(1, len(rates) + 1)])
    without = train(relu_net, [configs[0], configs[2]], [p.folds[0]] * 2, p.data, loss="mse", seeds=[0, 2])
    assert_same(outcomes[0], without[0], rtol=1e-5)


def test_a_member_that_never_was_sound_is_failed_with_no_score(problem: Any) -> None:
    p = problem()
    configs = [BASE.with_(learning_rate=r, schedule="constant", epochs=30) for r in (1e30, 1e-3)]
    outcomes = train(relu_net, configs, [p.folds[0]] * 2, p.data, loss="mse")
    assert outcomes[0].status == "failed"
    assert outcomes[0].best_epoch == 0
    assert np.isnan(outcomes[0].validation_loss)
    assert outcomes[1].status == "done"


# ---- leaving -----------------------------------------------------------------------------------------


def test_early_stopping_equals_a_plain_loop(problem: Any, alone: Any) -> None:
    def make(config: Config) -> nn.Module:
        return nn.Sequential(nn.Linear(5, 32, bias=False), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 1))

    p = problem(n_folds=2)
    base = BASE.with_(optimizer="sgd", learning_rate=0.1, epochs=60, schedule="constant", warmup=0.0)
    configs = [base.with_(patience=k) for k in (4, 10, 0, 6)]
    rows = [p.rows(i) for i in range(4)]
    outcomes = train(make, configs, rows, p.data, loss="mse")
    assert "stopped-early" in {o.status for o in outcomes}
    for i, outcome in enumerate(outcomes):
        twin = alone(make, configs[i], rows[i], p.data, seed=i)
        assert outcome.epochs == twin.epochs
        assert outcome.best_epoch == twin.best_epoch
        for name, value in twin.best_state.items():
            torch.testing.assert_close(outcome.module.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_compaction_changes_nothing_for_those_who_stay(problem: Any, monkeypatch: Any) -> None:
    p = problem(kind="classification")
    configs = [BASE.with_(epochs=e, dropout=0.2) for e in (4, 12, 2, 12, 6, 12, 2, 8)]
    rows = [p.rows(i) for i in range(8)]
    compacted = train(small_net, configs, rows, p.data)
    monkeypatch.setattr("soundfit.bank.bank.COMPACT_BELOW", 0.0)
    kept = train(small_net, configs, rows, p.data)
    for a, b in zip(compacted, kept, strict=True):
        assert_same(a, b, rtol=1e-5)
        assert len(a.trace.at) == len(b.trace.at)


def test_dropped_members_leave_and_the_others_do_not_notice(problem: Any) -> None:
    p = problem(kind="classification")
    bank, whole = (open_bank(p, [BASE.with_(epochs=10)] * 4) for _ in range(2))
    for epoch in range(10):
        if epoch == 4:
            bank.drop([1, 2])
        bank.run_epoch()
        whole.run_epoch()
    assert bank.progress.status.tolist() == ["done", "dropped", "dropped", "done"]
    assert bank.progress.epochs.tolist() == [10, 4, 4, 10]
    np.testing.assert_allclose(bank.best_MP[[0, 3]], whole.best_MP[[0, 3]], rtol=1e-4, atol=1e-6)


def open_bank(p: Any, configs: list[Config]) -> Bank:
    modules = []
    for i, config in enumerate(configs):
        torch.manual_seed(i)
        modules.append(small_net(config.with_(dropout=0.0)))
    stack = stack_modules(modules, sample=p.data.sample(4), device=CPU)
    rows = sorted((p.rows(i) for i in range(len(configs))), key=lambda r: r.stream)
    seeds = list(range(len(configs)))
    return Bank(stack, configs, rows, p.data, resolve_loss("cross_entropy"), seeds=seeds)


def test_precision_is_set_while_training_and_put_back(problem: Any) -> None:
    p = problem()
    seen: list[str] = []
    before = torch.get_float32_matmul_precision()
    train(
        relu_net, [BASE.with_(epochs=1)], [p.folds[0]], p.data, loss="mse", precision="high",
        on_epoch=lambda n: seen.append(torch.get_float32_matmul_precision()),
    )  # fmt: skip
    assert set(seen) == {"high"}
    assert torch.get_float32_matmul_precision() == before


@pytest.mark.parametrize("trace", [True, False])
def test_bfloat16_trains_nearly_as_float32_and_evaluates_in_float32(trace: bool, problem: Any) -> None:
    p = problem(kind="classification")
    configs = [BASE.with_(epochs=20, learning_rate=r) for r in (2e-3, 1e-2)]
    rows = [p.rows(i) for i in range(2)]
    exact, half = (
        train(small_net, configs, rows, p.data, precision=f, trace=trace) for f in ("highest", "bf16")
    )
    for a, b in zip(exact, half, strict=True):
        assert b.validation_outputs.dtype == torch.float32
        assert not torch.equal(a.validation_outputs, b.validation_outputs)
        assert b.validation_loss == pytest.approx(a.validation_loss, rel=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_as_the_cpu_does(problem: Any) -> None:
    p = problem(kind="classification")
    configs = [BASE.with_(learning_rate=r, input_noise=0.1, gradient_clip=1.0) for r in (1e-3, 5e-3, 1e-2)]
    rows = [p.rows(i) for i in range(3)]
    cpu = train(small_net, configs, rows, p.data)
    gpu = train(small_net, configs, rows, p.data, device=torch.device("cuda"))
    for a, b in zip(cpu, gpu, strict=True):
        assert_same(a, b, rtol=1e-3)

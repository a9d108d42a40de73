"""The doctor's small parts: graphs, rows, scores, references, edits, intervals, words, page."""

# ruff: noqa: E501

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from soundfit.doctor.edits import changed, drop_call, set_keyword
from soundfit.doctor.graph import (
    bad_operation,
    leaf_gains,
    logged_activation,
    loss_structure,
    output_activation,
)
from soundfit.doctor.nonfinite import first_bad_operation
from soundfit.doctor.reference import fit_reference
from soundfit.doctor.repair import interval
from soundfit.doctor.rows import MAX_ROWS, Rows, RowStore, mirrored, overlap, recur
from soundfit.doctor.scores import Task, score, task_of
from soundfit.doctor.speak import verdict_text
from soundfit.errors import UsageError
from soundfit.records import Place


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda x: x.softmax(1), "softmax"), (lambda x: torch.sigmoid(x).squeeze(), "sigmoid"),
        (lambda x: torch.relu(x).view(-1), "relu"), (lambda x: nn.functional.log_softmax(x, 1), "log_softmax"),
        (lambda x: torch.tanh(x), "tanh"), (lambda x: x * 2, None), (lambda x: torch.sigmoid(x) * 10, None),
    ],
)  # fmt: skip
def test_output_activation_is_read_from_the_graph(make, name) -> None:  # type: ignore[no-untyped-def]
    assert output_activation(make(torch.randn(4, 3, requires_grad=True))) == name


def test_structure_sees_sign_reduction_and_broadcast() -> None:
    p, y = torch.randn(8, 1, requires_grad=True), torch.randn(8)
    found = loss_structure(((p - y) ** 2).mean())
    assert found["broadcast"] == ((8, 1), (8, 8))
    assert not found["negated"]
    same = loss_structure(-((p - y[:, None]) ** 2).sum())
    assert same["broadcast"] is None
    assert same["negated"]
    assert same["reduction"] == "sum"


def test_bad_operation_names_the_first() -> None:
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    found = bad_operation((torch.log(x) * 2).mean())
    assert found is not None
    assert found["operation"] == "log"
    assert bad_operation(torch.log(x + 1).mean()) is None
    zero = torch.tensor([1.0, 0.0], requires_grad=True)
    divided = bad_operation((1 / zero).sum())
    assert divided is None or divided["operation"] in ("div", "reciprocal")


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 60), st.integers(1, 400))
def test_row_store_stays_below_its_cap_and_keeps_whole_rows(batch: int, count: int) -> None:
    store = RowStore()
    for i in range(count):
        if store.wants():
            x = torch.full((batch, 2), float(i))
            store.keep((x,), x[:, 0], i)
    joined = store.joined()
    assert joined is not None
    assert len(joined) <= MAX_ROWS
    assert torch.equal(joined.inputs[0][:, 0], joined.targets)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_unique_rows_keep_each_once_in_order(values: list[int]) -> None:
    x = torch.tensor(values, dtype=torch.float32)[:, None]
    kept = Rows((x,), torch.zeros(len(values))).unique().inputs[0][:, 0].tolist()
    assert kept == [float(v) for v in dict.fromkeys(values)]


def test_scores_know_their_task() -> None:
    y = torch.tensor([0, 1, 2, 1])
    task = task_of("cross_entropy", (torch.randn(4, 2),), y, 3)
    assert task.kind == "classes"
    assert score(task, nn.functional.one_hot(y, 3).float(), y) == 1.0
    binary = task_of("mse_loss", (torch.randn(4, 2),), torch.tensor([[0.0], [1.0], [1.0], [0.0]]), 1)
    assert binary.kind == "binary"
    numbers = torch.randn(50, 1)
    regression = task_of("mse_loss", (torch.randn(50, 2),), numbers, 1)
    assert regression.kind == "regression"
    assert score(regression, numbers, numbers) == 1.0
    assert score(regression, numbers.mean().expand(50, 1), numbers) == pytest.approx(0.0, abs=1e-5)
    assert score(regression, torch.full((50, 1), math.nan), numbers) == -1.0


def test_reference_finds_a_curve_and_finds_nothing_in_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400, 2, generator=generator)
    inside = ((x**2).sum(1) < 1.4).long()
    found = fit_reference(Task("classes", 2), Rows((x,), inside))
    assert found is not None
    assert found.held_out > 0.9
    assert found.by_model["mlp"] > found.by_model["linear"] + 0.2
    noise = fit_reference(Task("classes", 2), Rows((x,), torch.randint(0, 2, (400,), generator=generator)))
    assert noise is not None
    assert noise.held_out - noise.constant < 0.1


def test_edits_show_the_line_as_a_diff(tmp_path: Path) -> None:
    file = tmp_path / "s.py"
    file.write_text(
        "opt = torch.optim.Adam(model.parameters(), lr=10)\nm = nn.Sequential(nn.Linear(2, 3), nn.Softmax(dim=1))\n"
    )
    new = changed(Place(None, str(file), 1), set_keyword("lr", "0.001"))
    assert new.splitlines()[1] == "+ opt = torch.optim.Adam(model.parameters(), lr=0.001)"
    new = changed(Place(None, str(file), 2), drop_call("Softmax"))
    assert new.splitlines()[1] == "+ m = nn.Sequential(nn.Linear(2, 3))"
    assert drop_call("softmax")("return F.softmax(self.fc(x), dim=1)") == "return self.fc(x)"
    assert changed(Place(), set_keyword("lr", "1")) == ""


def test_interval_covers_nothing_gained_and_excludes_a_clear_gain() -> None:
    same = [([1.0, 0.0] * 50, [0.0, 1.0] * 50)] * 3
    assert interval(same)[1] <= 0 <= interval(same)[2]
    better = [([0.0] * 60 + [1.0] * 40, [1.0] * 100)] * 3
    assert interval(better)[1] > 0.3
    assert interval(better[:1])[1] == -math.inf
    all_there_are = [([1.0, 0.0, 0.0, 1.0], [1.0] * 4)] * 3
    assert interval(all_there_are)[1] < 0 < interval(all_there_are, sampled=False)[1]
    one_lucky_seed = [([0.0] * 100, [gain] * 100) for gain in (0.6, 0.0, 0.0)]
    assert interval(one_lucky_seed)[1] < 0


def test_words_for_healthy_and_for_no_training() -> None:
    assert verdict_text({"healthy": True, "diagnoses": [], "repair": None}) == "soundfit doctor: healthy."
    assert "no training was seen" in verdict_text(
        {"healthy": True, "diagnoses": [], "repair": None}, trained=False
    )


def test_a_verdict_is_told_in_the_readers_language_and_without_numbers_that_are_none() -> None:
    from soundfit.report.words import Words

    found = {
        "code": "vanishing-gradient",
        "severity": "error",
        "cause": "gradients vanish on their way to the first layers",
        "confidence": 0.9,
        "where": {"file": "/somewhere/train.py", "line": 7, "module": "layers.0", "step": None},
        "evidence": {"score": 0.5},
        "prescription": {"text": "use ReLU", "patch": ""},
    }
    repair = {"accepted": False, "before": 0.465, "after": 0.465, "interval": None, "trials": [{}, {}],
              "rows": "the script's evaluation"}  # fmt: skip
    report = {"healthy": False, "diagnoses": [found], "repair": repair}
    told = verdict_text(report)
    assert "one thing seems to keep this training" in told
    assert "at train.py:7, layer layers.0" in told
    assert "score 0.465 before, 0.465 after (2 trainings). Judged on the script's evaluation." in told
    assert "nan" not in told
    chinese = verdict_text(report, _=Words("zh"))
    assert "错误：梯度在传到前几层的途中消失（梯度消失） [vanishing-gradient，置信度 0.90]" in chinese
    assert "位置：train.py:7，层 layers.0" in chinese


def test_a_missing_script_is_a_usage_error() -> None:
    from soundfit.doctor import run_script

    with pytest.raises(
        UsageError, match=r"The script must be a file\. Received: nowhere\.py\. Fix: give the path"
    ):
        run_script("nowhere.py")
    with pytest.raises(UsageError, match=r"The price must be economy or full\. Received: 'dear'"):
        run_script(__file__, price="dear")


def test_inputs_recur_where_they_cannot_tell_rows_apart() -> None:
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(500, 3, generator=generator)
    y = torch.randn(500, generator=generator)
    assert not recur(Rows((numbers,), y))
    again = torch.arange(500) % 400  # copies of whole rows are the sign of a leak, not its excuse
    assert not recur(Rows((numbers[again],), y[again]))
    assert recur(Rows((numbers[again],), y))  # the same inputs with other targets
    pairs = tuple(torch.randint(0, n, (500,), generator=generator) for n in (120, 80))
    assert recur(Rows(pairs, y))
    assert recur(Rows((torch.randint(0, 2, (500, 10), generator=generator).float(),), y))
    assert not recur(Rows((torch.randint(0, 50, (500, 12), generator=generator),), y))


def test_mirrored_and_turned_pictures_are_found_and_others_are_not() -> None:
    x = torch.randn(200, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    assert mirrored(Rows((x,), torch.zeros(200)))["mirrored"] < 0.05
    assert mirrored(Rows((torch.cat([x, x]),), torch.zeros(400)))["mirrored"] < 0.05
    more = torch.cat([x, x[:100].flip(-1), x[:50].rot90(1, (2, 3))])
    assert 0.5 < mirrored(Rows((more,), torch.zeros(350)))["mirrored"] < 0.8


def test_labels_of_mirrored_copies_agree_or_not() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(200, 1, 9, 9, generator=g), torch.randint(0, 5, (200,), generator=g)
    both = torch.cat([x, x.flip(-1)])
    assert mirrored(Rows((both,), torch.cat([y, y])))["relabelled"] == 0.0
    assert mirrored(Rows((both,), y.repeat_interleave(2)))["relabelled"] > 0.8
    assert mirrored(Rows((x,), y))["relabelled"] == 0.0  # no copies at all


def test_restoring_the_input_is_no_regression_to_be_judged() -> None:
    clean = torch.rand(60, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    noisy = clean + 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    assert task_of("mse_loss", (noisy,), clean, 36).kind == "copy"
    assert task_of("mse_loss", (torch.randn(60, 36),), clean.flatten(1), 36).kind == "regression"
    assert task_of("mse_loss", (noisy[:, :, 0, 0],), clean[:, :, 0, 0], 1).kind == "regression"


class _Scaled(nn.Module):
    def __init__(self, std: float, half: bool = False) -> None:
        super().__init__()
        self.std, self.half_first, self.out = std, half, nn.Linear(3, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x.half() ** 2).float() if self.half_first else x
        return self.out(x / self.std)


class _Masked(nn.Module):
    def __init__(self, everything: bool) -> None:
        super().__init__()
        self.everything, self.out = everything, nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(3, dtype=torch.bool) if self.everything else torch.tensor([True, False, False])
        return self.out(x).masked_fill(mask, -torch.inf).softmax(-1)


@pytest.mark.parametrize(
    ("net", "x", "operation", "dtype"),
    [
        (_Scaled(0.0), torch.zeros(4, 3), "div", "float32"),
        (_Scaled(1.0, half=True), torch.full((4, 3), 400.0), "pow", "float16"),
        (_Masked(True), torch.zeros(4, 3), "softmax", "float32"),
    ],
)  # fmt: skip
def test_the_first_bad_operation_of_a_forward_pass_is_named(net, x, operation, dtype) -> None:  # type: ignore[no-untyped-def]
    state = torch.get_rng_state()
    found = first_bad_operation(net, (x,), {}, training=True)
    assert found is not None
    assert (found["operation"], found["dtype"]) == (operation, dtype)
    assert found["place"].file == __file__
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("net", [_Scaled(2.0), _Masked(False)])
def test_a_forward_pass_with_a_mask_has_no_bad_operation(net: nn.Module) -> None:
    assert first_bad_operation(net, (torch.ones(4, 3),), {}, training=True) is None


def passes(*sets: torch.Tensor, size: int, times: int = 3) -> RowStore:
    """Return a store that saw each set in batches of ``size``, one set after another, again and again."""
    store = RowStore(fewest=4)
    for step in range(1, times + 1):
        for rows in sets:
            for x in rows.split(size):
                if store.wants():
                    store.keep((x,), torch.zeros(len(x)), step)
    return store


@pytest.mark.parametrize("size", [8, 32, 5000])
@pytest.mark.parametrize("known", [1.0, 0.3])
def test_scoring_the_training_rows_too_is_no_leak(size: int, known: float) -> None:
    generator = torch.Generator().manual_seed(0)
    train, held_out = torch.randn(1200, 4, generator=generator), torch.randn(400, 4, generator=generator)
    kept = train[
        torch.randperm(1200, generator=generator)[: int(known * 1200)]
    ]  # what the doctor kept of them
    shared, rows = overlap(Rows((kept,), torch.zeros(len(kept))), passes(train, held_out, size=size))
    assert shared < 0.05 * rows
    assert 100 < rows <= 480


@pytest.mark.parametrize("size", [8, 32, 5000])
@pytest.mark.parametrize("scores_training_too", [False, True])
def test_rows_mixed_by_a_bad_split_are_a_leak(size: int, scores_training_too: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    train, fresh = torch.randn(1200, 4, generator=generator), torch.randn(250, 4, generator=generator)
    mixed = torch.cat([train[:150], fresh])[torch.randperm(400, generator=generator)]
    sets = (train, mixed) if scores_training_too else (mixed,)
    shared, rows = overlap(Rows((train,), torch.zeros(1200)), passes(*sets, size=size))
    assert shared > 0.25 * rows


def test_large_passes_in_turn_are_both_kept() -> None:
    train, held_out = torch.randn(3000, 2), torch.randn(1000, 2)
    store = passes(train, held_out, size=5000, times=20)
    assert {len(b) for b in store.batches} == {3000, 1000}
    assert store.rows <= 5 * MAX_ROWS


def test_what_the_graph_says_of_losses_by_hand() -> None:
    x = torch.linspace(-1, 1, 12).unsqueeze(1)
    net, given = torch.nn.Linear(1, 1), torch.ones(12, 1)
    p = net(x)

    def found(loss: torch.Tensor) -> dict[str, object]:
        return loss_structure(loss, prediction=p)

    assert found(((p - given) ** 2).mean())["even"] is True
    assert found((0.5 * (p - given).abs()).mean())["even"] is True
    assert found(((p - given) * (p - given)).sum())["even"] is True
    assert found(((p - given) * torch.exp(net(-x))).mean())["even"] is False  # a flow's coupling
    assert found(p.mean())["even"] is None
    assert found(-((p - given) ** 2).mean())["shuns"] is True
    assert found(((p - given) ** 2).mean())["shuns"] is False
    assert found(-((p - net(-x)) ** 2).mean())["shuns"] is False  # both sides learn: nothing was given
    signs = torch.where(x > 0, 1.0, -2.0)
    assert found(-(p * signs).mean())["signed"] is True
    assert found((p * signs.abs()).mean())["signed"] is False
    q = torch.sigmoid(p)
    assert logged_activation(q.squeeze(1).clamp(1e-7, 1 - 1e-7).log()) == "sigmoid"
    assert logged_activation(torch.log(q + 1e-8)) == "sigmoid"
    assert logged_activation(q) is None
    w = torch.full((2, 8), 0.01, requires_grad=True)
    assert leaf_gains((x.T[:, :2] @ w).sum()) == pytest.approx([0.01 * 8**0.5])
    assert logged_activation(torch.log(torch.exp(p))) is None


def test_the_mean_of_rows_parts_is_the_score() -> None:
    from soundfit.doctor.trial import centred

    parts = torch.tensor([-20.0, 0.5, 0.5, 1.0])
    assert centred(parts, -1.0).tolist() == [-1.0] * 4
    assert centred(parts, 0.25).mean().item() == pytest.approx(0.25)
    assert centred(parts, 0.25).std().item() == pytest.approx(parts.std().item(), rel=1e-5)
    assert centred(parts[1:], 2 / 3).tolist() == pytest.approx([0.5, 0.5, 1.0])


@pytest.mark.parametrize(("dtype", "x"), [(torch.float16, 12.0), (torch.float32, 90.0)])
def test_an_exponential_that_overflows_tells_its_type(dtype: torch.dtype, x: float) -> None:
    for value in (1.0, x):
        leaf = torch.tensor([value], dtype=dtype, requires_grad=True)
        found = bad_operation(leaf.exp().log().float().sum())
        named = None if found is None else (found["operation"], found["dtype"])
        assert named == (None if value == 1.0 else ("exp", str(dtype)[6:]))

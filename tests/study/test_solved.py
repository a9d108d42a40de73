"""Linear heads that are solved: the gradient of their penalised loss is zero where they end."""

from functools import partial

import numpy as np
import pytest
import torch

from soundfit.bank import BankData, MemberRows, train_members
from soundfit.models.backbone import build_head
from soundfit.records import Config, Verdict
from soundfit.study.prescriptions import proposals
from soundfit.study.solved import SOLVED, Solving, is_solved, solve_head

D = 12


def _data(n_classes: int, seed: int = 0) -> BankData:
    """Features (60, D) and classes that depend on them; values where n_classes is 0."""
    rng = np.random.default_rng(seed)
    x = rng.normal(2.0, 3.0, (60, D)).astype(np.float32)
    drift = (x - 2.0) @ rng.normal(size=(D, max(n_classes, 1))) / 3.0 + rng.normal(
        size=(60, max(n_classes, 1))
    )
    y = drift.argmax(1) if n_classes else (100.0 + 7.0 * drift).astype(np.float32)
    return BankData.of(x[None], y[None])


def _config(data: BankData, penalty: float, n_train: int = 40) -> Config:
    seen = data.inputs_VN[0, :n_train]
    config = Config(model="linear", width=0, depth=0, weight_decay=penalty, epochs=20, batch_size=16)
    config = config.with_(feature_mean=seen.mean(0).tolist(), feature_sd=seen.std(0).tolist(), **SOLVED)
    if data.targets_VN.is_floating_point():
        y = data.targets_VN[0, :n_train]
        config = config.with_(target_mean=float(y.mean()), target_sd=float(y.std()))
    return config


ROWS = MemberRows(0, np.arange(40), np.arange(40, 60), 0)


@pytest.mark.parametrize("n_classes", [0, 2, 3])
@pytest.mark.parametrize("penalty", [1.0, 0.05])
def test_the_penalised_loss_is_at_its_minimum(n_classes, penalty):
    data = _data(n_classes)
    config = _config(data, penalty)
    outcome = solve_head(build_head(config, D, max(n_classes, 1)), config, ROWS, data)
    head = outcome.module.double()
    x, y = data.inputs_VN[0, :40].double(), data.targets_VN[0, :40]
    if n_classes:
        loss = torch.nn.functional.cross_entropy(head(x), y)
    else:
        loss = (((head(x) - y) / head.target_sd) ** 2).mean()
    weight, bias = head.body.output.weight, head.body.output.bias
    (loss + 0.5 * penalty * weight.square().sum()).backward()
    assert weight.grad.abs().max() < 2e-3
    assert bias.grad.abs().max() < 2e-3
    assert weight.abs().max() > 1e-3
    assert outcome.training_loss == pytest.approx(float(loss.detach()), rel=1e-4)


def test_a_class_without_training_rows_is_improbable_and_finite():
    data = _data(3)
    keep = np.flatnonzero(data.targets_VN[0, :40].numpy() != 1)
    config = _config(data, 0.1)
    for rows in (keep, keep[:1]):
        some = MemberRows(0, rows, np.arange(40, 60), 0)
        outcome = solve_head(build_head(config, D, 3), config, some, data)
        shares = torch.softmax(outcome.validation_outputs, dim=1)
        assert outcome.status == "done"
        assert torch.isfinite(shares).all()
        assert shares[:, 1].max() < 0.05


def test_what_cannot_be_solved_is_handed_on_in_order():
    data = _data(3)
    solved = _config(data, 0.1)
    stepped = solved.with_(solver="", learning_rate=0.01)
    told = []
    outcomes = Solving(train_members)(
        partial(build_head, n_features=D, n_outputs=3),
        [stepped, solved, stepped, solved],
        [ROWS] * 4,
        data,
        seeds=[0, 1, 2, 3],
        loss="cross_entropy",
        on_epoch=told.append,
    )
    assert sum(told) == 4 * 20
    alone = solve_head(build_head(solved, D, 3), solved, ROWS, data)
    torch.testing.assert_close(outcomes[1].validation_outputs, alone.validation_outputs)
    torch.testing.assert_close(outcomes[3].validation_outputs, alone.validation_outputs)
    assert len(outcomes[0].trace.at) > 2
    assert not torch.equal(outcomes[0].validation_outputs, outcomes[1].validation_outputs)


def test_a_solution_is_prescribed_nothing_about_steps():
    solved = Config(model="linear", depth=0, weight_decay=0.1).with_(**SOLVED)
    assert is_solved(solved)
    assert not is_solved(solved.with_(model="mlp", depth=1))
    assert not is_solved(Config(model="linear", depth=0))
    for code in ("underfitting", "overfitting", "good-fit", "not-learning"):
        for one in proposals(Verdict(code, "", ()), solved, classes=True):
            assert {"weight_decay", "model", "dropout"} & set(one.change)

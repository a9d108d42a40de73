"""Padding that is read, pictures and targets turned apart, targets of pairs, schedulers that watch the wrong way,
infinite slopes, weights that are shares: each fault beside what looks like it and is sound."""

# ruff: noqa: E501

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from soundfit.doctor.batch import matched
from soundfit.doctor.call import call_of
from soundfit.doctor.changes import Changes
from soundfit.doctor.dense import dense_facts
from soundfit.doctor.graph import infinite_slope
from soundfit.doctor.padding import lengths_of, padding_facts
from soundfit.doctor.plateau import Plateau
from soundfit.doctor.rows import Rows
from soundfit.doctor.rules.batches import _favoured
from soundfit.doctor.seen import RootRecord
from soundfit.records import Place


@contextmanager
def changed(wanted: dict[str, Any], model: str) -> Iterator[Changes]:
    """Apply changes for a while."""
    changes = Changes(wanted, {"model": model})
    changes.attach()
    try:
        yield changes
    finally:
        changes.detach()


def texts(n: int = 40, steps: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Return codes 1 … 9 of 3 to 10 words, zeros after them, and their lengths."""
    lengths = torch.randint(3, 11, (n,))
    codes = torch.randint(1, 10, (n, steps)) * (torch.arange(steps) < lengths[:, None])
    return codes, lengths


class Reader(nn.Module):
    """A recurrent classifier that reads its last state, packed or not, or the mean over words."""

    def __init__(self, how: str, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.how = how
        self.embedding = nn.Embedding(10, 8, padding_idx=0)
        self.rnn = kind(8, 6, batch_first=True)
        self.head = nn.Linear(6, 1)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        x, lengths = self.embedding(codes), (codes != 0).sum(1)
        if self.how == "packed":
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            state = self.rnn(packed)[1]
            return self.head((state[0] if isinstance(state, tuple) else state)[-1])
        out, state = self.rnn(x)
        if self.how == "mean":
            return self.head(out.mean(1))
        if self.how == "output":
            return self.head(out[:, -1])
        return self.head((state[0] if isinstance(state, tuple) else state)[-1])


@pytest.mark.parametrize(
    ("how", "reads"), [("state", False), ("output", False), ("packed", True), ("mean", True)]
)
def test_gradients_that_end_in_padding_are_seen(how: str, reads: bool) -> None:
    torch.manual_seed(0)
    codes, _ = texts()
    net = Reader(how)
    call = call_of((codes,), {}, torch.zeros(len(codes), 1))
    assert call is not None
    root = RootRecord(net, Place(), None, True)
    root.call = call[0]
    found = padding_facts(root, Rows((codes,), torch.zeros(len(codes), 1)))
    assert 0.8 < found["share"] < 0.95
    assert found["reached"] > 0.05 if reads else found["reached"] < 0.01


def test_rows_without_padding_have_no_lengths() -> None:
    assert lengths_of(torch.randint(0, 50, (64, 20))) is None
    assert lengths_of(torch.rand(64, 20)) is None
    codes, lengths = texts()
    found = lengths_of(codes)
    assert found is not None
    assert torch.equal(found, lengths)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("how", ["state", "output"])
def test_packing_at_run_time_is_packing_by_hand(kind: type[nn.RNNBase], how: str) -> None:
    torch.manual_seed(0)
    codes, lengths = texts()
    net = Reader(how, kind)
    by_hand = Reader("packed", kind)
    by_hand.load_state_dict(net.state_dict())
    with changed({"pack": True}, "Reader"):
        out = net(codes)
    assert torch.allclose(out, by_hand(codes), atol=1e-6)
    assert not torch.allclose(out, net(codes), atol=1e-4)
    x = net.embedding(codes)
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    assert pad_packed_sequence(net.rnn(packed)[0], batch_first=True)[0].shape[0] == len(codes)


@pytest.mark.parametrize(("turned", "stored"), [(False, False), (True, False), (False, True)])
def test_targets_that_are_turned_apart_are_seen(turned: bool, stored: bool) -> None:
    torch.manual_seed(0)
    masks = (nn.functional.avg_pool2d(torch.randn(80, 1, 24, 24), 5, 1, 2) > 0.15).float()
    pictures = masks + 0.3 * torch.randn_like(masks)
    if turned:
        masks = torch.stack(
            [m.rot90(int(k), (-2, -1)) for m, k in zip(masks, torch.randint(0, 4, (80,)), strict=True)]
        )
    if stored:  # all of them upside down: how they are kept, not what was drawn
        masks = masks.flip(-2)
    found = dense_facts(Rows((pictures,), masks), None)
    assert found["turned"] > 0.5 if turned else found["turned"] < 0.1
    assert dense_facts(Rows((pictures,), torch.zeros(80)), None) == {}


def test_targets_of_pairs_belong_to_no_row() -> None:
    net = nn.Linear(3, 2)
    x, pairs = torch.randn(8, 3), torch.randint(0, 2, (8, 8)).float()
    out = net(x)
    root = RootRecord(net, Place(), None, True)
    found = matched([(root, (x,), {}, out, True)], [], ("mul", torch.cdist(out, out), pairs))
    assert found is not None
    assert found[3] is None
    wide = nn.Linear(3, 8)
    out = wide(x)
    found = matched([(RootRecord(wide, Place(), None, True), (x,), {}, out, True)], [], ("sub", out, pairs))
    assert found is not None
    assert found[3] is not None


@pytest.mark.parametrize(
    ("make", "name"),
    [(lambda x: x.pow(2).sqrt().sum(), "sqrt"), (lambda x: x.pow(2).pow(0.5).sum(), "pow"), (lambda x: torch.acos(x + 1).sum(), "acos"),
     (lambda x: (x.pow(2) + 1e-9).sqrt().sum(), None), (lambda x: x.norm(), None), (lambda x: x.pow(2).sum(), None)],
)  # fmt: skip
def test_slopes_without_end_are_found_where_they_make_nan(make: Any, name: str | None) -> None:
    x = torch.tensor([0.0, 0.3 if name != "acos" else -0.3], requires_grad=True)
    loss = make(x)
    assert infinite_slope(loss) == name
    loss.backward()
    assert bool(torch.isfinite(x.grad).all()) == (name is None)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("mode", "numbers", "better"), [("min", [0.5, 0.6, 0.7, 0.8], 0.0), ("max", [0.5, 0.6, 0.7, 0.8], 1.0)]
)
def test_numbers_of_a_scheduler_are_read_by_its_mode(mode: str, numbers: list[float], better: float) -> None:
    found = Plateau(mode, Place(), numbers, [10, 20, 30, 40]).facts([2.0] * 20 + [1.0] * 20)
    assert found["better"] == better
    assert found["first_is_best"] == (mode == "min")
    assert found["loss_ratio"] == 0.5


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_scheduler_is_turned_around(mode: str) -> None:
    p = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([p], lr=1.0)
    with changed({"turn_plateau": True}, "Linear"):
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, patience=0)  # type: ignore[arg-type]
        for value in (0.1, 0.2, 0.3):
            scheduler.step(value)
    assert (optimizer.param_groups[0]["lr"] == 1.0) == (mode == "min")


@pytest.mark.parametrize(
    ("shares", "weights", "favours"),
    [([0.72, 0.28], [0.72, 0.28], True), ([0.72, 0.28], [0.28, 0.72], False), ([0.55, 0.45], [0.55, 0.45], False),
     ([0.72, 0.28], [1.0, 1.0], False), ([0.9, 0.1], [9.0, 1.0], True), ([0.72, 0.28], [1.3, 1.0], False)],
)  # fmt: skip
def test_weights_that_are_the_shares_favour_the_frequent(
    shares: list[float], weights: list[float], favours: bool
) -> None:
    assert (_favoured(shares, weights) is not None) == favours


def test_labels_that_stand_together_get_a_likelihood_each() -> None:
    p, y = torch.randn(6, 4, requires_grad=True), torch.randint(0, 2, (6, 4)).float()
    with changed({"loss": "bce"}, "Linear"):
        made = nn.functional.cross_entropy(p, y)
        kept = nn.functional.cross_entropy(p.detach(), y)
    assert torch.allclose(made, nn.functional.binary_cross_entropy_with_logits(p, y))
    assert torch.allclose(kept, nn.functional.cross_entropy(p, y))


def test_axes_of_a_sequence_model_are_put_right() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0)
    net = nn.Sequential(nn.Linear(3, 8), layer).eval()
    x = torch.randn(5, 7, 3)
    with changed({"batch_first": True}, "Sequential"):
        whole = net(x)
        alone = net(x[:1])
    assert torch.allclose(whole[:1], alone, atol=1e-5)


def test_factors_are_drawn_small() -> None:
    net = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 1))
    with changed({"factors": 0.05}, "Sequential"):
        net(torch.arange(50))
    assert float(net[0].weight.detach().std()) < 0.07
    assert float(net[1].weight.detach().std()) > 0.07

"""Recurrent nets: padding changes nothing, a bank's member equals itself alone, starts are as published."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reached import parameters_never_reached
from soundfit.bank import BankData, MemberRows, train_members
from soundfit.bank.chunk import MemberNeed, held_elements, members_at_once
from soundfit.models.recurrent import RecurrentLayer, RecurrentNet
from soundfit.models.scan import CELLS
from soundfit.models.sequence_input import SequenceInput, reversal
from soundfit.records import Config

KINDS = ("lstm", "gru", "rnn")


def _net(kind="lstm", *, missing=(), **options):
    torch.manual_seed(0)
    inputs = SequenceInput([0.5, -1.0], [2.0, 0.5], missing=missing)
    net = RecurrentNet(kind, inputs, 3, **{"width": 4, **options})
    # Biases other than 0, or padding could not show.
    with torch.no_grad():
        for layer in net.layers:
            layer.bias.normal_()
    return net.eval()


def _padded(sequence: torch.Tensor, steps: int, filling: float) -> torch.Tensor:
    """Return a sequence (t, F) as (steps, F + 1), aligned at its end, with rubbish in the padding."""
    t, f = sequence.shape
    rows = torch.full((steps, f + 1), filling)
    rows[:, -1] = 0.0
    rows[steps - t :, :f] = sequence
    rows[steps - t :, -1] = 1.0
    return rows


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    extra=st.integers(0, 5),
    kind=st.sampled_from(KINDS),
    both=st.booleans(),
    depth=st.integers(1, 2),
    readout=st.sampled_from(["last", "mean"]),
    filling=st.sampled_from([0.0, 1e9, float("nan"), float("inf")]),
)
def test_padding_changes_no_result(lengths, extra, kind, both, depth, readout, filling):
    net = _net(kind, both=both, depth=depth, readout=readout)
    torch.manual_seed(len(lengths))
    sequences = [torch.randn(n, 2) for n in lengths]
    steps = max(lengths) + extra
    together = net(torch.stack([_padded(s, steps, filling) for s in sequences]))
    for row, sequence in zip(together, sequences, strict=True):
        alone = net(_padded(sequence, len(sequence), 0.0).unsqueeze(0))[0]
        torch.testing.assert_close(row, alone)


def test_backward_layer_reads_the_sequence_reversed():
    net = _net(both=True)
    forward_only = _net()
    forward_only.layers[0].load_state_dict(net.layers[1].state_dict())
    sequence = torch.randn(5, 2)
    x = net.inputs(_padded(sequence, 8, 0.0).unsqueeze(0))
    flipped = net.inputs(_padded(sequence.flip(0), 8, 0.0).unsqueeze(0))
    back = net._level(0, x, reversal(x[:, -1:]), last=True)[4:]
    torch.testing.assert_close(back, forward_only.layers[0](flipped, last=True))


def test_a_missing_value_counts_as_average_and_is_told():
    net = _net(missing=[1])
    x = torch.tensor([[[0.5, float("nan"), 1.0]]])
    assert net.inputs(x)[0, :, 0].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert torch.isfinite(net(x)).all()


def test_lstm_starts_with_open_forget_gates_and_orthogonal_maps():
    layer = RecurrentLayer("lstm", 3, 6)
    o, i, f, g = layer.bias.detach().chunk(4)
    assert (f == 1).all()
    assert (torch.cat([o, i, g]) == 0).all()
    for block in layer.weight_hh.detach().chunk(4):
        torch.testing.assert_close(block @ block.T, torch.eye(6), rtol=1e-5, atol=1e-5)


def test_memory_spreads_time_scales():
    torch.manual_seed(0)
    layer = RecurrentLayer("lstm", 3, 200, memory=100)
    _, i, f, _ = layer.bias.detach().chunk(4)
    torch.testing.assert_close(i, -f)
    scale = f.exp()
    assert scale.min() >= 1.0
    assert scale.max() <= 99.0
    assert abs(float(scale.mean()) - 50.0) < 5.0


@pytest.mark.parametrize("kind", KINDS)
def test_member_in_a_bank_equals_itself_alone(kind):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 6, 3)).astype(np.float32)
    x[:, :, -1] = 1.0
    x[::3, :2, -1] = 0.0
    y = x[:, -1, :1].copy()
    configs = [
        Config(model=kind, width=4, epochs=3, batch_size=8, learning_rate=rate, gradient_clip=clip)
        for rate, clip in ((0.01, 1.0), (0.03, 0.1), (0.1, 0.0))
    ]
    rows = MemberRows(0, np.arange(30), np.arange(30, 40), 0)

    def make(config):
        return RecurrentNet(kind, SequenceInput([0.0, 0.0], [1.0, 1.0]), 1, width=config.width, dropout=0.1)

    def train(those, seeds):
        data = BankData.of(x[None], y[None])
        return train_members(make, those, [rows] * len(those), data, seeds=seeds, workers=1)

    together = train(configs, [1, 2, 3])
    assert all(not o.loop_reason for o in together)
    for i, config in enumerate(configs):
        alone = train([config], [i + 1])[0]
        torch.testing.assert_close(
            together[i].validation_outputs, alone.validation_outputs, rtol=1e-4, atol=1e-5
        )


def test_unknown_kinds_are_refused_in_words():
    with pytest.raises(ValueError, match=r"one of .*lstm"):
        RecurrentLayer("transformer", 1, 2)
    with pytest.raises(ValueError, match="readout is one of"):
        _net(readout="first")


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_layer_says_what_it_keeps_for_the_gradient(kind):
    layer, x = RecurrentLayer(kind, 2, 5), torch.zeros(7, 3, 4)
    weight = torch.cat([layer.weight_ih, layer.bias.unsqueeze(1), layer.weight_hh], dim=1).detach()
    kept = CELLS[kind].forward(x.unsqueeze(0), weight.unsqueeze(0), True)
    assert layer.held_elements(x) == sum(tensor.numel() for tensor in kept)


def test_members_over_many_steps_share_memory_instead_of_filling_it():
    net = RecurrentNet("lstm", SequenceInput([0.0], [1.0]), 1, width=8)
    short, long = (torch.zeros(4, steps, 2) for steps in (10, 1_000))
    held = held_elements(net, long)
    assert held > 50 * held_elements(net, short)
    assert net.training
    need = MemberNeed(100, 100, n_held=held)
    room = 3 * need.peak_bytes
    assert members_at_once(need, device=torch.device("cpu"), memory_bytes=room) == 3
    assert held_elements(torch.nn.Linear(2, 2), torch.zeros(3, 2)) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(kind):
    torch.manual_seed(1)
    x = torch.stack([_padded(torch.randn(5, 2), 6, 0.0) for _ in range(12)])
    net = _net(kind, both=True, depth=2).train()
    assert parameters_never_reached(net, x, torch.arange(12) % 3) == []

"""The gradient by step: against a finite difference by hand, and what it shows of RNN and LSTM."""

from __future__ import annotations

import numpy as np
import torch

from soundfit.models.memory import gradient_by_step
from soundfit.models.recurrent import RecurrentNet
from soundfit.models.sequence_input import SequenceInput


def _net(kind: str, **options) -> RecurrentNet:
    torch.manual_seed(0)
    return RecurrentNet(kind, SequenceInput([0.0], [1.0]), 1, **{"width": 8, **options}).eval()


def _batch(steps: int, rows: int = 6) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.cat([torch.randn(rows, steps, 1), torch.ones(rows, steps, 1)], dim=2)


def test_equals_the_chain_rule_by_hand_for_a_linear_path():
    net = _net("rnn", width=2)
    x = _batch(5, rows=1)
    with torch.no_grad():
        for layer in net.layers:
            # So near to 0 that tanh is the identity.
            layer.weight_ih.zero_()
            layer.weight_hh.copy_(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        net.output.weight.copy_(torch.tensor([[3.0, 4.0]]))
    norms = gradient_by_step(net, x, lambda output: output.mean())
    np.testing.assert_allclose(norms, 5.0 * 0.5 ** np.arange(4, -1, -1), rtol=1e-5)


def test_rows_that_have_not_begun_do_not_count():
    net = _net("gru")
    x = _batch(6, rows=2)
    x[0, :3, -1] = 0.0
    x[1, :2, -1] = 0.0
    norms = gradient_by_step(net, x, lambda output: output.square().mean())
    alone = gradient_by_step(net, x[1:], lambda output: output.square().mean())
    assert np.isnan(norms[:2]).all()
    np.testing.assert_allclose(norms[2], alone[2], rtol=1e-5)


def test_outputs_after_the_first_layer_are_the_nets_own():
    for options in ({}, {"depth": 2}, {"readout": "mean"}, {"depth": 2, "readout": "mean"}):
        net = _net("lstm", **options)
        x = _batch(7)
        seen = []
        gradient_by_step(net, x, lambda output, seen=seen: seen.append(output) or output.sum())
        torch.testing.assert_close(seen[0], net(x))


def test_a_gradient_reaches_the_first_of_a_hundred_steps_in_an_lstm_and_not_in_an_rnn():
    x = _batch(100)
    share = {}
    for kind, options in (("rnn", {}), ("lstm", {"memory": 100})):
        norms = gradient_by_step(_net(kind, **options), x, lambda output: output.square().mean())
        share[kind] = norms[0] / norms[-1]
    assert share["rnn"] < 1e-3
    assert share["lstm"] > 0.05

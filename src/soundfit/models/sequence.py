"""Nets for sequences: recurrent ones, and linear models and MLPs on summaries or on all steps at once.

One factory builds them from a configuration. Knows nothing of banks.

Shape legend: B batch, T steps, F features, I inputs, C outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from soundfit.models.net import Linear, Mlp
from soundfit.models.recurrent import RecurrentNet
from soundfit.models.scan import CELLS
from soundfit.models.sequence_input import SequenceInput
from soundfit.records import Config

__all__ = ["SEQUENCE_MODELS", "FixedNet", "SequenceNet", "StepsReader", "SummaryReader", "build_sequence_net"]

SEQUENCE_MODELS = ("linear", "mlp", "rnn", "gru", "lstm")
_READS = ("summary", "steps")


def build_sequence_net(config: Config, n_steps: int, n_outputs: int) -> nn.Module:
    """Build the net of a configuration.

    Options read: ``center``, ``spread`` (F values each), ``missing`` (features that get an indicator);
    ``reads`` (``summary`` or ``steps``) of linear models and MLPs; ``readout``, ``both``, ``memory`` of
    recurrent nets; ``target_mean`` and ``target_sd``, the target's scale.

    Raises:
        ValueError: no model or option of that name.
    """
    return SequenceNet(
        _body(config, n_steps, n_outputs),
        target_mean=float(config.get("target_mean", 0.0)),
        target_sd=float(config.get("target_sd", 1.0)),
    )


class SequenceNet(nn.Module):
    """A net and the target's scale, mean and deviation of its training rows, as buffers.

    Shape:
        - Input: (B, T, F + 1), see :class:`SequenceInput`; output: (B, C).
    """

    target_mean: Tensor
    target_sd: Tensor

    def __init__(self, body: nn.Module, *, target_mean: float = 0.0, target_sd: float = 1.0) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("target_mean", torch.tensor(target_mean))
        self.register_buffer("target_sd", torch.tensor(target_sd))
        scales: Any = getattr(body, "parameter_scales", {})
        self.parameter_scales = {f"body.{name}": value for name, value in scales.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, C)."""
        outputs: Tensor = self.body(x) * self.target_sd + self.target_mean
        return outputs


def _body(config: Config, n_steps: int, n_outputs: int) -> nn.Module:
    inputs = SequenceInput(config["center"], config["spread"], missing=config.get("missing", ()))
    if config.model in CELLS:
        return RecurrentNet(
            config.model,
            inputs,
            n_outputs,
            width=config.width,
            depth=config.depth,
            dropout=config.dropout,
            both=bool(config.get("both", False)),
            readout=str(config.get("readout", "last")),
            memory=int(config.get("memory", 0)),
        )
    reads = str(config.get("reads", "summary"))
    if reads not in _READS:
        raise ValueError(f"a net of fixed size reads one of {_READS}, however: {reads!r}")
    reader = SummaryReader(inputs) if reads == "summary" else StepsReader(inputs, n_steps)
    if config.model == "linear":
        return FixedNet(reader, Linear(reader.n_outputs, n_outputs))
    if config.model == "mlp":
        net = Mlp(reader.n_outputs, n_outputs, width=config.width, depth=config.depth, dropout=config.dropout)
        return FixedNet(reader, net)
    raise ValueError(f"a model for sequences is one of {SEQUENCE_MODELS}, however: {config.model!r}")


class FixedNet(nn.Module):
    """A net for rows of fixed size on what a reader makes of a sequence.

    Shape:
        - Input: (B, T, F + 1), see :class:`SequenceInput`; output: (B, C).
    """

    def __init__(self, reader: nn.Module, net: nn.Module) -> None:
        super().__init__()
        self.reader, self.net = reader, net
        scales: Any = getattr(net, "parameter_scales", {})
        self.parameter_scales = {f"net.{name}": value for name, value in scales.items()}

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs (B, C)."""
        return self.net(self.reader(x))


class SummaryReader(nn.Module):
    """Mean, deviation, minimum, maximum, first and last value of each input, and the length.

    Standardised over the batch in training, by running statistics later (``BatchNorm1d``, not affine).
    """

    def __init__(self, inputs: SequenceInput) -> None:
        super().__init__()
        self.inputs = inputs
        self.n_outputs = 6 * inputs.n_outputs + 1
        self.norm = nn.BatchNorm1d(self.n_outputs, affine=False, track_running_stats=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 6 I + 1)."""
        x = self.inputs(x)
        x, present = x[:, :-1], x[:, -1:]
        there = present > 0.5
        count = present.sum(0).clamp_min(1.0)
        mean = x.sum(0) / count
        deviation = ((x * x).sum(0) / count - mean * mean).clamp_min(0.0).sqrt()
        low = torch.where(there, x, torch.inf).amin(0)
        high = torch.where(there, x, -torch.inf).amax(0)
        began = present - torch.cat([torch.zeros_like(present[:1]), present[:-1]])
        first = (x * began).sum(0)
        parts = [mean, deviation, low, high, first, x[-1], present.sum(0) / len(present)]
        return self.norm(torch.cat(parts).transpose(0, 1))


class StepsReader(nn.Module):
    """All inputs of all steps side by side, counted from the end, and which steps are there."""

    def __init__(self, inputs: SequenceInput, n_steps: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.n_outputs = n_steps * (inputs.n_outputs + 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, T · (I + 1))."""
        return self.inputs(x).flatten(0, 1).transpose(0, 1)

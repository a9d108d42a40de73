"""Scan: a recurrent layer over all steps of a batch, with its gradient written by hand.

Autograd through an unrolled cell runs some thirty small operations a step; here a step is seven forward
and six backward, whatever does not depend on the recurrence is computed for all steps at once, and so
are the weights' gradients (one product each). Works under ``torch.func.vmap`` and in a recorded tape,
which ``nn.LSTM`` does not. Knows no modules.

The batch is the last axis: then each gate of a step is one block of memory, and pointwise work streams.

Shape legend: M members, T steps, B batch, F inputs, H units, G = gates · H, K = F + H.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["CELLS", "Cell", "scan", "unrolled"]


@dataclass(frozen=True)
class Cell:
    """One kind of recurrence.

    Attributes:
        gates: affine maps a step.
        forward: (x (M, T, F, B), weight (M, G, K), whether to keep what the gradient needs) → buffers;
            the first holds inputs and states ``[x, h]``.
        backward: (buffers, weight, gradient of the states, whether of all steps) → gradients of the
            gates' sums (M, T, G, B) as the inputs see them, and of the weight.
        step: the plain step (x (F, B), state, weight) → state; its first entry is h (H, B).
        states: tensors of a state.
    """

    gates: int
    forward: Callable[..., tuple[Tensor, ...]]
    backward: Callable[..., tuple[Tensor, Tensor]]
    step: Callable[[Tensor, tuple[Tensor, ...], Tensor], tuple[Tensor, ...]]
    states: int = 1


def scan(kind: str, x: Tensor, weight: Tensor, *, every: bool = False) -> Tensor:
    """Run a recurrent layer from a zero state.

    Args:
        kind: ``lstm``, ``gru`` or ``rnn``.
        x: inputs (T, F, B). A bias is the weight of an input that is 1; where all of a row's inputs are 0
            before its sequence begins, its state stays exactly 0.
        weight: (G, F + H), for ``[x, h]``; gates in the order of :data:`CELLS`.
        every: whether to return the states of all steps (T, H, B) rather than the last (H, B).

    Source: Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000; Cho
    et al. 2014, in the form that resets after the product; Elman 1990.
    """
    # Only the first result is for callers: the others are what the gradient needs.
    result: Tensor = _Scan.apply(kind, every, torch.is_grad_enabled(), x, weight)[0]
    return result


def unrolled(kind: str, x: Tensor, weight: Tensor, *, taps: list[Tensor] | None = None) -> Tensor:
    """Do the same by ordinary operations, for exporters and as the slow twin; ``taps`` collects each h."""
    cell = CELLS[kind]
    units = weight.shape[0] // cell.gates
    state = tuple(x.new_zeros(units, x.shape[2]) for _ in range(cell.states))
    outputs = []
    for x_FB in x.unbind(0):
        state = cell.step(x_FB, state, weight)
        outputs.append(state[0])
        if taps is not None:
            taps.append(state[0])
    return torch.stack(outputs)


class _Scan(torch.autograd.Function):
    """The layer for one member, or for members on a leading axis."""

    @staticmethod
    def forward(kind: str, every: bool, keep: bool, x: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
        single = x.dim() == 3
        x, weight = (x.unsqueeze(0), weight.unsqueeze(0)) if single else (x, weight)
        buffers = CELLS[kind].forward(x, weight, keep or every)
        units = weight.shape[1] // CELLS[kind].gates
        h_MTHB = buffers[0][:, 1 if keep or every else 0 :, -units:]
        out = h_MTHB.clone() if every else h_MTHB[:, -1].clone()
        return (out.squeeze(0) if single else out, *buffers)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        kind, every, _, x, weight = inputs
        ctx.kind, ctx.every, ctx.single, ctx.n_inputs = kind, every, x.dim() == 3, x.shape[-2]
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(weight, *output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Any, ...]:
        if grads[0] is None:
            return (None,) * 5
        weight, *buffers = ctx.saved_tensors
        weight = weight.unsqueeze(0) if ctx.single else weight
        d_out = grads[0].unsqueeze(0) if ctx.single else grads[0]
        d_gates, d_weight = CELLS[ctx.kind].backward(buffers, weight, d_out, ctx.every)
        d_x = None
        if ctx.needs_input_grad[3]:
            d_x = weight[:, None, :, : ctx.n_inputs].transpose(2, 3) @ d_gates
            d_x = d_x.squeeze(0) if ctx.single else d_x
        return None, None, None, d_x, d_weight.squeeze(0) if ctx.single else d_weight

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], kind: str, every: bool, keep: bool, x: Tensor, weight: Tensor
    ) -> Any:
        m = info.batch_size

        def members_first(tensor: Tensor, at: int | None) -> Tensor:
            return tensor.expand(m, *tensor.shape) if at is None else tensor.movedim(at, 0)

        results = _Scan.apply(
            kind, every, keep, members_first(x, in_dims[3]), members_first(weight, in_dims[4])
        )
        return results, (0,) * len(results)


def _inputs_and_states(x: Tensor, units: int, keep: bool) -> Tensor:
    """Return the buffer of ``[x, h]`` (M, T + 1, K, B), the zero state in place; one slot if not kept."""
    m, t, f, b = x.shape
    xh = x.new_empty(m, t + 1 if keep else 1, f + units, b)
    xh[:, 0, f:].zero_()
    if keep:
        xh[:, :t, :f].copy_(x)
    return xh


# ---- LSTM: gates o, i, f, g; c' = f·c + i·g; h' = o·tanh(c') ---------------------------------------------


def _lstm_forward(x: Tensor, weight: Tensor, keep: bool) -> tuple[Tensor, ...]:
    """Return ``[x, h]``, c (M, T + 1, H, B), gates (M, T, G, B) and tanh(c) (M, T, H, B)."""
    m, t, f, b = x.shape
    n = weight.shape[1] // 4
    xh = _inputs_and_states(x, n, keep)
    c = x.new_empty(m, t + 1 if keep else 1, n, b)
    c[:, 0].zero_()
    gates = x.new_empty(m, t if keep else 1, 4 * n, b)
    squashed = x.new_empty(m, t if keep else 1, n, b)
    sums = x.new_empty(m, 4 * n, b)
    for step in range(t):
        now, after = (step, step + 1) if keep else (0, 0)
        if not keep:
            xh[:, 0, :f].copy_(x[:, step])
        torch.bmm(weight, xh[:, now], out=sums)
        gate = gates[:, now]
        torch.sigmoid(sums[:, : 3 * n], out=gate[:, : 3 * n])
        torch.tanh(sums[:, 3 * n :], out=gate[:, 3 * n :])
        torch.mul(gate[:, 2 * n : 3 * n], c[:, now], out=c[:, after])
        c[:, after].addcmul_(gate[:, n : 2 * n], gate[:, 3 * n :])
        torch.tanh(c[:, after], out=squashed[:, now])
        torch.mul(gate[:, :n], squashed[:, now], out=xh[:, after, f:])
    return xh, c, gates, squashed


def _lstm_backward(
    buffers: list[Tensor], weight: Tensor, d_out: Tensor, every: bool
) -> tuple[Tensor, Tensor]:
    xh, c, gates, squashed = buffers
    t, n = gates.shape[1], c.shape[2]
    o, i, f, g = gates.split(n, dim=2)
    # d sums = slope · (d h for o, d c for the others): all slopes at once.
    slope = torch.empty_like(gates)
    torch.mul(squashed * o, 1.0 - o, out=slope[:, :, :n])
    torch.mul(g * i, 1.0 - i, out=slope[:, :, n : 2 * n])
    torch.mul(c[:, :t] * f, 1.0 - f, out=slope[:, :, 2 * n : 3 * n])
    torch.mul(i, 1.0 - g * g, out=slope[:, :, 3 * n :])
    into_c = o * (1.0 - squashed * squashed)
    d_sums = torch.empty_like(gates)
    recurrent = weight[:, :, -n:].transpose(1, 2).contiguous()
    d_weight = torch.empty_like(weight)
    d_h = d_out[:, -1].clone() if every else d_out.clone()
    d_c = d_h * into_c[:, t - 1]
    for step in range(t - 1, -1, -1):
        if step < t - 1:
            torch.bmm(recurrent, d_sums[:, step + 1], out=d_h)
            if every:
                d_h.add_(d_out[:, step])
            d_c.mul_(f[:, step + 1]).addcmul_(d_h, into_c[:, step])
        torch.mul(slope[:, step, :n], d_h, out=d_sums[:, step, :n])
        three = (3, n)
        torch.mul(
            slope[:, step, n:].unflatten(1, three),
            d_c.unsqueeze(1),
            out=d_sums[:, step, n:].unflatten(1, three),
        )
        _add_weight_gradient(d_weight, d_sums[:, step], xh[:, step], first=step == t - 1)
    return d_sums, d_weight


def _add_weight_gradient(d_weight: Tensor, d_sums: Tensor, xh: Tensor, *, first: bool) -> None:
    if first:
        torch.bmm(d_sums, xh.transpose(1, 2), out=d_weight)
    else:
        d_weight.baddbmm_(d_sums, xh.transpose(1, 2))


def _lstm_step(x: Tensor, state: tuple[Tensor, ...], weight: Tensor) -> tuple[Tensor, ...]:
    h, c = state
    o, i, f, g = (weight @ torch.cat([x, h])).chunk(4)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


# ---- GRU: gates r, z, n; n = tanh(W x + r · U h); h' = n + z·(h - n) -------------------------------------


def _gru_forward(x: Tensor, weight: Tensor, keep: bool) -> tuple[Tensor, ...]:
    """Return ``[x, h]``, gates (M, T, G, B) and U h of the candidate (M, T, H, B)."""
    m, t, f, b = x.shape
    n = weight.shape[1] // 3
    xh = _inputs_and_states(x, n, keep)
    gates = x.new_empty(m, t if keep else 1, 3 * n, b)
    recalled = x.new_empty(m, t if keep else 1, n, b)
    sums = x.new_empty(m, 2 * n, b)
    candidate, rest = x.new_empty(m, n, b), x.new_empty(m, n, b)
    for step in range(t):
        now, after = (step, step + 1) if keep else (0, 0)
        if not keep:
            xh[:, 0, :f].copy_(x[:, step])
        gate, h = gates[:, now], xh[:, now, f:]
        torch.bmm(weight[:, : 2 * n], xh[:, now], out=sums)
        torch.sigmoid(sums, out=gate[:, : 2 * n])
        torch.bmm(weight[:, 2 * n :, f:], h, out=recalled[:, now])
        torch.bmm(weight[:, 2 * n :, :f], xh[:, now, :f], out=candidate)
        candidate.addcmul_(gate[:, :n], recalled[:, now])
        torch.tanh(candidate, out=gate[:, 2 * n :])
        torch.sub(h, gate[:, 2 * n :], out=rest)
        torch.addcmul(gate[:, 2 * n :], gate[:, n : 2 * n], rest, out=xh[:, after, f:])
    return xh, gates, recalled


def _gru_backward(buffers: list[Tensor], weight: Tensor, d_out: Tensor, every: bool) -> tuple[Tensor, Tensor]:
    xh, gates, recalled = buffers
    m, t, _, b = gates.shape
    n = recalled.shape[2]
    f = xh.shape[2] - n
    r, z, candidate = gates.split(n, dim=2)
    # In the order U h, r, z, n: the first three act through the states, the last three through inputs.
    slope = gates.new_empty(m, t, 4 * n, b)
    torch.mul(1.0 - z, 1.0 - candidate * candidate, out=slope[:, :, 3 * n :])
    torch.mul(slope[:, :, 3 * n :], r, out=slope[:, :, :n])
    torch.mul(slope[:, :, :n] * recalled, 1.0 - r, out=slope[:, :, n : 2 * n])
    torch.mul((xh[:, :t, f:] - candidate) * z, 1.0 - z, out=slope[:, :, 2 * n : 3 * n])
    d_sums = torch.empty_like(slope)
    recurrent = (
        torch.cat([weight[:, 2 * n :, f:], weight[:, : 2 * n, f:]], dim=1).transpose(1, 2).contiguous()
    )
    d_weight = torch.empty_like(weight)
    d_new_x, d_new_h = weight.new_empty(m, n, f), weight.new_empty(m, n, n)
    d_gates = weight.new_empty(m, 2 * n, f + n)
    d_h = d_out[:, -1].clone() if every else d_out.clone()
    back = torch.empty_like(d_h)
    for step in range(t - 1, -1, -1):
        first = step == t - 1
        if not first:
            torch.bmm(recurrent, d_sums[:, step + 1, : 3 * n], out=back)
            d_h.mul_(z[:, step + 1]).add_(back)
            if every:
                d_h.add_(d_out[:, step])
        four = (4, n)
        torch.mul(slope[:, step].unflatten(1, four), d_h.unsqueeze(1), out=d_sums[:, step].unflatten(1, four))
        now, d = xh[:, step], d_sums[:, step]
        _add_weight_gradient(d_gates, d[:, n : 3 * n], now, first=first)
        _add_weight_gradient(d_new_x, d[:, 3 * n :], now[:, :f], first=first)
        _add_weight_gradient(d_new_h, d[:, :n], now[:, f:], first=first)
    d_weight[:, : 2 * n].copy_(d_gates)
    d_weight[:, 2 * n :, :f].copy_(d_new_x)
    d_weight[:, 2 * n :, f:].copy_(d_new_h)
    return d_sums[:, :, n:], d_weight


def _gru_step(x: Tensor, state: tuple[Tensor, ...], weight: Tensor) -> tuple[Tensor, ...]:
    (h,) = state
    n, f = len(h), len(x)
    r, z = torch.sigmoid(weight[: 2 * n] @ torch.cat([x, h])).chunk(2)
    candidate = torch.tanh(weight[2 * n :, :f] @ x + r * (weight[2 * n :, f:] @ h))
    return (candidate + z * (h - candidate),)


# ---- RNN: h' = tanh(W x + U h), a product of T Jacobians from the end to the beginning -------------------


def _rnn_forward(x: Tensor, weight: Tensor, keep: bool) -> tuple[Tensor, ...]:
    """Return ``[x, h]``."""
    m, t, f, b = x.shape
    xh = _inputs_and_states(x, weight.shape[1], keep)
    sums = x.new_empty(m, weight.shape[1], b)
    for step in range(t):
        now, after = (step, step + 1) if keep else (0, 0)
        if not keep:
            xh[:, 0, :f].copy_(x[:, step])
        torch.bmm(weight, xh[:, now], out=sums)
        torch.tanh(sums, out=xh[:, after, f:])
    return (xh,)


def _rnn_backward(buffers: list[Tensor], weight: Tensor, d_out: Tensor, every: bool) -> tuple[Tensor, Tensor]:
    (xh,) = buffers
    n, t = weight.shape[1], xh.shape[1] - 1
    h = xh[:, 1:, -n:]
    slope = 1.0 - h * h
    d_sums = torch.empty_like(slope)
    recurrent = weight[:, :, -n:].transpose(1, 2).contiguous()
    d_weight = torch.empty_like(weight)
    d_h = d_out[:, -1].clone() if every else d_out.clone()
    for step in range(t - 1, -1, -1):
        if step < t - 1:
            torch.bmm(recurrent, d_sums[:, step + 1], out=d_h)
            if every:
                d_h.add_(d_out[:, step])
        torch.mul(slope[:, step], d_h, out=d_sums[:, step])
        _add_weight_gradient(d_weight, d_sums[:, step], xh[:, step], first=step == t - 1)
    return d_sums, d_weight


def _rnn_step(x: Tensor, state: tuple[Tensor, ...], weight: Tensor) -> tuple[Tensor, ...]:
    return (torch.tanh(weight @ torch.cat([x, state[0]])),)


#: Gates in the order in which a layer's weight has them.
CELLS: dict[str, Cell] = {
    "lstm": Cell(4, _lstm_forward, _lstm_backward, _lstm_step, 2),
    "gru": Cell(3, _gru_forward, _gru_backward, _gru_step),
    "rnn": Cell(1, _rnn_forward, _rnn_backward, _rnn_step),
}

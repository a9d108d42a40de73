"""Probe: can this architecture train under ``vmap``? A rehearsal of one step, held against a plain loop.

Knows no configurations and no chunks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from soundfit.bank.loss import Loss
from soundfit.bank.precision import matmul_precision
from soundfit.bank.program import LoopProgram, Program
from soundfit.bank.recorder import record
from soundfit.bank.stack import Stack, stack_modules

__all__ = ["why_loop"]


def why_loop(module: nn.Module, x: Tensor, y: Tensor, loss: Loss) -> str:
    """Return why members like ``module`` have to run one after the other; empty if they need not.

    Args:
        module: on the device of ``x``.
        x: a small batch of inputs (B, …).
        y: its targets.

    Raises:
        Exception: what the module or the loss raises on its own, outside of any bank.
    """
    device = x.device
    stack = stack_modules([module, module], sample=x, device=device)
    args = (
        tuple(stack.views().values()),
        tuple(stack.buffers.values()),
        torch.stack([x, x]),
        torch.stack([y, y]),
        None,
    )
    with matmul_precision("highest"):
        return _why_loop(stack, args, loss, x)


def _why_loop(stack: Stack, args: tuple[Any, ...], loss: Loss, x: Tensor) -> str:
    # First on its own: a module that fails here fails everywhere, and says so itself.
    with torch.random.fork_rng(devices=[]):
        expected, _, _ = LoopProgram(stack, loss).step(*args, own=(True, True))
    found: list[Tensor] = []

    def step() -> tuple[Tensor, ...]:
        found.append(Program(stack, loss).step(*args, own=(True, True))[0])
        return ()

    try:
        recording = record(step, x.device)
        Program(stack, loss).outputs(args[0], args[1], x)
    except Exception as error:
        return f"vmap cannot follow it ({type(error).__name__}: {str(error).strip().splitlines()[0][:160]})"
    random = [op for op in recording.ops if torch.Tag.nondeterministic_seeded in op.func.tags]
    if random:
        name = random[0].func.overloadpacket.__name__
        return f"it draws from torch's global generator ({name}); nn.Dropout is drawn by counter and may stay"
    name = _differing(stack, found[0], expected)
    return f"its gradients under vmap differ from its own ({name})" if name else ""


def _differing(stack: Stack, found_MP: Tensor, expected_MP: Tensor) -> str:
    """Return the parameter whose gradient differs most, where any differs by more than rounding.

    By norms: single elements near 0 round apart by any factor where convolutions of members are grouped.
    """
    if not torch.equal(found_MP.isfinite(), expected_MP.isfinite()):
        return "not finite in one of them"
    gap_MP, expected_MP = (found_MP - expected_MP).nan_to_num(), expected_MP.nan_to_num()
    least_M = 1e-3 * expected_MP.norm(dim=1)
    worst, name = 1.0, ""
    for slot in stack.slots:
        part = slice(slot.start, slot.start + slot.size)
        size_M = expected_MP[:, part].norm(dim=1)
        excess = float((gap_MP[:, part].norm(dim=1) / (1e-2 * size_M + least_M + 1e-8)).max())
        if excess > worst:
            worst, name = excess, slot.name
    return name

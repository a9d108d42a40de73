"""Probe: can this architecture train under ``vmap``? A rehearsal of one step, held against a plain loop.

Knows no configurations and no chunks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from soundfit.bank.loss import Loss
from soundfit.bank.program import LoopProgram, Program
from soundfit.bank.recorder import record
from soundfit.bank.stack import stack_modules

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
    # First on its own: a module that fails here fails everywhere, and says so itself.
    with torch.random.fork_rng(devices=[]):
        expected, _, _ = LoopProgram(stack, loss).step(*args, own=(True, True))
    found: list[Tensor] = []

    def step() -> tuple[Tensor, ...]:
        found.append(Program(stack, loss).step(*args, own=(True, True))[0])
        return ()

    try:
        recording = record(step, device)
        Program(stack, loss).outputs(args[0], args[1], x)
    except Exception as error:
        return f"vmap cannot follow it ({type(error).__name__}: {str(error).strip().splitlines()[0][:160]})"
    random = [op for op in recording.ops if torch.Tag.nondeterministic_seeded in op.func.tags]
    if random:
        name = random[0].func.overloadpacket.__name__
        return f"it draws from torch's global generator ({name}); nn.Dropout is drawn by counter and may stay"
    if not torch.allclose(found[0], expected, rtol=1e-2, atol=1e-5, equal_nan=True):
        return "its gradients under vmap differ from its own"
    return ""

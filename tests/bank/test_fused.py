"""The fused AdamW kernel equals torch's AdamW; where it cannot be built, training goes on without."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from soundfit.bank import fused
from soundfit.bank.optimizer import OptimizerState, Scales, optimizer_step_

CPU = torch.device("cpu")

# Triton's interpreter has to be chosen before Triton is imported: a process of its own.
AS_TORCH = """
import torch
from soundfit.bank.fused import fused_adamw_
from soundfit.bank.recorder import record
from soundfit.bank.tape import Tape

torch.manual_seed(0)
M, P = 3, 1100
rates, decays, betas = [1e-3, 1e-2, 0.1], [0.0, 0.1, 0.5], (0.9, 0.95)
for scaled in (False, True):
    start = torch.randn(M, P)
    params, first, second = start.clone(), torch.zeros(M, P), torch.zeros(M, P)
    steps, grads = torch.zeros(M), torch.randn(M, P)
    rate_scale = torch.rand(P) + 0.5 if scaled else None
    decay_scale = (torch.rand(P) > 0.5).float() if scaled else None
    rate, decay = torch.tensor(rates), torch.tensor(decays)

    def step():
        steps.add_(1)
        fused_adamw_(
            params, grads, first, second, steps, rate, decay, rate_scale_P=rate_scale,
            decay_scale_P=decay_scale, beta1=betas[0], beta2=betas[1], epsilon=1e-8,
        )
        return ()

    gradients = torch.randn(6, M, P)
    gradients[:, 0, :5] = 0.0
    twins = []
    for m in range(M):
        columns = [torch.nn.Parameter(start[m, p : p + 1].clone()) for p in range(P)] if scaled else None
        groups = columns or [torch.nn.Parameter(start[m].clone())]
        options = [
            {
                "params": [w],
                "lr": rates[m] * (float(rate_scale[i]) if scaled else 1.0),
                "weight_decay": decays[m] * (float(decay_scale[i]) if scaled else 1.0),
            }
            for i, w in enumerate(groups)
        ]
        twins.append((groups, torch.optim.AdamW(options, betas=betas, eps=1e-8)))
    tape = None
    for gradient in gradients:
        grads.copy_(gradient)
        # The first step is recorded as it runs, the others are replayed.
        if tape is None:
            tape = Tape(step, device=torch.device("cpu"))
        else:
            tape.replay()
        for m, (weights, optimizer) in enumerate(twins):
            flat = gradient[m]
            for i, w in enumerate(weights):
                w.grad = flat[i : i + 1].clone() if scaled else flat.clone()
            optimizer.step()
            expected = torch.cat([w.detach() for w in weights])
            torch.testing.assert_close(params[m], expected, rtol=2e-6, atol=2e-7)
"""


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
def test_the_kernel_is_adamw_with_a_rate_and_a_decay_for_each_member() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AS_TORCH],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_kernel_that_cannot_be_built_is_given_up_and_the_reason_kept(monkeypatch: Any) -> None:
    available = fused.availability
    monkeypatch.setattr(available, "reason", "")
    monkeypatch.setattr(available, "on", lambda device: not available.reason)

    def broken() -> object:
        raise RuntimeError("PTX of another age\nmore")

    monkeypatch.setattr(fused, "_compiled", broken)
    torch.manual_seed(0)
    params, grads = torch.randn(2, 16), torch.randn(2, 16)
    expected = params.clone()
    options: dict[str, Any] = {
        "learning_rate_M1": torch.full((2, 1), 0.1),
        "weight_decay_M1": torch.full((2, 1), 0.1),
        "momentum_M1": torch.zeros(2, 1),
        "scales": Scales(),
    }
    with pytest.warns(RuntimeWarning, match="fused AdamW is not available"):
        optimizer_step_(OptimizerState.zeros("adamw", params), params, grads, **options)
    assert available.reason == "RuntimeError: PTX of another age"
    optimizer_step_(OptimizerState.zeros("adamw", expected), expected, grads, **options)
    assert torch.equal(params, expected)


def test_the_kernel_is_for_gpus() -> None:
    assert not fused.availability.on(CPU)

"""Solved: linear heads on features, fitted to the end of their convex problem instead of step by step.

Of a few pictures a class, each validated by a handful, the best checkpoint of a descent is an accident of
that handful; the minimum of a penalised loss is not, and takes milliseconds. Linear probes are fitted so
(Kornblith, Shlens & Le 2019, section 3; Radford et al. 2021, appendix A.3).

B rows, D features, C outputs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from soundfit.bank import BankData, MemberRows, Outcome
from soundfit.models.backbone import FeatureHead
from soundfit.records import Config, Trace
from soundfit.study.halving import CallRace

__all__ = ["SOLVED", "Solving", "is_solved", "solved_outcome"]

#: Option of a configuration whose linear head is solved; its ``weight_decay`` is then λ in loss + λ/2 · |w|².
SOLVED = {"solver": "lbfgs"}
_MOST_ITERATIONS = 500

Train = Callable[..., list[Outcome]]


def is_solved(config: Config) -> bool:
    """Return whether a configuration's members are solved, and not trained step by step."""
    return config.model == "linear" and bool(config.get("solver"))


@dataclass(frozen=True)
class Solving:
    """``train`` of a study (see :class:`Hooks`) that solves what can be solved and hands on the rest."""

    train: Train

    def __call__(
        self,
        make_module: Callable[[Config], nn.Module],
        configs: Sequence[Config],
        rows: Sequence[MemberRows],
        data: BankData,
        *,
        seeds: Sequence[int],
        race: CallRace | None = None,
        on_epoch: Callable[[int], None] | None = None,
        **given: Any,
    ) -> list[Outcome]:
        """Return the members' outcomes in order."""
        rest = [i for i, c in enumerate(configs) if not is_solved(c)]
        found: dict[int, Outcome] = {}
        for i in sorted(set(range(len(configs))) - set(rest)):
            found[i] = solve_head(make_module(configs[i]), configs[i], rows[i], data)
            if on_epoch is not None:
                on_epoch(configs[i].epochs)
        if rest:
            outcomes = self.train(
                make_module,
                [configs[i] for i in rest],
                [rows[i] for i in rest],
                data,
                seeds=[seeds[i] for i in rest],
                # Who is solved at once runs no race.
                race=None if race is None else race.race.of([race.members[i] for i in rest]),
                on_epoch=on_epoch,
                **given,
            )
            found.update(zip(rest, outcomes, strict=True))
        return [found[i] for i in range(len(configs))]


def solve_head(module: nn.Module, config: Config, rows: MemberRows, data: BankData) -> Outcome:
    """Fit a linear head by L-BFGS (classes) or in closed form (values), and return what came of it.

    Args:
        module: a :class:`FeatureHead` with a linear body and the statistics of these training rows.
        config: its ``weight_decay`` is the penalty λ on |w|² / 2 beside the mean loss.
        rows: of the member.
        data: features and targets.
    """
    assert isinstance(module, FeatureHead)
    module.eval()
    linear: Any = module.body
    inputs, targets = data.inputs_VN[rows.view].cpu(), data.targets_VN[rows.view].cpu()
    x_BD = ((inputs[rows.train] - module.feature_mean) * module.feature_scale).double().numpy()
    y = targets[rows.train].numpy()
    penalty = max(config.weight_decay, 1e-9) * len(y)
    with threadpool_limits(1):
        solve = _classes if not targets.is_floating_point() else _values
        weight_CD, bias_C = solve(x_BD, y, penalty, module)
    with torch.no_grad():
        linear.output.weight.copy_(torch.from_numpy(weight_CD))
        linear.output.bias.copy_(torch.from_numpy(bias_C))
        outputs = [module(inputs[r]) for r in (rows.train, rows.validation)]
    training = _loss(outputs[0], targets[rows.train], module)
    validation = _loss(outputs[1], targets[rows.validation], module)
    # Twice the same: a solution does not move on.
    return solved_outcome(module, outputs[1].float(), training, validation, epochs=2)


def solved_outcome(
    module: nn.Module,
    outputs: Tensor,
    training: float,
    validation: float,
    *,
    epochs: int,
    status: str | None = None,
) -> Outcome:
    """Return what came of a member that was solved: its losses stand at each of ``epochs``.

    Args:
        module: holds the solution.
        outputs: (n, C) on the validation rows.
        training, validation: its losses.
        epochs: points of its trace, which did not descend.
        status: ``done`` or, where a loss is not finite, ``failed`` if None.
    """
    if status is None:
        status = "done" if np.isfinite([training, validation]).all() else "failed"
    series = {"training_loss": np.full(epochs, training), "validation_loss": np.full(epochs, validation)}
    tensors = {name: t.detach().clone() for name, t in (*module.named_parameters(), *module.named_buffers())}
    return Outcome(
        template=module,
        tensors=tensors,
        status=status,
        best_epoch=1 if status == "done" else 0,
        epochs=epochs,
        training_loss=training,
        validation_loss=validation,
        rollbacks=0,
        n_parameters=sum(p.numel() for p in module.parameters()),
        bank=-1,
        trace=Trace("epoch", np.arange(1.0, epochs + 1.0), series),
        validation_outputs=outputs,
    )


def _classes(
    x_BD: NDArray[np.float64], y: NDArray[Any], penalty: float, module: FeatureHead
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (C, D) and biases (C,) of a softmax regression; a class without rows is improbable."""
    body: Any = module.body
    n_classes = int(body.output.bias.shape[0])
    weight, bias = np.zeros((n_classes, x_BD.shape[1])), np.full(n_classes, -10.0)
    seen = np.unique(y)
    if len(seen) == 1:
        bias[seen] = 0.0
        return weight, bias
    # Of two classes one logit is fitted, half of it for each: w/2 and -w/2 have half of its square.
    penalty = penalty / 2.0 if len(seen) == 2 else penalty
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=1.0 / penalty, max_iter=_MOST_ITERATIONS).fit(x_BD, y)
    coefficients, intercepts = fitted.coef_, fitted.intercept_
    if len(seen) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2.0
        intercepts = np.concatenate([-intercepts, intercepts]) / 2.0
    weight[seen], bias[seen] = coefficients, intercepts
    return weight, bias


def _values(
    x_BD: NDArray[np.float64], y: NDArray[Any], penalty: float, module: FeatureHead
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights (1, D) and bias (1,) of a ridge regression on the scaled target."""
    scaled = (y[:, 0].astype(np.float64) - float(module.target_mean)) / float(module.target_sd)
    fitted = Ridge(alpha=penalty / 2.0).fit(x_BD, scaled)
    return fitted.coef_[None], np.array([fitted.intercept_])


def _loss(outputs: Tensor, targets: Tensor, module: FeatureHead) -> float:
    if not targets.is_floating_point():
        return float(nn.functional.cross_entropy(outputs.double(), targets))
    return float((((outputs - targets) / module.target_sd) ** 2).mean())

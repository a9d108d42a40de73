"""Infinite: MLPs of infinite width beside a study's trained nets, solved in closed form on the same folds.

They join the final model where that validates better, and nothing else: the choice of a configuration, its
verdict and its curves are those of nets that were trained. How smooth a solution is, its ridge, is chosen on
a fold's training rows alone, by leaving one out (Allen 1974; Golub, Heath & Wahba 1979), which has a closed
form here; of classes also how sure its shares are.

n training rows, m landmarks, C outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn

from soundfit.bank import BankData, MemberRows, Outcome
from soundfit.bank.threads import at_places, default_workers
from soundfit.executors.executor import Line
from soundfit.executors.processes import ProcessExecutor, can_fork
from soundfit.models.infinite import InfiniteMlp
from soundfit.records import Config
from soundfit.study.cross_validation import Hooks, StudyRun, cross_validate_views
from soundfit.study.prescriptions import join_studies
from soundfit.study.solved import solved_outcome
from soundfit.study.views import TableViews, softmax

__all__ = ["infinite_configurations", "infinite_seconds", "solve_infinite", "with_infinite", "with_landmarks"]

Array = NDArray[np.float64]

MOST_LANDMARKS = 2_000
# Of fewer rows nothing is left out for a ridge; of more, trained nets have the better of some landmarks.
_FEWEST_ROWS, _MOST_ROWS = 10, 10_000
# All shapes where they cost little, of more rows the first ones.
_SHAPES = ((1, "all"), (3, "last"), (1, "last"))
_FEW_SHAPES = 2
_RIDGES = np.geomspace(1e-5, 1e2, 15)
_JITTER = 1e-8
# Rows by which the ridge is chosen, and rows of a block of a large kernel.
_FEW, _ROWS_A_BLOCK = 800, 2_000
_SUREST = 100.0
# Double-precision operations a second of one core, a cautious guess: a limit on time must hold.
_SPEED = 1e10
# Rows × landmarks from which a solution lasts longer than the start of a worker.
_WORTH_A_FORK = 50_000


def infinite_configurations(n_train: Sequence[int]) -> tuple[Config, ...]:
    """Return the shapes to try, by the training rows of each fold; none of very few or very many."""
    if min(n_train) < _FEWEST_ROWS or max(n_train) > _MOST_ROWS:
        return ()
    base = with_landmarks(Config(model="infinite", width=0, epochs=1), max(n_train))
    shapes = _SHAPES if base["landmarks"] <= _FEW else _SHAPES[:_FEW_SHAPES]
    return tuple(base.with_(depth=depth, trained=trained) for depth, trained in shapes)


def with_landmarks(config: Config, n_rows: int) -> Config:
    """Return a configuration with as many landmarks as there are training rows, or as can be paid for."""
    return config.with_(landmarks=min(int(n_rows), MOST_LANDMARKS))


def infinite_seconds(n_train: Sequence[int], n_inputs: int) -> float:
    """Return about how many seconds of one core it takes to solve all shapes on all folds."""
    configs = infinite_configurations(n_train)
    m = configs[0]["landmarks"] if configs else 0
    each = [25.0 * min(m, _FEW) ** 3 + n * m * (2.0 * m + 4.0 * n_inputs + 400.0) for n in n_train]
    return len(configs) * sum(each) / _SPEED


def with_infinite(
    views: TableViews, study: StudyRun, *, seed: int, seconds_left: float, hooks: Hooks
) -> StudyRun:
    """Return the study with solved nets after its configurations; its choice and all it says stay.

    Args:
        views, study: what was trained, and on what.
        seed: which training rows become landmarks where not all do.
        seconds_left: nothing is solved where it would hardly fit.
        hooks: told of each solution, and asked whether to stop; then the study returns as it was.
    """
    sizes = [len(f.train) for f in views.folds]
    configs = infinite_configurations(sizes)
    if not configs or hooks.should_stop() or infinite_seconds(sizes, views.n_inputs) > seconds_left:
        return study
    mine = replace(hooks, train=_Solving(hooks.should_stop), seconds_left=None)
    try:
        solved = cross_validate_views(views, configs, seeds=(seed,), hooks=mine)
    except ValueError as error:
        if "finite score on every fold" not in str(error):
            raise
        return study
    if any(outcome.status == "interrupted" for outcome in solved.outcomes):
        return study
    joined = join_studies(views, study, solved)
    old = study.result
    # An ensemble partner, no candidate: what was found of trained nets is said of one of them.
    kept = replace(
        joined.result, chosen=old.chosen, rule=old.rule, predictions=old.predictions, details=old.details
    )
    return StudyRun(kept, joined.outcomes)


@dataclass(frozen=True)
class _Solving:
    """``train`` of a study (see :class:`Hooks`) that solves its members, side by side where it pays."""

    should_stop: Callable[[], bool]

    def __call__(
        self,
        make_module: Callable[[Config], nn.Module],
        configs: Sequence[Config],
        rows: Sequence[MemberRows],
        data: BankData,
        *,
        seeds: Sequence[int],
        on_epoch: Callable[[int], None],
        **given: Any,
    ) -> list[Outcome]:
        """Return the members' outcomes in order; those that were not solved any more as interrupted."""
        n_workers = default_workers(torch.device("cpu"))
        size = len(rows[0].train) * configs[0]["landmarks"]
        forks = n_workers > 1 and size > _WORTH_A_FORK and can_fork()

        def solve(i: int, place: int) -> Outcome:
            module = make_module(configs[i])
            if self.should_stop():
                asked = len(rows[i].validation), module.get_parameter("weight").shape[1]
                return solved_outcome(
                    module, torch.zeros(asked), np.nan, np.nan, epochs=1, status="interrupted"
                )
            if executor is None:
                outcome = solve_infinite(module, rows[i], data, seed=seeds[i])
            else:
                told = (shared, module, rows[i], seeds[i])
                outcome = executor.call(_solve, *told, poll=lambda done, state: False, place=place)
            on_epoch(1)
            return outcome

        with ProcessExecutor(n_workers) if forks else nullcontext() as executor:
            shared = None if executor is None else executor.put(data)
            return at_places(solve, range(len(configs)), n_workers if forks else 1)


def _solve(line: Line, data: BankData, module: InfiniteMlp, rows: MemberRows, seed: int) -> Outcome:
    return solve_infinite(module, rows, data, seed=seed)


def solve_infinite(module: nn.Module, rows: MemberRows, data: BankData, *, seed: int = 0) -> Outcome:
    """Solve one net on a member's training rows and return what came of it.

    Args:
        module: an :class:`InfiniteMlp`, which is filled.
        rows: of the member.
        data: inputs, and targets: values on the scale of training, or class codes.
        seed: which rows become landmarks.
    """
    assert isinstance(module, InfiniteMlp)
    order = np.random.default_rng(seed).permutation(rows.train)
    inputs = data.inputs_VN[rows.view if len(data.inputs_VN) > 1 else 0].cpu()
    targets = data.targets_VN[rows.view if len(data.targets_VN) > 1 else 0].cpu()
    with torch.no_grad(), threadpool_limits(1, "blas"):
        x = inputs[order]
        # By time an early fold may have fewer rows than places; the rest stays without weight.
        m = min(len(x), len(module.landmarks))
        module.landmarks[:m] = x[:m]
        module.unit.copy_(x.double().square().mean().sqrt().clamp_min(1e-6))
        wanted = _wanted(targets[order], module.weight.shape[1])
        few = _Few.of(module.kernel(x[:_FEW], x[:_FEW]))
        ridge, factor = few.best_ridge(wanted)
        all_few = m == len(x) <= _FEW
        weight_mC = few.weight(wanted.outputs_nC, ridge) if all_few else _many(module, x, wanted, ridge)
        module.weight[:m] = factor * weight_mC
        module.bias.copy_(wanted.bias_C)
        outputs = [module(inputs[r]) for r in (order, rows.validation)]
        training, validation = _loss(outputs[0], targets[order]), _loss(outputs[1], targets[rows.validation])
    return solved_outcome(module, outputs[1], training, validation, epochs=1)


@dataclass(frozen=True)
class _Wanted:
    """What a kernel is fitted to: centred values, or who is in which class; and what is added to it."""

    outputs_nC: Tensor
    bias_C: Tensor
    codes_n: NDArray[np.int64] | None


def _wanted(targets: Tensor, n_outputs: int) -> _Wanted:
    if targets.is_floating_point():
        mean = targets.double().mean(0)
        return _Wanted(targets.double() - mean, mean, None)
    counts = torch.bincount(targets, minlength=n_outputs).double()
    members_nC = nn.functional.one_hot(targets, n_outputs).double()
    log_share_C = ((counts + 1.0) / (counts.sum() + n_outputs)).log()
    return _Wanted(members_nC - counts / counts.sum(), log_share_C, targets.numpy())


@dataclass(frozen=True)
class _Few:
    """Ridge regressions on the kernel of a few rows (n, n), all ridges at the price of one decomposition.

    The ridge is the variance of noise by that of the function (Rasmussen & Williams 2006, section 2.2), so
    the one that suits some hundred rows suits more of them.
    """

    values_n: Tensor
    vectors_nn: Tensor
    size: float

    @classmethod
    def of(cls, kernel_nn: Tensor) -> _Few:
        """Decompose a kernel of rows among each other."""
        values_n, vectors_nn = torch.linalg.eigh((kernel_nn + kernel_nn.T) / 2.0)
        return cls(values_n.clamp_min(0.0), vectors_nn, float(kernel_nn.diagonal().mean()))

    @property
    def ridges(self) -> list[float]:
        """What is tried."""
        return [self.size * float(r) for r in _RIDGES]

    def weight(self, outputs_nC: Tensor, ridge: float) -> Tensor:
        """Return the weight (n, C) of each row's kernel."""
        projected_nC = self.vectors_nn.T @ outputs_nC
        return self.vectors_nn @ (projected_nC / (self.values_n + ridge).unsqueeze(1))

    def left_out(self, outputs_nC: Tensor, ridge: float) -> Tensor:
        """Return each row's outputs (n, C) by a solution that never saw it."""
        shrunk_n = ridge / (self.values_n + ridge)
        rest_nC = self.vectors_nn @ (shrunk_n.unsqueeze(1) * (self.vectors_nn.T @ outputs_nC))
        free_n1 = (self.vectors_nn.square() @ shrunk_n).unsqueeze(1)
        return outputs_nC - rest_nC / free_n1.clamp_min(1e-12)

    def best_ridge(self, wanted: _Wanted) -> tuple[float, float]:
        """Return the ridge of the least error on rows left out, and the factor that makes outputs logits."""
        outputs_nC = wanted.outputs_nC[: len(self.values_n)]
        found = []
        for ridge in self.ridges:
            guess_nC = self.left_out(outputs_nC, ridge)
            if wanted.codes_n is None:
                found.append((float((guess_nC - outputs_nC).square().mean()), ridge, 1.0))
            else:
                codes_n = wanted.codes_n[: len(outputs_nC)]
                surprise, factor = _sureness(guess_nC.numpy(), wanted.bias_C.numpy(), codes_n)
                found.append((surprise, ridge, factor))
        _, ridge, factor = min(found)
        return ridge, factor


def _sureness(guess_nC: Array, bias_C: Array, codes_n: NDArray[np.int64]) -> tuple[float, float]:
    """Return the least log-loss of scaled guesses, and their factor."""

    def surprise(factor: float) -> float:
        shares_nC = softmax(factor * guess_nC + bias_C)
        return float(-np.log(np.maximum(shares_nC[np.arange(len(codes_n)), codes_n], 1e-12)).mean())

    found = minimize_scalar(surprise, bounds=(0.0, _SUREST), method="bounded", options={"xatol": 0.05})
    return float(found.fun), float(found.x)


def _many(module: InfiniteMlp, x: Tensor, wanted: _Wanted, ridge: float) -> Tensor:
    """Return the landmarks' weights (m, C) from all rows x (n, F), of which the landmarks are the first.

    Where not all rows are landmarks, rows have features K L⁻ᵀ with LLᵀ the landmarks' kernel (Williams &
    Seeger 2001).
    """
    m = min(len(x), len(module.landmarks))
    among_mm = module.kernel(x[:m], x[:m])
    among_mm = (among_mm + among_mm.T) / 2.0
    if m == len(x):
        among_mm.diagonal().add_(ridge)
        return torch.cholesky_solve(wanted.outputs_nC, torch.linalg.cholesky(among_mm))
    among_mm.diagonal().add_(_JITTER * float(among_mm.diagonal().mean()))
    lower_mm = torch.linalg.cholesky(among_mm)
    gram_mm = ridge * torch.eye(m, dtype=torch.float64)
    projected_mC = torch.zeros(m, wanted.outputs_nC.shape[1], dtype=torch.float64)
    for part, outputs in zip(x.split(_ROWS_A_BLOCK), wanted.outputs_nC.split(_ROWS_A_BLOCK), strict=True):
        features_mb = torch.linalg.solve_triangular(lower_mm, module.kernel(part)[:, :m].T, upper=False)
        gram_mm += features_mb @ features_mb.T
        projected_mC += features_mb @ outputs
    solved_mC = torch.cholesky_solve(projected_mC, torch.linalg.cholesky(gram_mm))
    return torch.linalg.solve_triangular(lower_mm.T, solved_mC, upper=True)


def _loss(outputs: Tensor, targets: Tensor) -> float:
    if targets.is_floating_point():
        return float((outputs.double() - targets.double()).square().mean())
    return float(nn.functional.cross_entropy(outputs.double(), targets))

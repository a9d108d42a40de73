"""Inquiry: everything a training asks of the rows that are not sealed, in order and within the budget.

Configurations over folds, other kinds of model, a learning curve, and the verdict on all of it. Opens
no seal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from soundfit.bank import Outcome, train_members
from soundfit.errors import StopError
from soundfit.records import Config, StudyResult, Verdict
from soundfit.study.baselines import trivial_scores
from soundfit.study.cross_validation import Hooks, StudyRun, cross_validate_views
from soundfit.study.evidence import ROOTS
from soundfit.study.halving import Halving
from soundfit.study.learning import FRACTIONS, LearningCurve, learning_curve_of
from soundfit.study.references import References, measure_references
from soundfit.study.verdict import own_losses, reach_verdict
from soundfit.study.views import StudyViews, median_rows, trained_cost
from soundfit.workflow.prescribe import prescribe, untried

__all__ = ["Deadlines", "Inquiry", "inquire", "stopping_in_words"]

# A learning curve may take this share of what the configurations cost, or this much: a second or two on
# one core. By cost, not by the clock, so that the same seed gives the same run on a busy machine too.
_CURVE_SHARE = 0.08
_CURVE_COST = 1e10
_FEWEST_ROWS = 20
_WRITING_SECONDS = 2.0


@dataclass(frozen=True)
class Deadlines:
    """What a budget leaves for each part; without one there is no limit.

    The exam, the report and writing need a share too: training ends at four fifths, questions that only
    inform end at nine tenths.
    """

    budget: float | None
    started: float
    interrupted: Callable[[], bool]

    def training_left(self) -> float:
        """Seconds left to train configurations."""
        return self._left(0.8)

    def training_over(self) -> bool:
        """Whether training must end now."""
        return self.interrupted() or self._left(0.85) <= 0

    def questions_over(self) -> bool:
        """Whether other questions must end now."""
        return self.interrupted() or self._left(0.9) <= 0

    def _left(self, share: float) -> float:
        if self.budget is None:
            return float("inf")
        # Writing the run folder and the report takes its seconds whatever the budget.
        usable = self.budget - min(_WRITING_SECONDS, 0.1 * self.budget)
        return share * usable - (time.perf_counter() - self.started)


@dataclass(frozen=True)
class Inquiry:
    """The study, what other models reach, the learning curve where there is one, and the verdict."""

    study: StudyRun
    trivial_K: np.ndarray
    references: References
    curve: LearningCurve | None
    verdict: Verdict

    @property
    def result(self) -> StudyResult:
        """The study's result."""
        return self.study.result


def inquire(
    views: StudyViews,
    *,
    model: str,
    seed: int,
    device: torch.device,
    deadlines: Deadlines,
    on_stage: Callable[[str], None],
    on_total: Callable[[int], None],
    on_epoch: Callable[[int], None],
    train: Callable[..., list[Outcome]] = train_members,
    deepen: Callable[..., tuple[StudyRun, StudyViews | None]] | None = None,
) -> Inquiry:
    """Ask all questions; ``train`` stands in for :func:`soundfit.bank.train_members`.

    ``deepen`` goes on from the study, see :class:`soundfit.workflow.material.Material`.

    Raises:
        StopError: nothing could be trained.
    """
    on_stage("training")
    n_train = median_rows(views.folds)
    hooks = Hooks(
        on_total=on_total,
        on_epoch=on_epoch,
        should_stop=deadlines.training_over,
        seconds_left=deadlines.training_left if deadlines.budget is not None else None,
        train=train,
    )
    configurations = views.configurations(model)
    study = _study(views, configurations, seed, device, hooks)
    on_stage("asking other kinds of model")
    # Boosted trees read columns; of pictures they know too little for the time they take.
    rows = views.reference_views()
    references = (
        measure_references(rows, trees=rows is views, should_stop=deadlines.questions_over)
        if rows is not None
        else References({})
    )
    trivial_K = trivial_scores(views)

    def judge(study: StudyRun, doubling: tuple[float, float] | None = None) -> Verdict:
        own_rows = own_losses(views, study.result)
        return reach_verdict(study.result, trivial_K, references, own_rows=own_rows, doubling=doubling)

    on_stage("trying what the verdict prescribes")
    study, tried = prescribe(views, study, judge, model=model, seed=seed, device=device, hooks=hooks)
    trainable: StudyViews | None = views
    if deepen is not None and not deadlines.training_over():
        study, trainable = deepen(views, study, seed=seed, device=device, hooks=hooks, on_stage=on_stage)
    curve = None
    if trainable is not None and not deadlines.questions_over():
        on_stage("measuring the learning curve")
        spent = trained_cost(views, study.result)
        curve = _learning_curve(trainable, study.result, n_train, seed, device, deadlines, train, spent)
    verdict = judge(study, _doubling(study.result, trivial_K, curve))
    verdict = replace(verdict, prescriptions=(*tried, *untried(verdict, tried)))
    return Inquiry(study, trivial_K, references, curve, verdict)


def _study(
    views: StudyViews, configurations: Sequence[Config], seed: int, device: torch.device, hooks: Hooks
) -> StudyRun:
    with stopping_in_words(hooks.should_stop):
        return cross_validate_views(
            views,
            configurations,
            seeds=(seed,),
            device=device,
            hooks=hooks,
            halving=getattr(views, "halving", None) or Halving(),
        )


@contextmanager
def stopping_in_words(over: Callable[[], bool]) -> Iterator[None]:
    """Say what to do where a study inside has nothing to choose from.

    Raises:
        StopError: instead of the study's ValueError.
    """
    try:
        yield
    except ValueError as error:
        if "finite score on every fold" not in str(error):
            raise
        stopped = over()
        raise StopError(
            "A run needs at least one configuration trained on every fold",
            received="training ended before that" if stopped else "every member went non-finite",
            fix="give it a longer --budget" if stopped else "look for extreme values in the data",
        ) from error


def _learning_curve(
    views: StudyViews,
    result: StudyResult,
    n_train: int,
    seed: int,
    device: torch.device,
    deadlines: Deadlines,
    train: Callable[..., list[Outcome]],
    spent: float,
) -> LearningCurve | None:
    """Measure the curve with as many sizes and steps as are cheap; None where it would not be."""
    config = result.chosen_config
    allowed = max(_CURVE_SHARE * spent, _CURVE_COST)
    for fractions, stretch in ((FRACTIONS, 0.5), (FRACTIONS, 0.0), (FRACTIONS[1:], 0.0)):
        parts = [p for p in fractions if p * n_train >= _FEWEST_ROWS]
        if len(parts) < 2:
            return None
        whole = views.cost(config, n_train) * len(views.folds)
        if whole * sum(p ** (1.0 - stretch) for p in parts) <= allowed:
            full = (result.training_scores_CK[result.chosen], result.scores_CK[result.chosen])
            return learning_curve_of(
                views,
                config,
                fractions=parts,
                full=full,
                seeds=(seed,),
                stretch=stretch,
                device=device,
                should_stop=deadlines.questions_over,
                train=train,
            )
    return None


def _doubling(
    result: StudyResult, trivial_K: np.ndarray, curve: LearningCurve | None
) -> tuple[float, float] | None:
    """Return the gain from twice the rows and its SE as shares of the trivial loss."""
    if curve is None:
        return None
    trivial = float(np.mean(np.square(trivial_K) if result.metric in ROOTS else trivial_K))
    return curve.gain / trivial, curve.se / trivial

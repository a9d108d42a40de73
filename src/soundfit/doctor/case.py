"""A case: a Trace with the few judgements that every rule needs (did it learn what is possible?).

Reads only a Trace. Thresholds live here, once.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np

from soundfit.doctor.judge import HELD_SHARE, best_score, possible_score, weighs_classes
from soundfit.records import Diagnosis, Place, Prescription, Severity, Trace

__all__ = ["Case"]


class Case:
    """What rules ask of a Trace.

    Attributes:
        got: the training's own score (accuracy or R²), NaN where none could be computed.
        possible: what a sound training of a small model, or of the script's own, reached on held-out rows.
        gap: possible - got.
        sick: whether the gap is more than noise and more than a matter of taste.
    """

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.facts = trace.facts

    def __getitem__(self, path: str) -> Any:
        """Return a fact by dotted path, None where absent."""
        here: Any = self.facts
        for part in path.split("."):
            if not isinstance(here, dict) or part not in here:
                return None
            here = here[part]
        return here

    def number(self, path: str, default: float = math.nan) -> float:
        """Return a numeric fact."""
        value = self[path]
        return float(value) if isinstance(value, int | float) else default

    @cached_property
    def got(self) -> float:
        """The training's own score."""
        return best_score(self.facts)

    @cached_property
    def possible(self) -> float:
        """The score that is possible."""
        return possible_score(self.facts)

    @cached_property
    def constant(self) -> float:
        """The score of a constant prediction."""
        if weighs_classes(self.facts):
            return 1.0 / max(self.number("target.present", 2.0), 1.0)
        return self.number("score.constant", 0.0)

    @cached_property
    def gap(self) -> float:
        """What is missing to the possible score."""
        return self.possible - self.got

    @cached_property
    def tolerance(self) -> float:
        """The gap that is put down to noise or taste."""
        se, rows = self.number("reference.se", 0.02), self.number("rows", 100)
        if weighs_classes(self.facts):
            se = max(se, self._rare_error)
        floor = 0.07 if self["task.classification"] else 0.10
        room = max(0.0, self.possible - self.constant)
        return max(floor if rows >= 30 else 0.2, 2.5 * min(se, 0.1), 0.12 * room)

    @cached_property
    def _rare_error(self) -> float:
        """The standard error of the share found of the rarest class, and so of the mean over classes."""
        shares = [s for s in self["target.shares"] or [] if s > 0] or [1.0]
        held = max(HELD_SHARE * min(shares) * self.number("rows", 100), 1.0)
        p = min(max(self.possible, 0.1), 0.9)
        return math.sqrt(p * (1 - p) / held) / len(shares)

    @cached_property
    def sick(self) -> bool:
        """Whether something keeps the training from its possible result, by its score."""
        if self.nonfinite:
            return True
        if math.isnan(self.got) or math.isnan(self.possible) or self.contradicted:
            return False
        if self.learned_nothing:
            return True
        # The same training from the same weights got there: its last steps happened to be bad ones. A penalty
        # on the weights is not in the training that is run again. Where time was out before, it might have.
        whole = not self.number("custom.structure.penalised", 0)
        untold = (
            self["hurried"] is True and self.number("replays.same.cut", 1) > 0 and not self._beaten_sooner
        )
        if self.gap < 2 * self.tolerance and (self.cure("same") >= 0.5 or untold) and whole:
            return False
        return self.gap > self.tolerance or self.coarse or self.hardly_learned

    @cached_property
    def _beaten_sooner(self) -> bool:
        """Whether a changed training did better than the whole one before an unchanged one was cut."""
        tried = self["replays"] or {}
        steps = self.number("replays.same.steps", 0)
        return any(
            one["steps"] <= steps and one["held_out"] > self.got + self.tolerance
            for name, one in tried.items()
            if name != "same" and "steps" in one
        )

    @cached_property
    def at_chance(self) -> bool:
        """Whether nothing could be judged and a cross-entropy ended at the logarithm of its classes."""
        shape = self["loss.prediction_shape"] or (0, 0)
        if (
            self.judged
            or self["loss.kind"] != "cross_entropy"
            or len(shape) != 2
            or self.number("steps", 0) < 50
        ):
            return False
        return 0.97 * math.log(max(shape[1], 2)) < self.smooth(1.0) < 1.2 * math.log(max(shape[1], 2))

    @cached_property
    def hardly_learned(self) -> bool:
        """Whether less than two fifths of what is surely possible was learned, and again when run once more.

        Where labels are told only a little better than by a constant, that little is what counts.
        """
        sure = self.gap > max(0.05, 3.5 * max(self.number("reference.se", 0.05), 0.005))
        share = (self.got - self.constant) / max(self.possible - self.constant, 1e-9)
        return sure and share < 0.4 and self.number("rows", 0) >= 300 and self.reproduced

    @cached_property
    def contradicted(self) -> bool:
        """Whether an error that the loss measures fell while outputs left what was taken for targets.

        Then outputs are a step on the way (the slope of a curve that is followed), not what is predicted.
        """
        error = self["custom.structure.even"] is True and not self["custom.structure.negated"]
        fell = self.smooth(1.0) < 0.8 * self.smooth(0.0)
        return error and fell and self.number("score.train_at_start") - self.got > 0.5

    @cached_property
    def coarse(self) -> bool:
        """Whether numbers that can be told nearly exactly are told roughly, and one change cures it."""
        if self["task.kind"] != "regression" or not self.possible > 0.99 or not self.gap > 0.05:
            return False
        single = [
            k for k in self["replays"] or {} if k not in ("same", "longer") and not k.startswith("sound")
        ]
        return 1 - self.got > 30 * (1 - self.possible) and max(map(self.cure, single), default=0.0) > 0.9

    @cached_property
    def learned_nothing(self) -> bool:
        """Whether the outputs have nothing to do with the targets, though inputs surely tell of them.

        A score may hide that: naming the larger class each time is right for three rows of four.
        """
        outputs, possible = self.number("score.outputs_z"), self.number("reference.surest")
        return (
            abs(outputs) < 2.5
            and possible > 6.0
            and self.number("rows", 0) >= 100
            and self.possible > self.constant
        )

    @cached_property
    def judged(self) -> bool:
        """Whether scores exist to judge by."""
        return not (math.isnan(self.got) or math.isnan(self.possible))

    @cached_property
    def fine(self) -> bool:
        """Whether the training demonstrably reached what is possible."""
        return self.judged and not self.sick and self.possible - self.constant > 0.05

    @cached_property
    def ordinary_inputs(self) -> bool:
        """Whether inputs are numbers of about the size that standardised ones have."""
        sizes = [self.number(f"input.{k}", 1.0) for k in ("rms", "column_std_max", "column_mean_max")]
        return self["input.kind"] == "float" and sizes[0] >= 0.3 and max(sizes) <= 3.0

    @cached_property
    def nonfinite(self) -> bool:
        """Whether loss or weights became non-finite and stayed so."""
        loss = self.loss
        if len(loss) >= 1 and np.isfinite(loss[-min(3, len(loss)) :]).all():
            return bool(self["outputs.finite"] is False)
        return any(e.kind == "nonfinite" for e in self.trace.events) or self["outputs.finite"] is False

    def event(self, kind: str) -> Any:
        """Return the first event of a kind, or None."""
        return next((e for e in self.trace.events if e.kind == kind), None)

    @cached_property
    def loss(self) -> Any:
        """Losses per step."""
        return np.asarray(self.trace.series.get("training_loss", np.zeros(0)))

    def smooth(self, share: float) -> float:
        """Return the mean finite loss in the tenth of the run around ``share``."""
        loss = self.loss
        n = len(loss)
        if n == 0:
            return math.nan
        width = max(1, n // 10)
        at = min(n - width, max(0, int(share * n - width / 2)))
        part = loss[at : at + width]
        part = part[np.isfinite(part)]
        return float(part.mean()) if len(part) else math.nan

    @cached_property
    def guessing(self) -> float:
        """What a plain loss over classes costs that are guessed evenly; NaN where it is another."""
        kind, shape = self["loss.kind"], tuple(self["loss.prediction_shape"] or ())
        if kind == "cross_entropy" and len(shape) > 1:
            return math.log(max(shape[1], 2))
        both = ("binary_cross_entropy", "binary_cross_entropy_with_logits")
        return math.log(2) if kind in both else math.nan

    @cached_property
    def _replayed(self) -> str:
        """The score of a replay that is of the kind of ``got`` and ``possible``."""
        return "evened" if weighs_classes(self.facts) else "held_out"

    def cure(self, name: str) -> float:
        """Return the share of the gap that a replay with one change closed (from below 0 to about 1).

        What the replay without any change closes is no merit of the change.
        """
        one = self[f"replays.{name}.{self._replayed}"]
        if one is None or not self.judged or self.gap <= 0:
            return 0.0
        base = self.got
        if name != "same" and not name.startswith("sound-"):
            same = self.number(f"replays.same.{self._replayed}", self.got)
            base = max(base, same) if not math.isnan(same) else base
        return float((one - base) / self.gap)

    def gained(self, name: str, least: float, z: float = 3.0) -> dict[str, float] | None:
        """Return what a change gained in pairs of trainings, None where it is less or may be luck.

        Args:
            name: of the change, see ``doubts``.
            least: of the score.
            z: standard errors.
        """
        found: dict[str, float] | None = self[f"gains.{name}"]
        return found if found and found["gain"] >= least and found["z"] >= z else None

    @cached_property
    def reproduced(self) -> bool:
        """Whether replaying the training unchanged failed as the script did."""
        return "same" in (self["replays"] or {}) and self.cure("same") < 0.5

    @cached_property
    def own_best(self) -> float:
        """The best that the script's own architecture reached when trained soundly."""
        found = [v[self._replayed] for k, v in (self["replays"] or {}).items() if k.startswith("sound")]
        found = [v for v in found if not math.isnan(v)]
        return max(found) if found else math.nan

    @cached_property
    def architecture_limits(self) -> bool:
        """Whether even a sound training of the script's own architecture falls short of the possible."""
        return (
            self.judged and not math.isnan(self.own_best) and self.possible - self.own_best > self.tolerance
        )

    def last(self, name: str) -> float:
        """Return a series' last finite value."""
        values = np.asarray(self.trace.series.get(name, np.zeros(0)))
        values = values[np.isfinite(values)]
        return float(values[-1]) if len(values) else math.nan

    def early(self, name: str, steps: int = 4) -> float:
        """Return a series' median over its first finite values."""
        values = np.asarray(self.trace.series.get(name, np.zeros(0)))
        values = values[np.isfinite(values)][:steps]
        return float(np.median(values)) if len(values) else math.nan

    def evidence(self, **more: Any) -> dict[str, Any]:
        """Return the evidence shared by all diagnoses plus more, rounded."""
        out: dict[str, Any] = {}
        if self.judged:
            out = {"score": self.got, "possible_score": self.possible, "constant_score": self.constant}
            if self["judged_output.number"] is not None:
                out |= {
                    "judged_output": self["judged_output.number"],
                    "outputs": self["judged_output.count"],
                    "judged_by": self["judged_output.loss"],
                }
        return {k: _plain(v) for k, v in {**out, **more}.items()}

    def diagnose(
        self,
        code: str,
        cause: str,
        confidence: float,
        fix: str,
        *,
        severity: Severity = "error",
        place: Place | None = None,
        module: str | None = None,
        step: int | None = None,
        patch: str = "",
        change: dict[str, Any] | None = None,
        **evidence: Any,
    ) -> Diagnosis:
        """Return a Diagnosis with this case's evidence."""
        where = place or Place()
        where = Place(
            module or where.module, where.file, where.line, step if step is not None else where.step
        )
        return Diagnosis(
            code, severity, cause, float(min(max(confidence, 0.0), 1.0)), where, self.evidence(**evidence),
            Prescription(fix, patch, change or {}),
        )  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | int) or value is None:
        return value
    if isinstance(value, float):
        return None if not math.isfinite(value) else float(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    return str(value)

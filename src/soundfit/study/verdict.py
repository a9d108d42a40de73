"""Verdict: what the scores of a study say about the fit, in a code, words and numbers.

Reads only :class:`Evidence`: shares of the trivial baseline's loss, on training and validation rows, of
the chosen configuration, of its neighbours in size and of other kinds of model on the same folds. No
single threshold decides: a rule needs a difference that is sure (standard errors), large (a share of the
target) and of the right kind (bias where training error is high too, variance where it is not).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from soundfit.metrics.scores import MeanMetric
from soundfit.records import Prescription, StudyResult, Verdict
from soundfit.records.said import say
from soundfit.study.evidence import Evidence, Rival, capacity_points, collect_evidence
from soundfit.study.references import References, Views
from soundfit.study.verdict_words import (
    less_restraint_or_more_capacity,
    more_restraint,
    more_rows,
    named,
    numbers,
    other_models,
    share,
)

__all__ = ["capacity_points", "judge", "own_losses", "reach_verdict"]

Array = NDArray[np.float64]

# A paired difference counts when it exceeds this many standard errors …
SURE = 2.5
# … a hint, enough to keep from calling the rest noise, from this many on …
HINTED = 2.0
# … and this share of the target's variance (or information): smaller ones are not worth acting on …
WORTH = 0.02
# … and this share of the model's own loss.
WORTH_OF_OWN = 0.1
# From this share on, what is left is mostly noise if nothing can lower it.
NOISY = 0.25
# A rise of the validation loss above its best by this share is a turn, not a wobble.
TURNED = 0.1

_Words = tuple[str, ...]


def reach_verdict(
    result: StudyResult,
    trivial_K: Array,
    references: References | None = None,
    *,
    own_rows: Array | None = None,
    doubling: tuple[float, float] | None = None,
) -> Verdict:
    """Return the verdict on the chosen configuration.

    Args:
        result: of cross-validation.
        trivial_K: the trivial baseline's score on each fold, in the result's metric.
        references: other kinds of model on the same folds; without them structure that none of the
            study's models found looks like noise.
        own_rows: the chosen configuration's out-of-fold losses per row, (N,).
        doubling: expected fall of the share of loss from twice the rows, and its SE.
    """
    e = collect_evidence(result, trivial_K, references, own_rows=own_rows, doubling=doubling)
    return judge(e, numbers(result, e, trivial_K))


def own_losses(views: Views, result: StudyResult) -> Array | None:
    """Return the chosen configuration's out-of-fold loss per row, NaN where a row was not validated."""
    if result.predictions is None or not isinstance(views.metric, MeanMetric):
        return None
    predicted = result.predictions
    known = np.isfinite(predicted if predicted.ndim == 1 else predicted[:, 0])
    losses = np.full(len(predicted), np.nan)
    losses[known] = views.metric.per_row(views.target[known], predicted[known])
    return losses


def judge(e: Evidence, lines: _Words = ()) -> Verdict:
    """Return the verdict that the evidence supports; ``lines`` come first in its evidence."""
    lines = (*lines, *other_models(e))
    rules: tuple[Callable[[Evidence, _Words], Verdict | None], ...] = (
        _unstable,
        _no_signal,
        _underfitting,
        _overfitting,
        _noise_limited,
    )
    found = (rule(e, lines) for rule in rules)
    verdict = next((v for v in found if v is not None), None) or _good_fit(e, lines)
    said = say("confidence in this verdict: {confidence:.2f} of 1", confidence=verdict.confidence)
    return replace(verdict, evidence=(*verdict.evidence, said))


# ---- the rules ---------------------------------------------------------------------------------------


def _unstable(e: Evidence, lines: _Words) -> Verdict | None:
    diverged = e.training > 3.0 and e.validation > 3.0
    if e.rolled_back + e.failed <= 0.25 * e.members and e.shaken <= 0.5 and not diverged:
        return None
    return Verdict(
        "unstable",
        say("Unstable: losses grew far above the trivial baseline's on training rows too.")
        if diverged
        else say(
            "Unstable: {rolled_back} of {members} members went non-finite and were rolled back, {failed} "
            "for good.",
            rolled_back=e.rolled_back,
            members=e.members,
            failed=e.failed,
        ),
        lines,
        (
            Prescription(
                say(
                    "Lower the learning rate from {learning_rate:.2g} to {learning_rate2:.2g} or less, and "
                    "clip the gradient's norm to 1.",
                    learning_rate=e.config.learning_rate,
                    learning_rate2=e.config.learning_rate / 3,
                )
            ),
            Prescription(say("Look for infinities and extreme values in the inputs and in the target.")),
        ),
        confidence=0.9,
    )


def _no_signal(e: Evidence, lines: _Words) -> Verdict | None:
    """No better than the trivial baseline: not learning, memorising, or nothing to learn."""
    if e.gain > 2.0 * e.gain_se and e.gain > WORTH:
        return None
    known = e.best(outside=True)
    found = known is not None and 1.0 - known.share > max(2 * WORTH, 3.0 * known.se)
    alone = not e.smaller_tried and not e.restraint_tried
    memorised = alone and e.rise > 0.25 and e.early < 0.5 and e.fitted < 0.3
    if memorised or (e.training < 0.5 and e.gap > 0.4):
        return _memorising(e, lines, known if found else None)
    if found or (not e.references and e.fitted >= 0.64):
        text = (
            say(
                "Not learning: no better than the trivial baseline, though {named} shows that the columns "
                "bear on the target.",
                named=named(known),
            )
            if found and known is not None
            else say(
                "Not learning: neither training nor validation error is better than the trivial baseline."
            )
        )
        return Verdict(
            "not-learning",
            text,
            (
                *lines,
                say(
                    "lowest training loss of all configurations: {share} of the trivial one",
                    share=share(e.fitted),
                ),
            ),
            (
                *less_restraint_or_more_capacity(e),
                *(
                    ()
                    if found
                    else (Prescription(say("Check the target column and that the features bear on it.")),)
                ),
            ),
            confidence=0.9 if found else 0.6,
        )
    return Verdict(
        "noise-limited",
        say(
            "Noise-limited: nothing that models learn from the training rows holds on validation rows; "
            "these columns do not predict the target beyond its trivial baseline."
        ),
        (
            *lines,
            say(
                "lowest training loss of all configurations: {share} of the trivial one",
                share=share(e.fitted),
            ),
        ),
        (
            Prescription(say("Look for columns that bear on the target; more capacity cannot help.")),
            Prescription(say("Check that rows and targets are matched (not shuffled against each other).")),
        ),
        confidence=0.8 if e.references else 0.65,
    )


def _memorising(e: Evidence, lines: _Words, known: Rival | None) -> Verdict:
    extra = say(", though {named} finds what does", named=named(known)) if known is not None else ""
    return Verdict(
        "overfitting",
        say(
            "Overfitting: the training rows can be fitted ({share} of the trivial loss is left), but "
            "nothing of it holds on validation rows{extra}.",
            share=share(e.fitted),
            extra=extra,
        ),
        lines,
        more_restraint(e),
        confidence=0.85,
    )


def _underfitting(e: Evidence, lines: _Words) -> Verdict | None:
    """Something is left that more capacity or training would take: error on training rows is high too."""
    for_what = _behind_reference(e) or _behind_larger(e) or _above_floor(e) or _still_rising(e)
    if for_what is None:
        return None
    reason, strength = for_what
    return Verdict(
        "underfitting",
        say("Underfitting: {reason}.", reason=reason),
        (
            *lines,
            say("training loss still fell by {share} over the last fifth of the epochs", share=share(e.drop)),
        ),
        less_restraint_or_more_capacity(e),
        confidence=strength,
    )


def _behind_reference(e: Evidence) -> tuple[str, float] | None:
    rival = e.best(outside=True)
    if rival is None or not _clearly_behind(e, rival) or e.training < 0.95 * rival.share:
        return None
    return (
        say(
            "{named} errs {share} less on the same validation rows, less even than the model on its own "
            "training rows",
            named=named(rival),
            share=share(rival.behind / e.validation),
        ),
        _confidence(rival.z / SURE, e.training / rival.share),
    )


def _behind_larger(e: Evidence) -> tuple[str, float] | None:
    """The largest size tried is the chosen one, and by the last two steps up the next would pay too."""
    below = sorted((r for r in e.rivals if r.configuration >= 0 and r.simpler), key=lambda r: r.parameters)
    if e.larger_tried or len(below) < 2 or e.ratio < 0.25:
        return None
    if e.rise > TURNED and e.early < 0.8:
        return None  # its validation loss turned while it still trained: capacity is not what is short
    outside = e.best(outside=True)
    if outside is not None and outside.z < 1.0:
        return None  # nothing shows that there is more to find than this size found
    before, last = below[-2:]
    step, earlier = -last.behind, before.share - last.share
    if step <= 2.0 * last.se or earlier <= 0:
        return None
    # Steps that shrink by a factor each leave the next one smaller by that factor again (Aitken 1926).
    # Nor can it take more than its error has been shrinking by from size to size.
    ahead = min(step * min(step / earlier, 1.0), e.validation * (1.0 - e.validation / last.share))
    if ahead <= max(WORTH, WORTH_OF_OWN * e.validation):
        return None
    return (
        say(
            "the largest model tried is best, the last step up ({name} before it) took {share} of the "
            "error, and the next may take {share2}",
            name=last.name,
            share=share(step / last.share),
            share2=share(ahead / e.validation),
        ),
        _confidence(0.5 * step / max(last.se, 1e-9), ahead / max(WORTH, WORTH_OF_OWN * e.validation)),
    )


def _above_floor(e: Evidence) -> tuple[str, float] | None:
    if e.floor is None:
        return None
    bound = e.floor.share + 2.0 * e.floor.se
    if e.training - bound <= max(3 * WORTH, 0.3 * e.training):
        return None
    pairs = say("rows with equal features") if e.floor.equal else say("nearest neighbours")
    return (
        say(
            "{pairs} differ so little in the target that noise is at most {share} of its variance, but "
            "{share2} is unexplained even on training rows",
            pairs=pairs,
            share=share(bound),
            share2=share(e.training),
        ),
        _confidence((e.training - e.floor.share) / (3.0 * e.floor.se + 1e-9), e.training / bound),
    )


def _still_rising(e: Evidence) -> tuple[str, float] | None:
    """Without other models to compare with: training was cut while both losses fell fast."""
    if e.references or e.early < 0.95 or e.drop < 0.1 or e.ratio < 0.8:
        return None
    return say("both losses were still falling fast when training ended"), 0.6


def _overfitting(e: Evidence, lines: _Words) -> Verdict | None:
    """Much of the validation error is a gap, and something simpler or more restrained does better."""
    alone = not e.smaller_tried
    rival = e.best(simpler=True) if not alone else e.best(outside=True)
    beaten = rival is not None and _clearly_behind(e, rival) and e.ratio < 0.6
    wide = e.gap > 0.2 and e.ratio < 0.4
    # Only the early stop held this model: it goes on to memorise, and nothing tamer was tried.
    spoilt = e.rise > 0.1 and e.early < 0.5 and e.fitted < 0.5 * e.validation and e.gap > WORTH
    if beaten and rival is not None:
        reason = say(
            "{named} errs {share} less on validation rows",
            named=named(rival),
            share=share(rival.behind / e.validation),
        )
        strength = _confidence(rival.z / SURE, 0.6 / max(e.ratio, 0.05))
    elif wide and (alone or e.most_restrained or not e.restraint_tried or e.ratio < 0.15):
        reason = say("most of the error on validation rows is a gap that the training rows do not show")
        strength = _confidence(e.gap / 0.2, 0.4 / max(e.ratio, 0.05))
    elif spoilt and alone and not e.restraint_tried:
        reason = say(
            "after its best epoch, {share} of the way, validation loss rose by {share2} while training "
            "loss went on to {share3} of the trivial one",
            share=share(e.early),
            share2=share(e.rise),
            share3=share(e.fitted),
        )
        strength = 0.7
    else:
        return None
    return Verdict(
        "overfitting",
        say(
            "Overfitting: training loss is {share} of validation loss, and {reason}.",
            share=share(e.ratio),
            reason=reason,
        ),
        lines,
        more_restraint(e),
        confidence=strength,
    )


def _noise_limited(e: Evidence, lines: _Words) -> Verdict | None:
    """Much is left, training and validation agree on how much, and nothing else finds more."""
    if e.midpoint < NOISY or e.ratio < 0.6:
        return None
    if e.doubling is not None and e.doubling[0] - e.doubling[1] > 0.1 * e.validation:
        return None
    rival = e.best(outside=True)
    if rival is not None and rival.z > HINTED and rival.behind > max(WORTH, WORTH_OF_OWN * e.validation):
        return None  # another kind of model hints at more than noise
    bound = e.floor.share if e.floor is not None and e.floor.equal else None
    said = say(
        "{share} of the trivial loss is left where training and validation error meet",
        share=share(e.midpoint),
    )
    return Verdict(
        "noise-limited",
        say(
            "Noise-limited: training and validation error nearly agree and no other model or size does "
            "clearly better, so what is left is noise, or information that these columns do not hold."
        ),
        (
            *lines,
            said,
            *((say("equal rows put the noise at {share}", share=share(bound)),) if bound is not None else ()),
        ),
        (
            Prescription(
                say(
                    "Look for better features or cleaner targets: about {share} of the validation loss "
                    "stays whatever the capacity, ",
                    share=share(min(e.midpoint / e.validation, 1.0)),
                )
                + (
                    say(
                        "and twice the rows would take {share} of it.",
                        share=share(max(e.doubling[0], 0.0) / e.validation),
                    )
                    if e.doubling is not None
                    else say(
                        "and more rows can take at most {share} of it.", share=share(e.gap / 2 / e.validation)
                    )
                )
            ),
        ),
        confidence=_confidence(e.midpoint / NOISY, e.ratio / 0.6),
    )


def _good_fit(e: Evidence, lines: _Words) -> Verdict:
    sizes = e.smaller_tried or e.larger_tried
    rival = e.best(outside=True)
    trees = ""
    if rival is not None and _clearly_behind(e, rival):
        trees = say(
            " {rival} does better here, by other means than capacity.", rival=named(rival, first=True)
        )
    return Verdict(
        "good-fit",
        (
            say(
                "Good fit: no size, restraint or other kind of model tried does clearly better on "
                "validation rows."
            )
            if not trees
            else say(
                "Good fit for this kind of model: no size or restraint tried does better on validation rows."
            )
        )
        + trees
        + ("" if sizes else say(" Other sizes were not tried.")),
        lines,
        (more_rows(e),),
        confidence=0.85 if e.references and sizes and not trees else 0.65,
    )


def _clearly_behind(e: Evidence, rival: Rival) -> bool:
    return rival.z > SURE and rival.behind > max(WORTH, WORTH_OF_OWN * e.validation)


def _confidence(*strengths: float) -> float:
    """Map how far each condition is past its threshold (1: at it) to .55 … .97; the weakest decides."""
    weakest = min(max(s, 0.0) for s in strengths)
    return round(0.97 - 0.42 * math.exp(-max(weakest - 1.0, 0.0)), 2)

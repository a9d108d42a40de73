"""Scores that a script prints: what a retraining is judged by where no row's prediction can be read.

Knows text; knows no model and no rule.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TextIO

__all__ = ["Listener", "PrintedScore", "printed_scores", "score_to_judge_by", "value_of"]

_HIGHER = (
    "acc", "accuracy", "auc", "auroc", "auprc", "f1", "r2", "r²", "precision", "recall", "ndcg", "mrr",
    "hit", "hits", "hr", "iou", "miou", "dice", "mcc", "kappa", "corr", "correlation", "spearman",
    "pearson", "psnr", "ssim", "bleu", "reward", "return", "success", "solved", "correct", "top1",
    "top5", "map", "ap", "score", "explained", "concordance", "purity", "ari", "nmi", "matched", "agreement",
)  # fmt: skip
_LOWER = (
    "rmse", "mae", "mse", "mape", "rmsle", "smape", "error", "err", "perplexity", "ppl", "wer", "cer",
    "bpc", "deviation",
)  # fmt: skip
_LOSSES = ("loss", "nll", "elbo", "cost", "bce", "ce")
_HELD_OUT = (
    "val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation", "held", "heldout",
    "holdout", "unseen", "new", "oof", "cv", "te", "va",
)  # fmt: skip
_TRAINED = ("train", "training", "trn", "tr", "batch")
_BOUNDED = frozenset(_HIGHER) - {"psnr", "bleu", "reward", "return", "score"}  # a share, or its percentage
_NUMBER = re.compile(
    r"(?<![\w.@^#])[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf)(?![\w.]*[A-Za-z])", re.I
)
_RATIO = re.compile(r"\s*/\s*(\d+(?:\.\d+)?)")
_LONGEST = 1_000_000  # characters kept of what is printed


class Listener:
    """Stands for a stream while a script runs: hands everything on and keeps the end of it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._parts: list[str] = []
        self._size = 0

    def write(self, text: str) -> int:
        """Keep a text and hand it on."""
        self._parts.append(str(text))
        self._size += len(text)
        if self._size > 2 * _LONGEST:
            self._parts = [self.text()[-_LONGEST:]]
            self._size = len(self._parts[0])
        return self._stream.write(text)

    def text(self) -> str:
        """Return what was written, its beginning left out where there was very much."""
        return "".join(self._parts)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@dataclass
class PrintedScore:
    """Values printed under one label.

    Attributes:
        label: the words before the number, in lower case.
        kind: ``higher`` or ``lower`` is better, or ``loss``.
        held_out: words for rows that were not trained on stand in the label or before it in the line.
        values: in the order printed; shares where percentages were printed.
        line: of the last value.
    """

    label: str
    kind: str
    held_out: bool
    values: list[float] = field(default_factory=list)
    line: int = 0


def printed_scores(text: str) -> dict[str, PrintedScore]:
    """Return a text's scores by their label: ``val acc 0.93``, ``test accuracy: 93.1%``, ``930/1000``,
    tables."""
    found: dict[str, PrintedScore] = {}
    header: list[str] = []
    for number, line in enumerate(text.replace("\r", "\n").splitlines()):
        cells = [cell for cell in re.split(r"[\s|,;]+", line.strip()) if cell]
        numbers = [cell for cell in cells if _NUMBER.fullmatch(cell.rstrip("%"))]
        if header and len(numbers) == len(cells) == len(header):
            pairs: Iterable[tuple[str, float, bool]] = (
                (label, float(cell.rstrip("%")), cell.endswith("%"))
                for label, cell in zip(header, cells, strict=True)
            )
        else:
            header = cells if len(cells) > 1 and not numbers else header
            pairs = _labelled(line)
        for label, value, percent in pairs:
            _take(found, label, value, percent, number)
    return found


def _labelled(line: str) -> list[tuple[str, float, bool]]:
    """Return each number of a line with the words before it; a role holds for what follows without one."""
    out: list[tuple[str, float, bool]] = []
    at, role = 0, ""
    line = line.replace("^2", "2")
    for match in _NUMBER.finditer(line):
        if match.start() < at:
            continue
        words = re.findall(r"[^\W_]+", line[at : match.start()].lower())
        label = " ".join(words)
        if (
            not _BOUNDED.isdisjoint(words)
            and abs(float(match.group())) > 100.0
            and "/" not in line[match.end() :][:2]
        ):
            continue  # accuracy on 10000 pictures: 54 %
        roles = [word for word in words if word in _HELD_OUT or word in _TRAINED]
        role = roles[-1] if roles else role
        named = label if roles or not role else f"{role} {label}".strip()
        value, at = float(match.group()), match.end()
        ratio = _RATIO.match(line, at)
        if ratio is not None:
            at = ratio.end()
            value = value / float(ratio.group(1)) if float(ratio.group(1)) else value
        percent = line[at : at + 2].lstrip().startswith("%")
        out.append((named, value, percent))
    return out


def _take(found: dict[str, PrintedScore], label: str, value: float, percent: bool, line: int) -> None:
    words = re.findall(r"[^\W_]+", label.lower())
    kind = _kind(words)
    if kind is None or not math.isfinite(value) or any(word in _TRAINED for word in words):
        return
    if kind == "higher" and (percent or (1.5 < value <= 100.0 and not {*words}.isdisjoint(_BOUNDED))):
        value /= 100.0
    name = " ".join(words)
    one = found.setdefault(name, PrintedScore(name, kind, any(word in _HELD_OUT for word in words)))
    one.values.append(value)
    one.line = line


def _kind(words: list[str]) -> str | None:
    """Return what the last word that names a score says of it."""
    for word in reversed(words):
        for kind, names in (("higher", _HIGHER), ("lower", _LOWER), ("loss", _LOSSES)):
            if word in names:
                return kind
    return None


def score_to_judge_by(text: str, *, losses: bool = False) -> PrintedScore | None:
    """Return the printed score that says most of new rows; None where none does.

    One of rows held out goes before one without a role, a score before an error, both before a loss (which
    only
    counts where ``losses`` and where it is said to be of rows held out); of the rest the one printed last.
    """
    ranks = {"higher": 2, "lower": 1, "loss": 0}
    able = [one for one in printed_scores(text).values() if one.kind != "loss" or (losses and one.held_out)]
    return max(able, key=lambda one: (one.held_out, ranks[one.kind], one.line), default=None)


def value_of(text: str, label: str) -> float | None:
    """Return the last value printed under a label, negative where lower is better; None where none was."""
    one = printed_scores(text).get(label)
    if one is None:
        return None
    return one.values[-1] if one.kind == "higher" else -one.values[-1]

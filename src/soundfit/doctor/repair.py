"""Repair: try the prescribed changes in retrainings, keep one that held-out rows prove better. Edits no file.

Knows visits and trials; knows no rule.
"""

# ruff: noqa: E501

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import torch
from scipy.stats import t as student_t

from soundfit.doctor.blind import blind, blind_by_print
from soundfit.doctor.case import Case
from soundfit.doctor.examination import Examination
from soundfit.doctor.forks import Forks, shared_modules
from soundfit.doctor.judge import possible_score
from soundfit.doctor.rows import exhaustive
from soundfit.doctor.scores import class_facts
from soundfit.doctor.speak import Translate, told
from soundfit.doctor.visit import Visit
from soundfit.records.said import say

__all__ = ["interval", "plans", "repair"]

MAX_TRIALS = 6  # retrainings with a change
FRESH_SEEDS = 3  # fewest seeds that prove a change, none of them one that chose it
LONG_SECONDS, LONG_SEEDS = 20.0, 4  # a training that takes so long is proven on this many seeds at most
HELD_BACK = 0.25  # share of the rows that judge where a script evaluates nothing itself
FEWEST_HELD = 12  # with fewer held back by chance, as many as make a quarter are
FEWEST_ROWS = 24  # with fewer, none are held back: such a table is a function to be learnt
# What is tried last on bare tensors, where no replay can tell what would cure.
_SOUND_BARE = {"scale_inputs": True, "fresh": True, "adam": 0.01, "zero_grad": True, "include": True}
_UNSEEN_BY_ROWS = frozenset(("shift_back", "favoured"))
"""Changes after which the rows are others, or no answers: what is printed judges them."""
_OF_THE_LOSS = frozenset(
    (
        "loss",
        "reduction",
        "scale_targets",
        "output",
        "descend",
        "align",
        "own_loss",
        "target",
        "weights",
        "axis",
    )
)
_COPY_BYTES, _COPY_FILES = 50_000_000, 2000


def plans(visit: Visit) -> list[dict[str, Any]]:
    """Return changes to try: the first cause's own, the first two together, then the sound training that replays found."""
    found = [d for d in visit.diagnoses if d.severity != "note" and d.prescription.change]
    single: list[dict[str, Any]] = [{"code": d.code, "change": dict(d.prescription.change)} for d in found]
    out = single[:1]
    if len(single) > 1:
        out.append({
            "code": f"{single[0]['code']}+{single[1]['code']}", "change": {**single[1]["change"], **single[0]["change"]},
        })  # fmt: skip
    sound = _sound(visit)
    if sound is not None:
        out.append(sound)
    if len(single) > 1:
        out.append(single[1])
    return out


def _sound(visit: Visit) -> dict[str, Any] | None:
    """Return the settings under which the script's own model learned in a replay, None where none did."""
    if visit.trace is None:
        return None
    case = Case(visit.trace)
    replays = case["replays"] or {}
    found = {
        rate: replays[f"sound-{rate}"]["held_out"] for rate in ("1e-3", "1e-2") if f"sound-{rate}" in replays
    }
    best = max(found, key=lambda rate: found[rate], default=None)
    if best is None or not case.sick or case.cure(f"sound-{best}") < 0.3:
        return None
    steps = max(case.number("trained_steps", 600), 1)
    change: dict[str, Any] = {"scale_inputs": True, "fresh": True, "adam": float(best), "zero_grad": True,
                              "include": True, "unfreeze": True}  # fmt: skip
    if any(d.prescription.change.get("descend") for d in visit.diagnoses):
        change["descend"] = True  # it turns the loss round: nothing for one that is descended
    if steps < 400:
        change["longer"] = min(40, round(600 / steps))
    if case.number("mode.in_eval_mode", 0) > 0:
        change["mode"] = True
    if case["task.kind"] == "regression":
        change["scale_targets"] = True
    if case["loss.kind"] is not None:
        change["loss"] = "sound"
    if case["loss.activation"] in ("relu", "tanh", "softmax", "sigmoid"):
        change["output"] = "drop"
    return {"code": say("sound settings"), "change": change}


def _no_plan(visit: Visit) -> str:
    if visit.healthy:
        return say("nothing to cure")
    return say("no change at run time is known for what was found")


def interval(
    pairs: list[tuple[list[float], list[float]]], *, sampled: bool = True
) -> tuple[float, float, float]:
    """Return the mean gain and its 95 % interval from paired trainings.

    Args:
        pairs: per seed (two or more), each judging row's part of the score before and after.
        sampled: the rows are a sample of those that the model is for, not all of them.

    Student's t over seeds, widened by the rows' own spread: seeds that share their held-out rows share its luck.
    """
    differences = [
        [y - x for x, y in zip(before, after, strict=False)] for before, after in pairs if before and after
    ]
    gains = [statistics.fmean(one) for one in differences]
    mean, k = statistics.fmean(gains), len(gains)
    if k < 2:
        return mean, -math.inf, math.inf
    by_seed = float(student_t.ppf(0.975, k - 1)) * statistics.stdev(gains) / math.sqrt(k)
    n = min(len(one) for one in differences)
    rows = [statistics.fmean(values) for values in zip(*differences, strict=False)]
    by_row = 1.96 * statistics.stdev(rows) / math.sqrt(n) if n > 1 else 1.0
    half = math.hypot(by_seed, by_row) if sampled else by_seed
    return mean, mean - half, mean + half


def repair(
    script: Path, args: Sequence[str], visit: Visit, *, told_to: TextIO | None = None, _: Translate = str
) -> dict[str, Any]:
    """Try changes on a script that was watched, and run it repaired when one is proven better.

    Args:
        script: the script.
        args: its arguments.
        visit: what was found when it ran as it is.
        told_to: is told of each retraining before it begins.
        _: translates what it is told.

    Returns:
        ``accepted``, ``before`` and ``after`` (mean held-out scores), ``interval`` of the gain, ``trials``
        (one entry a retraining with a change; ``originals`` those without), ``blind`` (what six blind trainings would have reached), ``change``,
        ``rows`` (which rows the scores are of).
    """
    out: dict[str, Any] = {
        "accepted": False, "before": None, "after": None, "interval": None, "trials": [], "originals": [], "blind": None, "change": None, "rows": None,
    }  # fmt: skip
    looked = Examination(visit.watch, float("inf"))
    trace, bare = visit.trace, _is_bare(looked, visit)
    candidates = plans(visit)
    if bare and not visit.healthy:
        candidates.append(_sound_bare(visit))
    if not candidates or trace is None:
        out["why"] = _no_plan(visit)
        return out
    # What a copy of the model makes of rows, no row held back from the model tells.
    # Nor do the rows of one loss tell what the others teach, nor rows that we judge what the script's mode costs,
    # nor targets that are the wrong ones.
    hidden = (trace.facts.get("optimiser") or {}).get("left_out") or "constant_term" in trace.facts
    hidden = (
        hidden
        or _evaluates_in_train_mode(visit)
        or any(not _UNSEEN_BY_ROWS.isdisjoint(c["change"]) for c in candidates)
    )
    known = bare or ("task" in trace.facts and not trace.facts.get("stale_copy") and not hidden)
    if not known:
        facts, judges = _named(looked), "printed"
    else:
        facts, judges = ({"bare": True}, "held-out") if bare else _prepared(looked, trace.facts)
    if known:
        out["rows"] = _rows_named(judges, 0 if looked.rows is None else len(looked.rows))
    runner = _Runner(script, list(args), facts, judges)
    runner.told_to, runner.words, runner.limit = told_to, _, 600 + 20 * visit.watched_seconds
    runner.goal = math.nan if facts.get("uneven") else possible_score(trace.facts) - 0.05
    with tempfile.TemporaryDirectory() as folder:
        runner.folder = Path(folder)
        runner.scratch()
        files = _stamps(script)
        try:
            first = None
            if known:
                first = _survey(runner, out) if bare else runner.run({}, 0, say("as it is"), out)
                if first is None and not bare:
                    candidates.append(_sound_bare(visit))
                    first = _survey(runner, out)  # the model's calls show rows, and not how they were judged
            if first is None:
                first, candidates = _by_print(runner, facts, candidates, out)
            best = _try(runner, first, candidates, out)
            if runner.judges == "printed":
                out["blind"] = None if first is None else blind_by_print(runner)
            else:
                out["blind"] = blind(looked, judges)
        finally:
            if runner.forks is not None:
                runner.forks.close()
        if best is not None:
            out["accepted"] = True
            out["change"] = best["change"]
            out["code"] = best["code"]
            runner.final(best["change"])
        elif _stamps(script) != files:
            runner.final({}, quiet=True)
    return out


def _evaluates_in_train_mode(visit: Visit) -> bool:
    """Return whether the first cause is a mode, and the training itself ran in train mode."""
    first = visit.diagnoses[0] if visit.diagnoses else None
    mode = visit.trace.facts.get("mode", {}) if visit.trace is not None else {}
    by_mode = (
        first is not None and first.prescription is not None and first.prescription.change == {"mode": True}
    )
    return by_mode and not mode.get("in_eval_mode") and bool(mode.get("eval_in_train_mode"))


def _named(looked: Examination) -> dict[str, Any]:
    """Return how changes tell the model that they are for, where neither rows nor task are known."""
    return {} if looked.root is None else {"model": type(looked.root.module).__name__}


def _by_print(
    runner: _Runner, facts: dict[str, Any], candidates: list[dict[str, Any]], out: dict[str, Any]
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Run a script as it is and judge by what it prints; return that and the changes that so can be judged."""
    runner.facts, runner.judges, runner.usual, runner.goal = facts, "printed", None, math.nan
    first = runner.run({}, 0, say("as it is"), out)
    told_of = runner.told_facts
    if first is None:
        return None, candidates
    runner.facts = {**facts, "printed": told_of["printed"]}
    better = say("higher is better") if told_of["kind"] == "higher" else say("negative, for lower is better")
    out["rows"] = say(
        "what the script prints as “{label}” ({better})", label=told_of["printed"], better=better
    )
    if told_of["kind"] != "higher":
        runner.enough = 0.05 * abs(first["score"])
    if told_of["kind"] == "loss":  # no measure of a change that makes another loss of it
        candidates = [one for one in candidates if not _OF_THE_LOSS & set(one["change"])]
    return first, candidates


def _sound_bare(visit: Visit) -> dict[str, Any]:
    """Return all that was prescribed, and sound settings beside it."""
    found = {k: v for d in reversed(visit.diagnoses) for k, v in d.prescription.change.items()}
    return {"code": say("sound settings"), "change": {**found, **_SOUND_BARE}}


def _is_bare(looked: Examination, visit: Visit) -> bool:
    """Return whether no call of a module tells rows or task, and there may be some all the same: no game, no actions."""
    if visit.trace is None or looked.together or looked.are_actions():
        return False
    return looked.rows is None or looked.root is None or "task" not in visit.trace.facts


def _prepared(looked: Examination, found: Any) -> tuple[dict[str, Any], str]:
    """Return what changes need to know, and which rows judge: the script's own evaluation where it has one."""
    assert looked.rows is not None
    assert looked.root is not None
    looked.prepare()
    other = found.get("evaluation", {})
    own = bool(looked.root.eval_scores) and other.get("rows", 0) >= 20 and not found.get("other_units")
    own = own and other["shared"] < 0.5 * other["rows"]
    few = len(looked.rows) < FEWEST_ROWS or exhaustive(looked.rows)
    judges = "evaluation" if own else "all" if few else "held-out"
    return _facts(looked, found), judges


def _rows_named(judges: str, n: int) -> str:
    return {
        "evaluation": say("the script's evaluation"),
        "held-out": say("rows held out of training"),
        "all": say("all {n} rows, too few to hold any back", n=n),
    }[judges]


def _survey(runner: _Runner, out: dict[str, Any]) -> dict[str, Any] | None:
    """Run a script on bare tensors as it is: only so is known what its rows are. Few rows are all judged."""
    runner.facts, runner.judges, runner.usual = {"bare": True, "survey": True}, "held-out", None
    out["rows"] = _rows_named("held-out", 0)
    first = runner.run({}, 0, say("as it is"), out)
    found = runner.told_facts
    runner.facts = {**found, "bare": True}
    runner.goal = found.get("possible", math.nan) - 0.05
    if found and found["distinct"] < FEWEST_ROWS:
        runner.judges = "all"
        out["rows"] = _rows_named("all", found["distinct"])
        first = runner.run({}, 0, say("as it is"), out)
    elif found and found["held"] < FEWEST_HELD:  # the luck of a small table: exactly a quarter, then
        runner.hold_back = found["share"]
        first = runner.run({}, 0, say("as it is"), out)
    return first


def _try(
    runner: _Runner, first: dict[str, Any] | None, candidates: list[dict[str, Any]], out: dict[str, Any]
) -> dict[str, Any] | None:
    if first is None:
        out["why"] = say("no held-out rows could be scored")
        return None
    out["before"] = first["score"]
    best: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    for plan in candidates:
        if len(out["trials"]) >= MAX_TRIALS - FRESH_SEEDS:
            break
        made = runner.run(plan["change"], 0, plan["code"], out)
        if made is not None and (after is None or made["score"] > after["score"]):
            best, after = plan, made
        if (
            made is not None
            and made["score"] - first["score"] > runner.enough
            and not made["score"] < runner.goal
        ):
            break
    if best is None or after is None or after["score"] <= first["score"]:
        out["after"] = after["score"] if after is not None else None
        out["why"] = say("no change scored better on the seed that chooses")
        return None
    # The pair that chose the change never judges it, even where it was the only one tried: only gains get here.
    # How many fresh seeds follow depends on time alone.
    left = MAX_TRIALS - len(out["trials"])
    fresh = left if first["seconds"] < LONG_SECONDS else min(left, LONG_SEEDS)
    pairs, befores, afters = [], [], []
    for seed in range(1, 1 + fresh):
        a, b = runner.run({}, seed, say("as it is"), out), runner.run(best["change"], seed, best["code"], out)
        if a is not None and b is None:  # leaving the seed out would choose among seeds by what came of them
            out |= {
                "after": after["score"],
                "why": say("with the change the script broke off on seed {seed}", seed=seed),
            }
            return None
        if a is None or b is None:
            break
        pairs.append((a["parts"], b["parts"]))
        befores.append(a["score"])
        afters.append(b["score"])
    if len(pairs) < FRESH_SEEDS:
        out |= {
            "after": after["score"],
            "why": say("fewer than {n} fresh seeds could be compared", n=FRESH_SEEDS),
        }
        return None
    _, low, high = interval(pairs, sampled=runner.judges not in ("all", "printed"))
    out |= {"before": statistics.fmean(befores), "after": statistics.fmean(afters), "interval": [low, high]}
    return best if low > 0 else None


class _Runner:
    """Runs trials of one script."""

    def __init__(self, script: Path, args: list[str], facts: dict[str, Any], judges: str) -> None:
        self.script, self.args, self.facts, self.judges = script, args, facts, judges
        self.folder = Path()
        self.work = Path.cwd()
        self.count = 0
        self.told_to: TextIO | None = None
        self.words: Translate = str
        self.limit = math.inf
        self.hold_back = HELD_BACK
        self.goal = math.nan
        self.enough = 0.05  # a gain with which no other change is tried
        self.usual: int | None = None
        self.forks: Forks | None = None
        self.told_facts: dict[str, Any] = {}

    def run(self, change: dict[str, Any], seed: int, name: str, out: dict[str, Any]) -> dict[str, Any] | None:
        """Retrain once; return ``score`` and ``parts``, or None where nothing could be scored."""
        self.count += 1
        path = self.folder / f"trial{self.count}"
        self._write(path, change, seed, judge=True)
        if self.told_to is not None:
            _ = self.words
            text = _("soundfit doctor: retraining {n}, seed {seed}: {name} …")
            print(text.format(n=self.count, seed=seed, name=told(name, _)), file=self.told_to, flush=True)
        started = time.perf_counter()
        if self.forks is None:
            self.forks = Forks(self.work, shared_modules(list(sys.modules)))
        code = self.forks.run(path, min(self.limit, 1e6))
        result = Path(str(path) + ".result")
        found = torch.load(result, weights_only=False) if result.exists() else {"score": None, "parts": None}
        self.told_facts = found.get("facts") or {}
        found["seconds"] = time.perf_counter() - started
        if not change and self.usual is None:
            self.usual = code
        # A change that breaks the script off is no repair, whatever was learned before.
        if code != self.usual:
            found["score"] = None
        out["trials" if change else "originals"].append(
            {"change": name, "seed": seed, "score": found["score"], "exit": code}
        )
        return found if found["score"] is not None else None

    def scratch(self) -> None:
        """Let trials run in a copy of the working folder, where it holds the script and is small."""
        here, script = Path.cwd().resolve(), self.script.resolve()
        if script.is_relative_to(here) and _is_small(here):
            self.work = self.folder / "work"
            shutil.copytree(here, self.work, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))

    def _script(self, judge: bool) -> Path:
        here, script = Path.cwd().resolve(), self.script.resolve()
        return self.work / script.relative_to(here) if judge and self.work != Path.cwd() else script

    def final(self, change: dict[str, Any], *, quiet: bool = False) -> None:
        """Run the script a last time, its output going where the script's output goes."""
        path = self.folder / "final"
        self._write(path, change, 0, judge=False)
        sys.stdout.flush()
        subprocess.run(
            [sys.executable, "-m", "soundfit.doctor.trial", str(path)], check=False,
            stdout=subprocess.DEVNULL if quiet else None, stderr=subprocess.DEVNULL if quiet else None,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def _write(self, path: Path, change: dict[str, Any], seed: int, *, judge: bool) -> None:
        spec = {
            "script": str(self._script(judge)), "args": self.args, "wanted": change, "facts": self.facts, "seed": seed,
            "hold_back": self.hold_back if judge and self.judges == "held-out" else 0.0, "judge": judge, "rows": self.judges,
        }  # fmt: skip
        torch.save(spec, path)


def _facts(looked: Examination, found: Any) -> dict[str, Any]:
    rows, root, task = looked.rows, looked.root, looked.task
    assert rows is not None
    assert root is not None
    x = rows.inputs[0]
    facts: dict[str, Any] = {
        "task": task, "model": type(root.module).__name__,
        "row_shape": None if root.call is not None and root.call.second else list(x.shape[1:]),
        "batch_size": found.get("batch_size", 1), "custom_loss": found["loss"]["kind"] is None,
        "activation": found["loss"].get("activation") or found["custom"].get("activation"),
    }  # fmt: skip
    operations = set((found["custom"].get("structure") or {}).get("operations", []))
    facts["loss_power"] = 1 if any("abs" in name.lower() for name in operations) else 2
    if x.is_floating_point():
        x = torch.nan_to_num(x)
        dims = (
            [0]
            if x.dim() == 2
            else [0, *range(2, x.dim())]
            if x.dim() == 4
            else list(range(max(1, x.dim() - 1)))
        )
        std = x.std(dims, keepdim=True, correction=0)
        facts |= {
            "input_mean": x.mean(dims, keepdim=True),
            "input_std": torch.where(std > 1e-12, std, torch.ones_like(std)),
        }
    y = rows.targets.float()
    y = y[torch.isfinite(y)]
    facts |= {"target_mean": float(y.mean()), "target_std": float(y.std()) + 1e-12}
    if task is not None:
        facts |= class_facts(task, rows.targets)
    facts |= {"through": looked.through, "output": root.call.output if root.call is not None else None}
    facts["second"] = root.call is not None and bool(root.call.second)
    facts["by_places"] = root.call is not None and root.call.places is not None
    if root.heads or looked.watch.head is not None:
        facts["judged"] = looked.kind
    return facts


_LEFT_OUT = (".git", ".venv", "venv", "__pycache__", "node_modules")


def _is_small(folder: Path) -> bool:
    size = files = 0
    for place, below, names in os.walk(folder):
        below[:] = [name for name in below if name not in _LEFT_OUT]
        files += len(names)
        size += sum(os.lstat(os.path.join(place, name)).st_size for name in names)
        if files > _COPY_FILES or size > _COPY_BYTES:
            return False
    return True


def _stamps(script: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of the files beside the script and in the working folder."""
    out = {}
    for folder in {script.resolve().parent, Path.cwd()}:
        for entry in os.scandir(folder):
            if entry.is_file():
                info = entry.stat()
                out[entry.path] = (info.st_size, info.st_mtime_ns)
    return out

"""What a watch tells after the script: scores, coverage, units, reference, replays, as facts for a Trace.

Knows torch and the watch; knows no rule. Everything runs on copies and under a generator of its own.
"""

# ruff: noqa: E501

from __future__ import annotations

import copy
import inspect
import math
import time
from typing import Any

import numpy as np
import torch

from soundfit.doctor.ahead import looks_ahead, read_across
from soundfit.doctor.attempts import single_changes, sound_trainings
from soundfit.doctor.behaviour import behaviour
from soundfit.doctor.call import output_of
from soundfit.doctor.dense import dense_facts
from soundfit.doctor.doubts import doubtful, is_starved, learns_in_part
from soundfit.doctor.facts import (
    idle_facts,
    input_facts,
    module_facts,
    optimiser_facts,
    order_facts,
    origin_facts,
    output_facts,
    selection_facts,
    stale_copy,
    target_facts,
    unregistered_facts,
    weight_facts,
)
from soundfit.doctor.judge import PRODUCTS, best_score, possible_score, usual_rates
from soundfit.doctor.lineage import with_earlier
from soundfit.doctor.over_time import over_time
from soundfit.doctor.pace import clock, pace
from soundfit.doctor.places_reference import any_reference
from soundfit.doctor.proof import agreement_z, outputs_z, rate_gains, signal
from soundfit.doctor.reference import Reference, fit_reference, linear_copy
from soundfit.doctor.replay import Recipe, arguments, replay
from soundfit.doctor.rows import Rows, by_chance, chance_twins, mirrored, overlap, recur, unseen
from soundfit.doctor.scores import Task, balanced, chance, given_up, other_units, own_zero, score, task_of
from soundfit.doctor.seen import main_root, optimiser_of, play_together
from soundfit.doctor.stored import changes_when_read
from soundfit.doctor.unaltered import unaltered
from soundfit.doctor.units import UnitScan
from soundfit.doctor.watch import Watch

__all__ = ["Examination"]

Tensor = torch.Tensor


_SCORED = {
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "multi_margin_loss", "multilabel_soft_margin_loss",
}  # fmt: skip


# Seconds by the clock for one of processor time: beyond, a crowded machine ends the examination.
_WAITING = 3.0


class Examination:
    """One examination: the pieces that several facts share."""

    def __init__(self, watch: Watch, deadline: float) -> None:
        self.watch = watch
        self.deadline = deadline
        self.latest = time.perf_counter() + _WAITING * pace() * max(deadline - clock(), 1.0)
        self.root = watch.head.record if watch.head is not None else main_root(watch.roots.values())
        self.kind = self._loss_kind()
        self.loss = watch.head.loss if watch.head is not None else watch.losses.get(self.kind or "", {})
        self.optimiser = optimiser_of(self.root, watch.optimisers.values())
        trained = [r for r in watch.roots.values() if r.train_calls]
        self.together = play_together(trained, watch.optimisers.values()) or "reversed" in watch.custom
        self.dealt = read_across(self.root) if self.root else None
        self.rows = self.root.train_rows.joined() if self.root else None
        self.eval_rows = self.root.eval_rows.joined() if self.root else None
        self.task: Task | None = None
        self.outputs: Tensor | None = None
        self.found: dict[str, Any] = {}
        self.through = True  # the model's output is what the loss compares with targets

    def _loss_kind(self) -> str | None:
        losses, head = self.watch.losses, self.watch.head
        if head is not None:
            return head.kind
        kept = self.root.extra.get("kind") if self.root is not None else None
        return kept if kept in losses else max(losses, key=lambda k: losses[k]["calls"]) if losses else None

    def facts(self) -> dict[str, Any]:
        """Return every fact."""
        watch, root = self.watch, self.root
        out = self.found = {
            "steps": watch.step,
            "by_hand": watch.by_hand and not watch.optimisers,
            "hand_steps": watch.hand_steps.facts() if not watch.optimisers else {},
            "silent": watch.hand_steps.silent(),
            "backwards": watch.backwards,
            "roots": len([r for r in watch.roots.values() if r.train_calls]),
            "optimisers": len(watch.optimisers),
            "stepped": sum(1 for o in watch.optimisers.values() if o.steps),
            "losses": {k: {**v} for k, v in watch.losses.items()},
            "loss": {**self.loss, "kind": self.kind} if self.kind else {"kind": None},
            "custom": dict(watch.custom),
            "dropouts": [(p, t, g, place) for (p, t, g), place in watch.dropouts.items()],
            "risky": dict(watch.risky),
            "places": {"backward": watch.backward_place},
            "optimiser": optimiser_facts(watch, self.optimiser),
            "plateaus": [p.facts(watch.recording.loss) for p in watch.plateaus.values()],
            "idle": idle_facts(watch),
            "stale_copy": stale_copy(watch),
            "together": self.together,
            "dealt": self.dealt,
            **unregistered_facts(watch),
            **output_facts(watch, root, self.kind),
            **watch.terms.facts(),
            "selection": selection_facts(watch.backward_place),
            "origin": origin_facts(watch.backward_place),
        }
        if root is None:
            return out
        out["places"]["model"] = root.place
        out["places"]["evaluation"] = root.eval_place
        out |= {
            "model": type(root.module).__name__,
            "modules": module_facts(watch, root),
            "weights": weight_facts(watch, root),
            "mode": {
                "train_calls": root.train_calls,
                "in_eval_mode": root.train_calls_in_eval_mode,
                "eval_calls": root.eval_calls,
                "eval_in_train_mode": root.eval_calls_in_train_mode,
                "sampled": watch.evaluation.sampled,
            },
        }
        size = max(root.batch_sizes, key=lambda k: root.batch_sizes[k]) if root.batch_sizes else 0
        out["batch_size"] = size
        if self.rows is None or len(self.rows) < 2:
            return out
        if self.together:  # models that play against each other have no score
            return out
        out["rows"] = len(self.rows)
        out["repeats"] = 1 - len(self.rows) / max(root.train_rows.rows, 1)
        out |= mirrored(self.rows)
        mine = self.optimiser.steps if self.optimiser is not None else watch.step
        out["trained_steps"] = mine
        out["epochs"] = mine * max(size, 1) / len(self.rows)
        out["input"] = input_facts(self.rows.inputs)
        out["composite"] = bool(root.extra.get("composite"))
        out |= over_time(root, self.rows)
        out["looks_ahead"] = looks_ahead(root, self.rows)
        out["dense"] = dense_facts(self.rows, self.eval_rows)
        out["behaviour"] = behaviour(root, self.rows, size, out["optimiser"].get("unreached", []))
        if root.call is not None and root.call.second and out["behaviour"].get("others", 0.0) > 0.02:
            out["behaviour"] = {}  # its rows are on the first axis after all: it turns them itself
            return out
        width = self._output_width()
        self.task = task_of(self.kind, self.rows.inputs, self.rows.targets, width)
        if self.are_actions() or self._is_mask():
            return out
        out["task"] = {"kind": self.task.kind, "classes": self.task.classes, "columns": self.task.columns,
                       "classification": self.task.is_classification, "width": width}  # fmt: skip
        out["target"] = target_facts(self.task, self.rows)
        out["order"] = order_facts(self.task, root)
        out["score"] = self._scores(out)
        out["units"] = self._units()
        self._possible(out)
        some = max(0.5, 0.2 * (self.deadline - clock()))
        drawn = self.watch.loaders, self.recipe(), self.task, self.rows, self.eval_rows
        out["stored_rows_change"] = changes_when_read([one.dataset for one in self.watch.loaders])
        out["unaltered"] = unaltered(*drawn, seconds=some)
        return out

    def are_actions(self) -> bool:
        """Return whether numbers of both signs weigh classes: what was done by how well it went, no answers."""
        met = self.watch.custom.get("first_meeting")
        if (self.watch.custom.get("weighed") or {}).get("signed"):
            return True
        by_class = self.kind in ("cross_entropy", "nll_loss") or (
            self.kind is None and met in ("gather", "__getitem__")
        )
        return by_class and bool((self.watch.custom.get("structure") or {}).get("signed"))

    def _is_mask(self) -> bool:
        """Return whether zeros and ones multiply something in a loss by hand: more likely a mask than labels.

        Labels multiply logarithms of probabilities; who lived longest, which token counts, or whether an episode
        ended multiplies anything.
        """
        met = self.watch.custom.get("first_meeting")
        if self.kind is not None or self.task is None or self.task.kind != "binary" or met not in PRODUCTS:
            return False
        operations = set((self.watch.custom.get("structure") or {}).get("operations", []))
        return not operations & {"Log", "LogSoftmax", "LogSigmoid", "Softplus", "Log2", "Log1P", "Logsumexp"}

    def _output_width(self) -> int:
        shape = self.loss["prediction_shape"] if self.kind else None
        if shape is None:
            shape = self.watch.custom.get("shapes", ((0, 1),))[0]
        late = self.root.train_scores[-1][1].shape if self.root and self.root.train_scores else ()
        if len(late) == len(shape):  # a loss may have judged another model, or another head, before
            shape = tuple(late)
        return int(shape[1]) if len(shape) > 1 else 1

    # -- scores -------------------------------------------------------------------------------------

    def _predict(self, rows: Rows, *, training: bool = False) -> Tensor | None:
        root = self.root
        if root is None or root.call is None or root.extra.get("composite"):
            return None
        try:
            net = copy.deepcopy(root.module).cpu()
            net.train(training)
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(5)
                parts = []
                for i in torch.arange(len(rows)).split(512):
                    parts.append(output_of(root.call(net, [x[i] for x in rows.inputs])))
            p = torch.cat(parts).float()
            return root.call.amounts(p, self.task is not None and self.task.is_numbers)
        except Exception:  # a model that needs more than these inputs is judged by what the script computed
            return None

    def _scores(self, facts: dict[str, Any]) -> dict[str, float]:
        task, rows, root = self.task, self.rows, self.root
        assert task is not None
        assert rows is not None
        assert root is not None
        out = {
            "train": math.nan,
            "evaluation": math.nan,
            "evaluation_by_script": math.nan,
            "balanced": math.nan,
        }
        out["constant"] = chance(task, rows.targets)
        if not self._scorable(facts):
            return out
        p = self._predict(rows)
        facts["other_units"] = other_units(task, rows.targets, [y for _, _, y in root.eval_scores])
        if p is not None and p.shape[0] == len(rows) and not self._is_prediction(p):
            self.through, p = False, None
        self.outputs = p
        if p is not None and p.shape[0] == len(rows):
            out["train"] = score(task, p, rows.targets)
            out["train_z"] = agreement_z(task, p, rows.targets)
            out["outputs_z"] = outputs_z(task, p, rows.targets)
            if task.has_one_class:
                out["balanced"] = balanced(task, p, rows.targets)
                out["rare_found"], out["balanced_if_even"] = given_up(task, p, rows.targets)
                out["evened"] = float(np.fmax(out["balanced"], out["balanced_if_even"]))
            facts["outputs"] = {
                "std": float(p.std(0).mean()), "mean": float(p.mean()), "min": float(p.min()), "max": float(p.max()),
                "finite": bool(torch.isfinite(p).all()),
                "row_sum": float(p.reshape(len(p), -1).sum(1).mean()), "width": int(p.reshape(len(p), -1).shape[1]),
                "own_zero": own_zero(task, p, rows.targets),
            }  # fmt: skip
            q = self._predict(rows, training=True)
            if q is not None:
                out["train_in_train_mode"] = score(task, q, rows.targets)
        out["train_at_start"], out["error_growth"] = self._at_start(task, p)
        if math.isnan(out["train"]) and root.train_scores and (self.through or task.is_classification):
            last = [s for s in root.train_scores if s[0] > self.watch.step * 0.7 and len(s[1]) == len(s[2])]
            if last:
                with_rows = [(a, b) for _, a, b in last if a.shape[1:] == last[-1][1].shape[1:]]
                seen, wanted = torch.cat([a for a, _ in with_rows]), torch.cat([b for _, b in with_rows])
                out["train"], out["train_z"] = score(task, seen, wanted), agreement_z(task, seen, wanted)
        made = root.last_evaluated(task.is_numbers)
        if made is not None and self.through and not facts["other_units"]:
            ps, ys = made
            if ys.shape[1:] == rows.targets.shape[1:] or task.kind in ("classes", "binary"):
                out["evaluation_by_script"] = score(task, ps, ys)
                out["evaluation_z"] = agreement_z(task, ps, ys)
        other = self.eval_rows
        if other is not None and [x.shape[1:] for x in other.inputs] == [x.shape[1:] for x in rows.inputs]:
            fresh = unseen(other, rows)
            p = self._predict(fresh) if self.through and not facts["other_units"] else None
            if p is not None and p.shape[0] == len(fresh):
                out["evaluation"] = score(task, p, fresh.targets)
                out["evaluation_z"] = agreement_z(task, p, fresh.targets)
            facts["evaluation"] = self._evaluation_facts(rows, other)
        return out

    def _is_prediction(self, p: Tensor) -> bool:
        """Return whether a model's outputs have as many numbers a row as what the loss compared with targets."""
        if self.root is not None and self.root.call is not None and self.root.call.places is not None:
            return True
        shape = self.loss["prediction_shape"] if self.kind else None
        if shape is None:
            shape = self.watch.custom.get("shapes", (None,))[0]
        return not shape or math.prod(shape[1:]) == p[:1].numel()

    def _at_start(self, task: Task, now: Tensor | None) -> tuple[float, float]:
        """Return the score of the outputs of the first few steps, and by what factor errors of numbers grew since."""
        assert self.root is not None
        assert self.rows is not None
        first = [(a, b) for s, a, b in self.root.train_scores if s <= 4 and len(a) == len(b)]
        first = [(a, b) for a, b in first if a.shape[1:] == first[0][0].shape[1:]]
        if not first:
            return math.nan, math.nan
        p, y = torch.cat([a for a, _ in first]), torch.cat([b for _, b in first])
        growth = math.nan
        if now is not None and task.kind == "regression" and now.numel() == self.rows.targets.numel():
            error = (now.reshape(-1) - self.rows.targets.float().reshape(-1)).abs().mean()
            if p.numel() == y.numel():
                growth = float(error / ((p.float().reshape(-1) - y.float().reshape(-1)).abs().mean() + 1e-12))
        return score(task, p, y), growth

    def _scorable(self, facts: dict[str, Any]) -> bool:
        """Return whether accuracy or R² of the plain output says how well the loss was served."""
        assert self.task is not None
        weighed = self.watch.custom.get("weighed") or {}
        far_off = weighed.get("uneven", 0.0) > 0.5 and self.task.is_numbers and self.eval_rows is None
        if far_off or (weighed.get("zeros", 0.0) > 0.02 and self.task.kind != "sequence"):
            return False  # some numbers of a row are not asked for, or some rows count for little
        if self.kind is not None:
            one = self.loss
            parts = self.kind == "kl_div" and self.task.kind in ("shares", "one-hot")
            parts |= self.root is not None and self.root.call is not None and self.root.call.outer == "rate"
            return (self.kind in _SCORED or parts) and not one["target_from_model"]
        if self.task.is_classification:
            return True
        if (
            self.watch.custom.get("first_meeting") in PRODUCTS
        ):  # numbers to be met are subtracted from, not weighed
            return False
        structure = self.watch.custom.get("structure") or {}
        if structure.get("even") is False:  # a difference on its way to something else, as in a flow
            return False
        operations = set(structure.get("operations", []))
        return bool(operations & {"Sub", "Rsub"}) and bool(
            operations & {"Pow", "Abs", "Mul", "LinalgVectorNorm"}
        )

    def _evaluation_facts(self, rows: Rows, other: Rows) -> dict[str, Any]:
        assert self.root is not None
        shared, held_out = overlap(with_earlier(rows, self.root, self.watch.roots), self.root.eval_rows)
        x, z = input_facts(rows.inputs), input_facts(other.inputs)
        return {
            "rows": held_out, "shared": shared, "recur": recur(rows) or by_chance(self.root.train_rows), "input": z,
            "by_chance": chance_twins(self.root.train_rows, len(rows)),
            "shift": abs(z.get("mean", 0) - x.get("mean", 0)) / (x.get("std", 0) + 1e-12),
            "scale": (z.get("std", 0) + 1e-12) / (x.get("std", 0) + 1e-12),
        }  # fmt: skip

    def _units(self) -> dict[str, Any]:
        root, rows = self.root, self.rows
        out: dict[str, Any] = {}
        if root is None or rows is None or root.initial is None or root.call is None:
            return out
        if root.extra.get("composite"):
            return out
        index = torch.linspace(0, len(rows) - 1, min(len(rows), 512)).long()
        part = rows.take(index)
        for when in ("first", "last"):
            try:
                net = copy.deepcopy(root.module).cpu()
                if when == "first":
                    net.load_state_dict(root.initial)
                net.eval()
                scan = UnitScan()
                with torch.no_grad(), torch.random.fork_rng(devices=[]), scan:
                    root.call(net, part.inputs)
                out[when] = scan.found
            except Exception:
                out[when] = []
        return out

    # -- what is possible ----------------------------------------------------------------------------

    def _possible(self, out: dict[str, Any]) -> None:
        task, rows, root = self.task, self.rows, self.root
        assert task is not None
        assert rows is not None
        assert root is not None
        reference: Reference | None = None
        left = self.deadline - clock()
        clean = Rows(
            tuple(torch.nan_to_num(x) if x.is_floating_point() else x for x in rows.inputs), rows.targets
        )
        try:
            places = root.call.places if root.call is not None else None
            reference = any_reference(task, clean, places, other=self.eval_rows, seconds=left * 0.3)
        except Exception:
            reference = None
        if reference is not None:
            out["reference"] = {
                "held_out": reference.held_out, "constant": reference.constant, "se": reference.standard_error,
                "balanced": reference.balanced, "evened": reference.evened, "by_model": reference.by_model,
                "evaluation_gain": reference.other_rows, "rows": reference.rows, "agreement": reference.agreement,
                "surest": reference.surest,
            }  # fmt: skip
            if reference.surest < 2.33 and reference.rows >= 400:
                out["signal"] = signal(task, clean)
        if task.kind == "copy" and len(rows) >= 100:
            narrow = min([8, *(w for w in out["modules"]["widths"] if w > 0)])
            out["linear_copy"] = linear_copy(rows.targets, narrow)
        self._class_numbers(out, clean)
        recipe = self.recipe()
        got = best_score(out)
        other = out["score"]["evaluation"]
        perfect = not math.isnan(got) and got > 0.97 and not other < 0.92
        replays: dict[str, dict[str, float]] = out.setdefault("replays", {})
        if recipe is None or task.kind == "copy" or perfect:
            return
        out["recipe"] = {"sound": True}
        for name, change in sound_trainings(recipe).items():
            self._try(replays, name, recipe, clean, change)
        possible = possible_score(out)
        usual = usual_rates(recipe.optimiser.__name__, out["optimiser"].get("momentum", 0.0))[1]
        gap = possible - (got if math.isnan(other) else other)
        if gap > 0.04 and len(rows) >= 100 and float(str(recipe.settings["lr"])) > usual:
            out["rate_gains"] = rate_gains(recipe, task, clean, deadline=self.deadline)
        if gap > 0.04 or is_starved(out) or learns_in_part(out):
            # The rest of the time is for single changes.
            until = self.deadline - 0.55 * (self.deadline - clock())
            out |= doubtful(recipe, task, clean, out, self.watch.recording, until)
        if math.isnan(possible) or math.isnan(got) or possible - got < 0.03:
            return
        for name, change in single_changes(recipe, out, violent=self._violent()).items():
            self._try(replays, name, recipe, clean, change)

    def _violent(self) -> bool:
        """Return whether numbers grew, or the first steps were far too large."""
        seen = self.watch.recording
        norms = seen.sparse.get("gradient_norm", {}).values()
        ratios = list(seen.sparse.get("update_ratio", {}).values())
        grown = any(e.kind.startswith("nonfinite") for e in seen.events) or max(norms, default=0.0) > 1e3
        return grown or any(r > 0.3 for r in ratios)

    def _class_numbers(self, out: dict[str, Any], rows: Rows) -> None:
        """Where numbers 0 … K-1 are regressed on: would a classifier name far more of them right?"""
        target = out["target"]
        values = target.get("values", 0)
        if (
            self.task is None
            or self.task.kind != "regression"
            or self.task.columns != 1
            or self.outputs is None
        ):
            return
        if not (
            3 <= values <= 30 and target["integers"] and target["min"] == 0 and target["max"] == values - 1
        ):
            return
        labels = rows.targets.reshape(len(rows)).long()
        classes = Task("classes", values)
        found = fit_reference(
            classes, Rows(rows.inputs, labels), seconds=max(1.0, (self.deadline - clock()) * 0.2)
        )
        if found is None or self.outputs.numel() != len(rows):
            return
        rounded = float((self.outputs.reshape(-1).round().long() == labels).float().mean())
        out["classes_reference"] = {
            "gain": found.held_out - rounded,
            "accuracy": found.held_out,
            "rounded": rounded,
        }

    def _try(
        self, into: dict[str, dict[str, float]], name: str, recipe: Recipe, rows: Rows, change: Any
    ) -> None:
        assert self.task is not None
        left = min(self.deadline - clock(), (self.latest - time.perf_counter()) / pace())
        if left < 0.5:
            self.found["hurried"] = True
            return
        made = replay(recipe, self.task, rows, change, seconds=min(3.0, left / 2))
        if made is not None:
            into[name] = {
                "held_out": made.held_out, "evened": made.evened,
                "fitted": made.fitted, "steps": made.steps, "cut": float(made.cut)
            }  # fmt: skip

    def prepare(self) -> None:
        """Find the task, for those who need no facts."""
        assert self.rows is not None
        self.task = task_of(self.kind, self.rows.inputs, self.rows.targets, self._output_width())

    def recipe(self) -> Recipe | None:
        """Return how the script trained, for replays; None where it cannot be told."""
        root, watch = self.root, self.watch
        record = self.optimiser
        if root is None or root.initial is None or root.call is None or record is None:
            return None
        if root.extra.get("composite") or not self.through:
            return None
        names = {id(p): n for n, p in root.module.named_parameters()}
        inside = {names[id(p)] for p in record.parameters if id(p) in names}
        first = record.first[0] if record.first else {}
        allowed = set(inspect.signature(type(record.optimiser).__init__).parameters)
        settings = {
            k: v for k, v in first.items()
            if k in allowed and isinstance(v, int | float | bool | tuple | str) and not isinstance(v, Tensor)
        }  # fmt: skip
        if "lr" not in settings:
            return None
        rates = watch.recording.rate[max(record.began - 1, 0) : record.ended] if record.steps else []
        rates = [r for r in rates if math.isfinite(r)]
        base = float(str(settings["lr"])) or 1.0
        one = self.loss
        calls = watch.backwards / max(watch.step, 1)
        size = max(root.batch_sizes, key=lambda k: root.batch_sizes[k]) if root.batch_sizes else 32
        structure = watch.custom.get("structure") or {}
        activation = one.get("activation") if self.kind else watch.custom.get("activation")
        return Recipe(
            module=root.module, call=root.call, initial=root.initial, training=root.initial_training, loss=self.kind,
            reduction=one.get("reduction", "mean"), loss_kwargs=arguments(self.kind, one), activation=activation,
            optimiser=type(record.optimiser), settings=settings, names=frozenset(inside),
            batch_size=max(1, round(size * max(1.0, min(calls, 8.0)))), steps=max(record.steps, 1),
            rates=[r / base for r in rates], negated=bool(structure.get("negated")),
            keeps_gradients=any(not o.grads_were_zeroed for o in watch.optimisers.values()),
        )  # fmt: skip

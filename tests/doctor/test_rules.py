"""Rules on hand-made traces: an injected fault and its healthy control, no torch in sight."""

# ruff: noqa: E501

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import soundfit.doctor.rules
from soundfit.doctor.case import Case
from soundfit.doctor.plateau import Plateau
from soundfit.doctor.rules import RULES, diagnose, is_healthy
from soundfit.doctor.speak import told, verdict_text
from soundfit.doctor.symptoms import symptoms
from soundfit.records import Event, Place, Trace
from soundfit.report.doctor_page import doctor_page
from soundfit.report.words import Words


def trace(
    *,
    got: float = 0.95,
    possible: float = 0.95,
    loss: Any = None,
    events: tuple[Event, ...] = (),
    **facts: Any,
) -> Trace:
    """Return a healthy classifier's trace with parts replaced (dotted names by double underscores)."""
    base: dict[str, Any] = {
        "steps": 200, "backwards": 200, "roots": 1, "optimisers": 1, "stepped": 1, "rows": 500, "epochs": 12.8, "batch_size": 32,
        "losses": {}, "custom": {}, "dropouts": [], "risky": {}, "places": {"backward": Place(), "model": Place(), "evaluation": Place()},
        "loss": {"kind": "cross_entropy", "activation": None, "prediction_shape": (32, 3), "target_shape": (32,), "place": Place(),
                 "reduction": "mean", "target_dtype": "int64"},
        "optimiser": {"known": True, "class": "Adam", "place": Place(), "steps": 200, "lr": 1e-3, "weight_decay": 0.0, "momentum": 0.0,
                      "maximize": False, "inside": 100, "total": 100, "frozen": [], "forgotten": [], "forgotten_elements": 0,
                      "frozen_elements": 0, "stale": False, "handmade": False},
        "task": {"kind": "classes", "classes": 3, "columns": 1, "classification": True, "width": 3},
        "target": {"shares": [0.3, 0.3, 0.4], "present": 3, "nonfinite": 0.0, "values": 3, "integers": True, "min": 0.0, "max": 2.0, "std": 0.8},
        "input": {"kind": "float", "dims": 2, "column_std_max": 1.0, "column_std_min": 1.0, "rms": 1.0, "column_mean_max": 0.1,
                  "outlier": 4.0, "max": 4.0, "constant": 0.0},
        "score": {"train": got, "constant": 0.4, "balanced": got},
        "reference": {"held_out": possible, "constant": 0.4, "se": 0.01, "balanced": possible, "by_model": {"linear": possible, "mlp": possible},
                      "evaluation_gain": float("nan"), "agreement": float("nan")},
        "outputs": {"finite": True, "std": 1.0, "width": 3}, "replays": {}, "weights": {"moved": 1.0, "matrices": []},
        "modules": {"batchnorm": [], "dropout": [], "activations": [], "linears": 2, "widths": [32, 3], "sequence": ["linear", "relu", "linear"],
                    "handmade": 0, "recurrent": False},
        "mode": {"train_calls": 200, "in_eval_mode": 0, "eval_calls": 0, "eval_in_train_mode": 0},
    }  # fmt: skip
    for name, value in facts.items():
        here = base
        *path, last = name.split("__")
        for part in path:
            here = here.setdefault(part, {})
        here[last] = value
    losses = np.linspace(1.0, 0.2, 200) if loss is None else np.asarray(loss, dtype=float)
    at = np.arange(1, len(losses) + 1, dtype=float)
    return Trace(
        "step", at, {"training_loss": losses, "learning_rate": np.full(len(losses), 1e-3)}, {}, events, base
    )


def codes(found: Trace) -> list[str]:
    return [d.code for d in diagnose(found)]


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "softmax before cross-entropy": ("output-activation", {"loss__activation": "softmax"}),
    "softmax on one unit": ("output-activation", {"loss__kind": "binary_cross_entropy", "loss__activation": "softmax", "loss__prediction_shape": (32, 1)}),
    "sigmoid twice": ("output-activation", {"loss__kind": "binary_cross_entropy_with_logits", "loss__activation": "sigmoid"}),
    "raw outputs in nll": ("loss-mismatch", {"loss__kind": "nll_loss", "outputs__max": 4.0}),
    "broadcast": ("shape-broadcast", {"losses": {"mse_loss": {"prediction_shape": (32, 1), "target_shape": (32,), "calls": 5}}}),
    "ascent": ("gradient-ascent", {"custom__structure": {"negated": True}, "got": 0.1}),
    "maximize": ("gradient-ascent", {"optimiser__maximize": True, "got": 0.1}),
    "ascent where no score tells anything": ("gradient-ascent", {"custom__structure": {"negated": True}, "got": 0.41, "possible": 0.4}),
    "stale optimiser": ("optimizer-params", {"optimiser__stale": True, "got": 0.4}),
    "everything frozen": ("optimizer-params", {"optimiser__inside": 0, "got": 0.4}),
    "every step skipped in half precision": ("half-precision-overflow", {"steps": 0, "weights__moved": 0.0, "weights__gradients_finite": False, "got": 0.4, "custom__factor": 65536.0}),
    "rows read as time by layers that take time first": ("shape-broadcast", {"got": 0.75, "possible": 0.79, "input__dims": 3, "modules__sequence_first": True, "input__shape": [20, 6], "target__shape": [],
        "behaviour": {"own": 1.0, "others": 1.0, "later": False, "bend": 0.4}}),
    "a state after the padding": ("vanishing-gradient", {"got": 0.45, "padding": {"share": 0.8, "reached": 1e-9}}),
    "pictures and targets turned apart": ("augmentation", {"dense": {"turned": 0.8, "turned_in_evaluation": 0.0}}),
    "labels that stand together, rows unknown": ("loss-mismatch", {"task": {}, "loss__many_hot": 0.7}),
    "factors far too large": ("bad-init", {"task": {"kind": "regression", "classes": 0, "columns": 1, "classification": False, "width": 1},
        "weights": {"moved": 1.0, "matrices": [], "embeddings": [{"name": "u", "std": 1.0, "width": 8, "place": None}] * 2}, "modules__linears": 0,
        "got": -0.5, "score__train_at_start": -1.0, "score__evaluation": -1.0}),
    "every step skipped": ("nonfinite", {"steps": 0, "weights__moved": 0.0, "weights__gradients_finite": False, "got": 0.4}),
    "one norm at three places": ("batchnorm", {"got": 0.8, "score__train_in_train_mode": 0.95, "modules__batchnorm": [{"name": "bn", "momentum": 0.1, "place": None, "uses": 3.0}]}),
    "no step": ("missing-step", {"steps": 0, "weights__moved": 0.0, "got": 0.4}),
    "rate too high": ("lr-too-high", {"got": 0.4, "optimiser__lr": 1.0, "replays": {"same": {"held_out": 0.4}, "rate-down-100": {"held_out": 0.95}}}),
    "rate too low": ("lr-too-low", {"got": 0.4, "optimiser__lr": 1e-7, "replays": {"same": {"held_out": 0.4}, "rate-up-100": {"held_out": 0.95}}}),
    "too few epochs": ("too-few-epochs", {"got": 0.5, "epochs": 1.0, "replays": {"same": {"held_out": 0.5}, "longer": {"held_out": 0.94}}}),
    "unscaled inputs": ("input-scale", {"got": 0.4, "input__rms": 500.0, "input__column_std_max": 500.0, "replays": {"same": {"held_out": 0.4}, "scale-inputs": {"held_out": 0.95}}}),
    "constant inputs": ("inputs-constant", {"input__constant": 1.0}),
    "one class": ("labels-damaged", {"target__present": 1}),
    "shuffled labels": ("labels-damaged", {"got": 0.42, "possible": 0.41, "reference__evaluation_gain": 0.5, "reference__agreement": 0.3}),
    "labels without information": ("labels-damaged", {"got": 0.9, "possible": 0.41, "reference__surest": 0.5, "score__evaluation_z": -0.4,
        "signal": {"z": 0.8, "rows": 1000, "correlation_below": 0.1}}),
    "labels left behind": ("labels-damaged", {"got": 0.42, "possible": 0.41, "rows": 250, "origin": {"left_behind": Place(line=3)}}),
    "weights by share, in two classes": ("class-imbalance", {"target__shares": [0.9, 0.1], "loss__weights": [0.9, 0.1], "loss__weighted": True}),
    "weight of the positives turned": ("class-imbalance", {"task__kind": "binary", "target__shares": [0.9, 0.1], "loss__pos_weights": [0.11]}),
    "rate too high by a test": ("lr-too-high", {"optimiser__lr": 1.0, "rate_gains": {"0.1": {"gain": 0.08, "z": 4.0}}}),
    "constant weights": ("bad-init", {"got": 0.4, "weights__matrices": [
        {"name": "0.weight", "units": 8, "constant": True, "rows_equal": True, "place": None, "gain": 0.3, "mean": 0.1},
        {"name": "2.weight", "units": 3, "constant": True, "rows_equal": True, "place": None, "gain": 0.3, "mean": 0.1}]}),
    "copies of one unit, whatever the score": ("bad-init", {"weights__matrices": [
        {"name": n, "units": 8, "constant": True, "rows_equal": True, "place": None, "gain": 1.3, "mean": 0.5, "change": 0.2, "after": 2.0, "spectral": 2.0}
        for n in ("0.weight", "2.weight")]}),
    "most weights without a step cost a little": ("optimizer-params", {"got": 0.91, "optimiser__forgotten": ["0.weight"], "optimiser__forgotten_elements": 90,
        "replays": {"same": {"held_out": 0.9}, "all-parameters": {"held_out": 0.95}}}),
    "statistics that are mostly their start": ("batchnorm", {"got": 0.89, "possible": 0.95, "trained_steps": 240.0, "score__train_in_train_mode": 1.0,
        "modules__batchnorm": [{"name": "1", "momentum": 1 - 0.999, "place": None}]}),
    "strong dropout where no score tells": ("over-regularised", {"got": float("nan"), "dropouts": [(0.9, True, True, Place(line=3))]}),
    "rates for a Poisson loss of logarithms": ("output-activation", {"got": float("nan"), "loss__kind": "poisson_nll_loss", "loss__activation": "exp", "loss__kwargs": {},
        "custom__structure": {"operations": ["Mean", "Sub", "Exp", "Mul", "Exp", "Squeeze"]}}),
    "a rate that its optimiser never gets": ("lr-too-low", {"got": 0.5, "optimiser__class": "Adadelta", "optimiser__lr": 1e-3}),
    "a huge rate that its optimiser never gets": ("lr-too-high", {"got": 0.5, "optimiser__class": "AdamW", "optimiser__lr": 0.3}),
    "a collapsed posterior": ("loss-reduction", {"got": -0.004, "score__constant": 0.0, "score__outputs_z": 55.0, "linear_copy": 0.64, "trained_steps": 1400,
        "task": {"kind": "copy", "classes": 0, "columns": 64, "classification": False, "width": 64}, "loss__kind": "binary_cross_entropy_with_logits",
        "custom__structure": {"operations": ["Add", "BinaryCrossEntropyWithLogits", "Mul", "Sum"]}}),
    "labels of places drawn anew": ("labels-damaged", {"got": 0.41, "possible": 0.41, "task__kind": "sequence", "input__kind": "codes", "score__evaluation_z": float("nan"),
        "target__retargeted": 800, "target__retargeted_spread": 0.98, "target__retargeted_share": 0.4}),
    "no activation": ("missing-nonlinearity", {"got": 0.6, "modules__sequence": ["linear", "linear"], "reference__by_model": {"linear": 0.6, "mlp": 0.95}}),
    "one number for every row": ("dead-relu", {"got": 0.978, "possible": 0.977, "backwards": 300, "units": {"first": [{"kind": "relu", "dead": 1.0, "units": 8}, {"kind": "linear", "apart": 0.0, "max": 4.6}], "last": [{"kind": "relu", "dead": 1.0, "units": 8}, {"kind": "linear", "apart": 1e-6, "max": 4.6}]}}),
    "dead units": ("dead-relu", {"got": 0.4, "units": {"first": [{"kind": "relu", "dead": 0.9, "units": 8}], "last": [{"kind": "relu", "dead": 1.0, "units": 8}]}}),
    "batch norm statistics": ("batchnorm", {"got": 0.4, "score__train_in_train_mode": 0.95, "modules__batchnorm": [{"name": "1", "momentum": 1e-5, "place": None}]}),
    "trained in eval mode": ("train-eval-mode", {"got": 0.4, "mode__in_eval_mode": 200, "modules__batchnorm": [{"name": "1", "momentum": 0.1, "place": None}]}),
    "strong dropout": ("over-regularised", {"got": 0.4, "modules__dropout": [{"name": "1", "p": 0.95, "place": None}], "replays": {"no-dropout": {"held_out": 0.95}}}),
    "strong decay": ("over-regularised", {"got": 0.4, "optimiser__weight_decay": 1.0, "replays": {"no-decay": {"held_out": 0.95}}}),
    "sorted rows": ("class-imbalance", {"got": 0.5, "order": {"purity": 1.0, "base": 0.34, "kinds": 3, "size": 32, "batches": 20}}),
    "rare class": ("class-imbalance", {"got": 0.93, "target__shares": [0.93, 0.07], "score__balanced": 0.5, "reference__balanced": 0.9}),
    "rows altered beyond use": ("augmentation", {"got": 0.45, "possible": 0.45, "repeats": 0.0, "rows": 900, "evaluation": {"rows": 200, "shared": 0, "scale": 0.1},
        "score__evaluation": 0.5, "reference__evaluation_gain": 0.5, "reference__agreement": 1.0}),
    "test rows choose": ("test-used-for-selection", {"selection": {"place": Place(), "score": "test_acc", "chosen": "checkpoint"}}),
    "rare class seldom named": ("class-imbalance", {"rows": 3000, "target__shares": [0.97, 0.03], "score__balanced": 0.62, "score__rare_found": 0.24,
        "score__balanced_if_even": 0.88, "reference__balanced": 0.6}),
    "a rare class that the reference misses too": ("class-imbalance", {"rows": 3000, "target__shares": [0.91, 0.05, 0.04], "score__balanced": 0.39,
        "score__rare_found": 0.0, "score__balanced_if_even": 0.64, "reference__balanced": 0.34}),
    "the larger class alone is named": ("input-scale", {"got": 0.75, "possible": 0.79, "score__constant": 0.75, "score__outputs_z": 0.2, "reference__surest": 9.0,
        "input__rms": 9000.0, "input__column_std_max": 9000.0, "replays": {"same": {"held_out": 0.75}, "scale-inputs": {"held_out": 0.79}}}),
    "mirrored where direction is the class": ("augmentation", {"got": 0.57, "possible": 0.52, "repeats": 0.4, "mirrored": 0.9, "rows": 900,
        "evaluation": {"rows": 300, "shared": 0}, "score__evaluation": 0.55, "reference__evaluation_gain": 0.5, "reference__agreement": 20.0}),
    "units that die of unscaled inputs": ("input-scale", {"got": 0.4, "possible": 0.6, "units": {"first": [{"dead": 0.3}], "last": [{"dead": 1.0}]}, "input__column_std_max": 1e4,
        "replays": {"same": {"held_out": 0.4}, "scale-inputs": {"held_out": 0.47}}}),
    "a flip that makes another class": ("augmentation", {"relabelled": 1.0, "got": 0.78, "possible": 0.73, "repeats": 0.0, "mirrored": 0.03, "rows": 900,
        "evaluation": {"rows": 300, "shared": 0}, "score__evaluation": 0.75, "reference__evaluation_gain": 0.5, "reference__agreement": 20.0}),
    "mirrored copies with the labels of others": ("labels-damaged", {"relabelled": 0.97, "got": 0.57, "possible": 0.52, "repeats": 0.4, "mirrored": 0.9, "rows": 900,
        "evaluation": {"rows": 300, "shared": 0}, "score__evaluation": 0.55, "reference__evaluation_gain": 0.5, "reference__agreement": 20.0}),
    "softmax over the batch": ("output-activation", {"loss__kind": "nll_loss", "loss__activation": "log_softmax", "loss__axis": 0, "loss__prediction_shape": (32, 3)}),
    "kl_div of probabilities": ("output-activation", {"loss__kind": "kl_div", "loss__activation": "softmax", "loss__prediction_max": 0.8}),
    "kl_div of raw outputs": ("loss-mismatch", {"loss__kind": "kl_div", "loss__prediction_max": 3.0}),
    "a detached encoder": ("optimizer-params", {"got": 0.6, "optimiser__unreached": ["encoder.weight"], "optimiser__unreached_elements": 60}),
    "all unknown words": ("inputs-constant", {"input__kind": "codes", "input__codes": 2, "modules__embeddings": 30}),
    "evaluation rows left unscaled": ("input-scale", {"score__evaluation": -1.0, "evaluation": {"rows": 200, "shared": 0, "shift": 200.0, "scale": 400.0}}),
    "a penalty by hand": ("over-regularised", {"got": 0.4, "custom__structure": {"penalised": 6}, "replays": {"same": {"held_out": 0.93}}}),
    "a divergence divided by its columns": ("loss-reduction", {"got": 0.9, "loss__kind": "kl_div", "loss__activation": "log_softmax", "task__columns": 24,
        "gains": {"summed-over-columns": {"gain": 0.05, "z": 4.0, "least": 0.03}}}),
    "factors that sleep": ("bad-init", {"got": 0.5, "weights__matrices": [
        {"name": n, "norm": w, "after": w, "constant": w == 0, "rows_equal": w == 0, "units": 8, "mean": 0.0, "std": w, "gain": w, "place": None}
        for n, w in (("0.base", 1.0), ("0.a", 0.0), ("0.b", 0.0))]}),
    "a penalty that costs a little": ("over-regularised", {"got": 0.86, "custom__structure": {"penalised": 3}, "custom__penalty_share": 0.6, "replays": {"same": {"held_out": 0.95}}}),
    "saturated units say the same of all rows": ("input-scale", {"got": 0.48, "behaviour": {"bend": 0.0, "own": 0.0}, "input__max": 1145.0, "input__rms": 300.0, "input__column_std_max": 104.0,
        "input__column_mean_max": 900.0, "replays": {"same": {"held_out": 0.44}, "scale-inputs": {"held_out": 0.93}}}),
    "a tiny schedule from the first step": ("schedule", {"got": 0.4, "optimiser__lr": 1.0, "replays": {"same": {"held_out": 0.4}, "flat-rate": {"held_out": 0.95}}}),
    "a sigmoid before targets of both signs": ("output-activation", {"loss__kind": "mse_loss", "loss__activation": "sigmoid", "got": 0.0, "possible": 0.02, "score__constant": 0.0,
        "task": {"kind": "regression", "classes": 0, "columns": 1, "classification": False, "width": 1},
        "target": {"min": -1.0, "max": 1.0, "low": -0.98, "high": 0.98, "std": 0.7, "nonfinite": 0.0, "values": 100, "integers": False}}),
    "a likelihood by hand of class numbers": ("loss-mismatch", {"loss__kind": None, "custom__logged": "sigmoid", "got": float("nan"),
        "task": {"kind": "regression", "classes": 0, "columns": 1, "classification": False, "width": 1},
        "target": {"min": 0.0, "max": 9.0, "low": 0.0, "high": 9.0, "std": 2.8, "nonfinite": 0.0, "values": 10, "integers": True}}),
    "statistics of the last batch": ("batchnorm", {"got": 0.92, "score__train_in_train_mode": 0.985, "modules__batchnorm": [{"name": "1", "momentum": 0.99, "place": None}]}),
    "a distance that is fled": ("gradient-ascent", {"loss__kind": None, "got": float("nan"), "custom__structure": {"negated": True, "shuns": True},
        "loss": -np.geomspace(1.0, 1e5, 200)}),
    "weights by hand next to zero": ("bad-init", {"loss": np.full(200, 0.693), "got": float("nan"), "weights__matrices": [], "custom__gains": [0.02, 0.03]}),
    "a random body is frozen": ("optimizer-params", {"optimiser__frozen": ["body.weight"], "optimiser__frozen_elements": 95, "got": 0.5,
        "replays": {"same": {"held_out": 0.5}, "all-parameters": {"held_out": 0.8}}}),
    "dropouts that add up": ("over-regularised", {"got": 0.7, "modules__dropout": [{"name": str(i), "p": 0.5, "place": None} for i in range(4)],
        "replays": {"same": {"held_out": 0.7}, "no-dropout": {"held_out": 0.93}}}),
    "turned pictures that tell less": ("augmentation", {"got": 0.7, "possible": 0.88, "repeats": 0.3, "mirrored": 0.99, "rows": 3500,
        "evaluation": {"rows": 400, "shared": 0}, "score__evaluation": 0.69, "reference__evaluation_gain": 0.55}),
    "shared rows": ("split-leak", {"evaluation": {"shared": 50, "rows": 100}}),
    "a rare class never named": ("class-imbalance", {"rows": 3400, "target__shares": [0.97, 0.03], "score__balanced": 0.5, "score__rare_found": 0.0,
        "score__balanced_if_even": 0.68, "reference__balanced": 0.5}),
    "told roughly where it can be told exactly": ("target-scale", {"got": 0.9, "possible": 0.9995, "score__constant": 0.0, "target__std": 3000.0, "loss__kind": "mse_loss",
        "task": {"kind": "regression", "classes": 0, "columns": 1, "classification": False, "width": 1}, "reference__constant": 0.0,
        "replays": {"same": {"held_out": 0.7}, "scale-targets": {"held_out": 0.997}}}),
    "one probability among several labels": ("loss-mismatch", {"task": {"kind": "multilabel", "classes": 2, "columns": 8, "classification": True, "width": 8}}),
    "shuffled apart": ("labels-damaged", {"got": 0.77, "possible": 0.41, "rows": 250, "score__evaluation_z": 1.0, "origin": {"shuffled_apart": Place(line=27)}}),
    "pixels divided as whole numbers": ("inputs-constant", {"input__binary": True, "input__mean": 0.01, "origin": {"divides_bytes": Place(line=9)}}),
    "of no use on new rows": ("overfitting", {"got": 0.99, "possible": 0.8, "score__evaluation": 0.42}),
    "a ReLU by hand before targets of both signs": ("output-activation", {"task": None, "got": float("nan"), "custom__reach": {
        "activation": "relu", "beyond": 0.5, "low": -2.0, "high": 2.0}}),
    "the cosine itself is minimised": ("gradient-ascent", {"loss__kind": None, "got": float("nan"), "custom__similarity": 1, "loss": np.linspace(0.0, -0.95, 200)}),
    "a summed term drowns the error": ("loss-reduction", {"got": -0.03, "score__constant": 0.0, "score__outputs_z": 0.3, "linear_copy": 0.6, "trained_steps": 300,
        "task": {"kind": "copy", "classes": 0, "columns": 64, "classification": False, "width": 64}, "loss__kind": "binary_cross_entropy",
        "custom__structure": {"operations": ["Add", "BinaryCrossEntropy", "Mul", "Sum"]}}),
}  # fmt: skip


CONTROLS: dict[str, dict[str, Any]] = {
    "a dead layer beside a living branch": {"backwards": 300, "units": {"first": [{"kind": "relu", "dead": 1.0, "units": 8}, {"kind": "linear", "apart": 0.4, "max": 4.6}], "last": [{"kind": "relu", "dead": 1.0, "units": 8}, {"kind": "linear", "apart": 1.2, "max": 4.6}]}},
    "a dead layer that came to life": {"backwards": 300, "units": {"first": [{"kind": "relu", "dead": 1.0, "units": 8}, {"kind": "linear", "apart": 0.0, "max": 4.6}], "last": [{"kind": "relu", "dead": 1.0, "units": 8}, {"kind": "linear", "apart": 1.2, "max": 4.6}]}},
    "units that were drawn apart by dropout": {"weights__matrices": [
        {"name": n, "units": 8, "constant": True, "rows_equal": True, "place": None, "gain": 1.3, "mean": 0.5, "change": 0.2, "after": 2.0, "spectral": 1.8}
        for n in ("0.weight", "2.weight")]},
    "branches that start at zero": {"weights__matrices": [
        {"name": n, "units": 8, "constant": True, "rows_equal": True, "place": None, "gain": 0.0, "mean": 0.0, "change": 0.2, "after": 2.0, "spectral": 2.0}
        for n in ("0.weight", "2.weight")]},
    "a first layer that is left as it was drawn": {"got": 0.94, "optimiser__forgotten": ["0.weight"], "optimiser__forgotten_elements": 90,
        "replays": {"same": {"held_out": 0.94}, "all-parameters": {"held_out": 0.95}}},
    "slow statistics of a long training": {"got": 0.9, "score__train_in_train_mode": 0.94, "trained_steps": 4000.0,
        "modules__batchnorm": [{"name": "1", "momentum": 0.003, "place": None}]},
    "usual dropout where no score tells": {"got": float("nan"), "dropouts": [(0.5, True, True, Place(line=3)), (0.5, True, True, Place(line=4))]},
    "rates for a Poisson loss of rates": {"got": float("nan"), "loss__kind": "poisson_nll_loss", "loss__activation": "exp", "loss__kwargs": {"log_input": False},
        "custom__structure": {"operations": ["Mean", "Sub", "Mul", "Log", "Exp", "Squeeze"]}},
    "an unusual rate that learns": {"optimiser__class": "Adadelta", "optimiser__lr": 1e-3},
    "a posterior that speaks": {"got": 0.57, "possible": float("nan"), "score__constant": 0.0, "score__outputs_z": 55.0, "linear_copy": 0.64, "trained_steps": 1400,
        "task": {"kind": "copy", "classes": 0, "columns": 64, "classification": False, "width": 64}, "loss__kind": "binary_cross_entropy_with_logits",
        "custom__structure": {"operations": ["Add", "BinaryCrossEntropyWithLogits", "Mul", "Sum"]}},
    "tokens masked anew": {"task__kind": "sequence", "input__kind": "codes", "score__evaluation_z": float("nan"),
        "target__retargeted": 800, "target__retargeted_spread": 0.98, "target__retargeted_share": 0.4},
    "noise that helps": {"repeats": 0.0, "rows": 900, "evaluation": {"rows": 200, "shared": 0}, "score__evaluation": 0.9, "reference__evaluation_gain": 0.5},
    "fresh rows that teach": {"repeats": 0.0, "rows": 900, "evaluation": {"rows": 200, "shared": 0}, "score__evaluation": 0.6, "reference__evaluation_gain": 0.56},
    "nothing is chosen": {"selection": None},
    "labels taken before a shuffle that learn": {"rows": 250, "origin": {"left_behind": Place(line=3)}},
    "weights that even classes out": {"target__shares": [0.9, 0.1], "loss__weights": [0.55, 5.0], "loss__weighted": True},
    "a class left out": {"target__shares": [0.02, 0.5, 0.48], "loss__weights": [0.0, 1.0, 1.0], "loss__weighted": True},
    "a loss that weighs classes costs accuracy": {"got": 0.4, "possible": 0.85, "loss__weighted": True, "target__shares": [0.85, 0.15],
        "score__balanced": 0.8, "reference__balanced": 0.5, "score__evened": 0.8, "reference__evened": 0.5, "reference__constant": 0.85, "score__constant": 0.85},
    "rows that speak to each other and learn": {"behaviour": {"own": 1.0, "others": 0.4, "later": False, "bend": 0.4}, "input__dims": 3},
    "a straight map that is enough": {"behaviour": {"own": 1.0, "others": 0.0, "later": True, "bend": 0.0}},
    "a sigmoid before one target below": {"loss__kind": "mse_loss", "loss__activation": "sigmoid", "got": 0.5, "possible": 0.52, "score__constant": 0.0,
        "task": {"kind": "regression", "classes": 0, "columns": 1, "classification": False, "width": 1},
        "target": {"min": -0.3, "max": 1.0, "low": 0.05, "high": 0.95, "std": 0.3, "nonfinite": 0.0, "values": 100, "integers": False}},
    "statistics that fit": {"got": 0.98, "score__train_in_train_mode": 0.99, "modules__batchnorm": [{"name": "1", "momentum": 0.99, "place": None}]},
    "layers that take time first and get it": {"got": 0.75, "possible": 0.79, "input__dims": 3, "modules__sequence_first": True, "input__shape": [20, 6], "target__shape": [],
        "behaviour": {"own": 1.0, "others": 0.0, "later": False, "bend": 0.4}},
    "one long series, an answer to each step": {"got": 0.75, "possible": 0.79, "input__dims": 3, "modules__sequence_first": True, "input__shape": [1, 6], "target__shape": [1],
        "behaviour": {"own": 1.0, "others": 0.5, "later": True, "bend": 0.4}},
    "padding that is packed": {"padding": {"share": 0.8, "reached": 0.99}, "got": 0.45, "possible": 0.5},
    "padding in a training that learns": {"padding": {"share": 0.8, "reached": 1e-4}, "got": 0.94},
    "pictures turned everywhere": {"dense": {"turned": 0.5, "turned_in_evaluation": 0.5}},
    "one norm for two inputs alike": {"got": 0.94, "score__train_in_train_mode": 0.95, "modules__batchnorm": [{"name": "bn", "momentum": 0.1, "place": None, "uses": 2.0}]},
    "a reservoir that is frozen on purpose": {"optimiser__frozen": ["W"], "optimiser__frozen_elements": 95, "got": 0.93,
        "replays": {"same": {"held_out": 0.93}, "all-parameters": {"held_out": 0.93}}},
    "small weights by hand that learn": {"got": float("nan"), "weights__matrices": [], "custom__gains": [0.02, 0.03]},
    "a minus before a loss that got where others get": {"custom__structure": {"negated": True}},
    "a bound that is climbed": {"loss__kind": None, "optimiser__maximize": True, "got": float("nan")},
    "unpaired batches of a normalised net": {"batch_size": 0, "got": float("nan"), "modules__batchnorm": [{"name": "1", "momentum": 0.1, "place": None}]},
    "rare and found": {"rows": 3000, "target__shares": [0.97, 0.03], "score__balanced": 0.74, "score__rare_found": 0.5, "score__balanced_if_even": 0.95},
    "rare and hard": {"rows": 3000, "target__shares": [0.97, 0.03], "score__balanced": 0.6, "score__rare_found": 0.2, "score__balanced_if_even": 0.7},
    "kept shuffled order": {"repeats": 0.7, "rows": 900},
    "the larger class alone is named, but outputs tell": {"got": 0.75, "possible": 0.79, "score__constant": 0.75, "score__outputs_z": 7.0,
        "reference__surest": 9.0, "input__rms": 9000.0, "replays": {"same": {"held_out": 0.75}, "scale-inputs": {"held_out": 0.79}}},
    "mirrored and learned": {"repeats": 0.4, "mirrored": 0.9, "rows": 900, "evaluation": {"rows": 300, "shared": 0}, "score__evaluation": 0.75,
        "got": 0.72, "possible": 0.7, "reference__evaluation_gain": 0.45},
    "softmax over classes": {"loss__kind": "nll_loss", "loss__activation": "log_softmax", "loss__axis": 1, "loss__prediction_shape": (32, 3)},
    "kl_div of log-probabilities": {"loss__kind": "kl_div", "loss__activation": "log_softmax", "loss__axis": 1, "loss__prediction_max": -0.01},
    "parts that are not used": {"optimiser__unreached": ["pooler.weight"], "optimiser__unreached_elements": 60},
    "bits": {"input__kind": "codes", "input__codes": 2, "modules__embeddings": 2},
    "other rows, as good": {"score__evaluation": 0.93, "evaluation": {"rows": 200, "shared": 0, "shift": 4.0, "scale": 1.0}},
    "last steps that happened to be bad": {"got": 0.86, "replays": {"same": {"held_out": 0.95}}},
    "a penalty that helps": {"custom__structure": {"penalised": 6}, "replays": {"same": {"held_out": 0.93}}},
    "users and items recur": {"evaluation": {"shared": 50, "rows": 100, "recur": True}},
    "a rare class that outputs do not tell": {"rows": 3400, "target__shares": [0.97, 0.03], "score__balanced": 0.5, "score__rare_found": 0.0,
        "score__balanced_if_even": 0.58, "reference__balanced": 0.5},
    "told roughly, and nothing known to cure it": {"got": 0.9, "possible": 0.9995, "score__constant": 0.0, "loss__kind": "mse_loss",
        "task": {"kind": "regression", "classes": 0, "columns": 1, "classification": False, "width": 1}, "reference__constant": 0.0,
        "replays": {"same": {"held_out": 0.9}, "scale-targets": {"held_out": 0.93}}},
    "each label by itself": {"task": {"kind": "multilabel", "classes": 2, "columns": 8, "classification": True, "width": 8},
        "loss__kind": "binary_cross_entropy_with_logits"},
    "two files shuffled, each with its labels": {"origin": {"shuffled_apart": Place(line=27)}, "score__evaluation_z": 12.0},
    "words as zeros and ones": {"input__binary": True, "input__mean": 0.01, "origin": {}},
    "pictures in black and white on purpose": {"input__binary": True, "input__mean": 0.13, "origin": {"divides_bytes": Place(line=9)}},
    "fits more than it tells": {"got": 0.99, "possible": 0.8, "score__evaluation": 0.7},
    "a ReLU by hand before counts": {"task": None, "got": float("nan"), "custom__reach": {"activation": "relu", "beyond": 0.0, "low": 0.0, "high": 9.0}},
    "minus the cosine is minimised": {"loss__kind": None, "got": float("nan"), "custom__similarity": -1, "loss": np.linspace(0.0, -0.95, 200)},
    "a copy that learned": {"got": 0.5, "possible": float("nan"), "score__constant": 0.0, "score__outputs_z": 40.0, "linear_copy": 0.6, "trained_steps": 300,
        "task": {"kind": "copy", "classes": 0, "columns": 64, "classification": False, "width": 64}, "loss__kind": "binary_cross_entropy",
        "custom__structure": {"operations": ["Add", "BinaryCrossEntropy", "Mul", "Sum"]}},
    "an earlier task's rows": {"got": 0.33, "score__evaluation": 0.94, "evaluation": {"rows": 300, "shared": 0}},
    "a batch of everything that new points follow": {"batch_size": 20, "rows": 20, "order": {"batches": 50, "distinct": 1}, "score__evaluation": 0.99,
        "evaluation": {"rows": 200, "shared": 0}},
}  # fmt: skip


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_left_alone(name: str) -> None:
    assert [d.code for d in diagnose(trace(**CONTROLS[name])) if d.severity != "note"] == []


def test_a_loss_that_falls_while_the_error_grows_is_climbed() -> None:
    facts: dict[str, Any] = {
        "loss__kind": None,
        "score__train_at_start": 0.3,
        "got": 0.0,
        "score__train_z": -9.0,
    }
    found = diagnose(trace(loss=np.linspace(1.0, -40.0, 200), **facts))
    assert found[0].code == "gradient-ascent"
    facts |= {
        "score__train_at_start": -0.9,
        "got": -1.0,
        "score__error_growth": 50.0,
        "task__classification": False,
    }
    found = diagnose(trace(loss=np.linspace(1.0, -40.0, 200), **facts))
    assert found[0].code == "gradient-ascent"
    assert "gradient-ascent" not in codes(trace(loss=np.linspace(1.0, 0.9, 200), **facts))


def test_labels_named_worse_than_blindly_are_climbed_whatever_the_number_of_classes() -> None:
    facts: dict[str, Any] = {
        "loss__kind": None,
        "score__train_at_start": 0.1,
        "score__constant": 0.11,
        "got": 0.05,
    }
    falling = np.linspace(-2.0, -15.0, 200)
    assert codes(trace(loss=falling, score__train_z=-7.0, **facts))[0] == "gradient-ascent"
    assert "gradient-ascent" not in codes(trace(loss=falling, score__train_z=-0.5, **facts))


def test_a_change_gets_no_credit_for_what_the_same_training_does_again() -> None:
    facts: dict[str, Any] = {"got": 0.1, "input__rms": 500.0, "input__column_std_max": 500.0}
    both = {"same": {"held_out": 0.94}, "scale-inputs": {"held_out": 0.95}}
    assert Case(trace(**facts, replays=both)).cure("scale-inputs") < 0.05
    alone = {"same": {"held_out": 0.1}, "scale-inputs": {"held_out": 0.95}}
    assert Case(trace(**facts, replays=alone)).cure("scale-inputs") > 0.9


@pytest.mark.parametrize(
    ("operation", "half", "code"), [("div", False, "nonfinite"), ("pow", True, "half-precision-overflow")]
)
def test_an_operation_inside_of_the_model_is_named_with_its_line(
    operation: str, half: bool, code: str
) -> None:
    where = Place(file="net.py", line=7)
    found = {"operation": operation, "why": "division by zero", "place": where, "dtype": "float32"}
    detail = {"weights_finite": True, "inputs_finite": True, "half": half, "operation": found}
    event = Event("nonfinite", 1, "loss became nan", detail=detail)
    facts: dict[str, Any] = {"input__rms": 7.0, "input__column_std_max": 7.0, "outputs__finite": False}
    first = diagnose(trace(got=0.0, loss=[np.nan] * 20, events=(event,), **facts))[0]
    assert (first.code, first.where.line) == (code, 7)


def with_series(made: Trace, **series: float) -> Trace:
    for name, value in series.items():
        made.series[name] = np.full(len(made.at), value)
    return made


def test_gradients_cleared_before_the_step_and_losses_cut_off_are_told_apart() -> None:
    facts: dict[str, Any] = {"got": 0.4, "weights__moved": 0.0}
    cleared = with_series(trace(**facts), gradients_at_step=0.0, gradients_after_backward=1.0)
    assert codes(cleared)[0] == "missing-step"
    cut = with_series(
        trace(**facts, optimiser__unreached_elements=100), gradients_at_step=0.0, gradients_after_backward=0.0
    )
    assert codes(cut)[0] == "optimizer-params"
    constant = with_series(
        trace(**facts, optimiser__unreached_elements=0), gradients_at_step=0.0, gradients_after_backward=0.0
    )
    assert "optimizer-params" not in codes(constant)
    sound = with_series(trace(), gradients_at_step=1.0, gradients_after_backward=1.0)
    assert codes(sound) == []


def test_clipping_to_nothing_is_named_where_steps_feel_it() -> None:
    facts: dict[str, Any] = {"got": 0.4, "optimiser__class": "SGD", "optimiser__lr": 0.1}
    assert codes(with_series(trace(**facts), clipped=5000.0))[0] == "lr-too-low"
    assert codes(with_series(trace(**{**facts, "got": 0.95}), clipped=5000.0)) == []


def test_a_loss_that_rises_to_the_opposite_is_climbed_whoever_steps() -> None:
    facts: dict[str, Any] = {"got": 0.05, "by_hand": True, "optimiser": {"known": False}}
    assert (
        codes(trace(loss=np.linspace(1.0, 90.0, 200), score__train_z=-20.0, **facts))[0] == "gradient-ascent"
    )
    assert "gradient-ascent" not in codes(
        trace(loss=np.linspace(1.0, 90.0, 200), score__train_z=0.1, **facts)
    )


def test_going_backward_twice_is_seen() -> None:
    one = trace()
    one.series["backward_twice"] = np.where(np.arange(200) < 9, 1.0, np.nan)
    assert codes(one) == ["loss-reduction"]
    assert "twice" in diagnose(one)[0].cause


def test_the_control_is_healthy() -> None:
    assert diagnose(trace()) == []


@pytest.mark.parametrize("name", FAULTS)
def test_an_injected_fault_is_named_first(name: str) -> None:
    code, facts = FAULTS[name]
    found = diagnose(trace(**facts))
    assert found[0].code == code
    assert not is_healthy(found)
    assert found[0].prescription.text


def test_bad_input_is_named_before_what_follows_from_it() -> None:
    event = Event("nonfinite", 3, "loss became nan", detail={"weights_finite": True, "inputs_finite": False})
    found = diagnose(trace(got=-1.0, loss=[1.0, 0.9, *[np.nan] * 50], events=(event,), outputs__finite=False))
    assert found[0].code == "nonfinite"
    assert found[0].where.step == 3
    assert found[0].cause == "inputs are not finite"


def test_logarithm_of_zero_is_named() -> None:
    operation = {"operation": "log", "why": "logarithm of zero", "minimum": 0.0}
    event = Event(
        "nonfinite",
        1,
        "loss became inf",
        detail={"weights_finite": True, "inputs_finite": True, "operation": operation},
    )
    found = diagnose(trace(got=-1.0, loss=[np.inf] * 20, events=(event,)))
    assert found[0].code == "nonfinite"
    assert "logarithm of zero" in found[0].cause


@pytest.mark.parametrize(("grows", "operation"), [(False, "sqrt"), (True, "growth")])
def test_a_steep_operation_is_named_without_a_score_unless_numbers_grew(grows: bool, operation: str) -> None:
    event = Event("nonfinite", 12, "loss became nan", detail={"weights_finite": False})
    loss = [*(1.0 * 3.0**i if grows else 1.0 - 0.02 * i for i in range(11)), *[np.nan] * 30]
    facts = trace(loss=loss, events=(event,), risky={"sqrt": Place(), "div": Place()})
    del facts.facts["task"], facts.facts["score"], facts.facts["reference"], facts.facts["outputs"]
    found = diagnose(facts)
    assert found[0].code == "nonfinite"
    assert found[0].evidence["operation"] == operation


def test_overfitting_and_noise_are_notes() -> None:
    found = diagnose(trace(got=0.99, possible=0.7, score__evaluation=0.7))
    assert [d.code for d in found if d.severity != "note"] == []
    assert "overfitting" in [d.code for d in found]
    found = diagnose(trace(got=0.62, possible=0.6))
    assert [d.code for d in found] == ["noise-limited"]
    assert is_healthy(found)


def test_a_frozen_backbone_that_works_is_healthy() -> None:
    assert (
        codes(trace(optimiser__frozen=["0.weight"], optimiser__frozen_elements=90, optimiser__inside=10))
        == []
    )


def test_a_large_rate_that_works_is_healthy() -> None:
    assert codes(trace(optimiser__lr=5.0)) == []


@pytest.mark.parametrize(
    "facts",
    [
        {"signal": {"z": 3.1, "rows": 1000, "correlation_below": 0.13}},
        {"signal": {"z": 0.8, "rows": 200, "correlation_below": 0.1}},
        {"signal": {"z": 1.5, "rows": 500, "correlation_below": 0.17}},
        {"score__evaluation_z": 4.0},
        {"reference__surest": 3.0},
        {"input__dims": 3},
        {"epochs": 1.0},
        {"loss__prediction_shape": (32, 1)},
        {"replays": {"sound-1e-3": {"held_out": 0.6}}},
    ],
)
def test_labels_with_some_signal_or_too_few_rows_are_left_alone(facts: dict[str, Any]) -> None:
    none = {"signal": {"z": 0.8, "rows": 1000, "correlation_below": 0.1}, "reference__surest": 0.5}
    assert "labels-damaged" not in codes(trace(got=0.42, possible=0.41, **{**none, **facts}))


@pytest.mark.parametrize(("lr", "gain", "z"), [(1e-3, 0.08, 4.0), (1.0, 0.08, 2.0), (1.0, 0.02, 5.0)])
def test_a_rate_without_proof_is_left_alone(lr: float, gain: float, z: float) -> None:
    assert codes(trace(optimiser__lr=lr, rate_gains={"0.1": {"gain": gain, "z": z}})) == []


def test_every_diagnosis_is_ordered_worst_first_and_json_ready() -> None:
    import json

    facts = {
        k: v
        for _, (_, f) in FAULTS.items()
        for k, v in f.items()
        if k in ("loss__activation", "target__present")
    }
    found = diagnose(trace(got=0.4, **facts))
    assert len(found) >= 2
    rank = {"error": 0, "warning": 1, "note": 2}
    keys = [(rank[d.severity], -d.confidence) for d in found]
    assert keys == sorted(keys)
    json.dumps([d.to_dict() for d in found], allow_nan=False)


def test_an_empty_trace_finds_nothing() -> None:
    empty = Trace("step", np.zeros(0), {}, {}, (), {})
    assert diagnose(empty) == []
    assert symptoms(empty) == []
    assert len(RULES) > 20


def english(text: str) -> list[str]:
    """Return the runs of four and more English words, but for lines of the user's code (indented)."""
    lines = (line for line in text.splitlines() if not line.startswith("    "))
    return [run for line in lines for run in re.findall(r"[A-Za-z]+(?:,? [A-Za-z']+){3,}", line)]


@pytest.mark.parametrize("name", FAULTS)
def test_a_verdict_in_chinese_has_no_english_sentence(name: str) -> None:
    _ = Words("zh")
    found = [d.to_dict() for d in diagnose(trace(**FAULTS[name][1]))]
    assert found
    report = {"healthy": False, "diagnoses": found, "repair": None}
    assert english(verdict_text(report, _=_)) == []
    page = doctor_page(trace(), report, "a.py", lang="zh")
    assert english(re.sub(r"<(script|style|pre).*?</\1>|<[^>]*>", "\n", page, flags=re.DOTALL)) == []
    for one in found:
        for text in (one["cause"], one["prescription"]["text"]):
            assert re.search("[\u4e00-\u9fff]", told(text, _)), text
        # The JSON report keeps plain English.
        assert json.loads(json.dumps(one["cause"])) == str(one["cause"])
        assert not re.search("[\u4e00-\u9fff]", json.dumps(one, ensure_ascii=False))


def test_what_a_rule_says_is_written_so_that_it_can_be_translated() -> None:
    """Causes and prescriptions are say("…"), or (causes) plain text that the extraction finds: no f-strings."""
    rules = Path(soundfit.doctor.rules.__file__).parent
    lost = []
    for path in sorted(rules.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            named: dict[str, list[ast.expr]] = {}
            for node in ast.walk(function):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    named.setdefault(node.targets[0].id, []).append(node.value)
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "diagnose":
                    cause, fix = call.args[1], call.args[3]
                    lost += [f"{path.name}:{call.lineno}"] * (not _found(cause, named, plain=True))
                    lost += [f"{path.name}:{call.lineno}"] * (not _found(fix, named, plain=False))
    assert lost == []


def _found(text: ast.expr, named: dict[str, list[ast.expr]], *, plain: bool) -> bool:
    """Return whether the extraction of messages finds a text, wherever it is assigned."""
    if isinstance(text, ast.IfExp):
        return _found(text.body, named, plain=plain) and _found(text.orelse, named, plain=plain)
    if isinstance(text, ast.Name):
        return bool(named.get(text.id)) and all(_found(v, {}, plain=False) for v in named[text.id])
    if isinstance(text, ast.Call):
        return getattr(text.func, "id", "") == "say" and isinstance(text.args[0], ast.Constant)
    return plain and isinstance(text, ast.Constant)


HOVERS = [0.5, 0.49, 0.55, 0.54, 0.6, 0.59, 0.65, 0.64, 0.7, 0.69, 0.75, 0.76, 0.78, 0.8]


@pytest.mark.parametrize(
    ("mode", "numbers", "score", "fell", "named"),
    [("min", [0.5, 0.6, 0.65, 0.7, 0.8], 0.8, True, True), ("min", [50.0, 60.0, 65.0, 70.0, 80.0], 0.8, True, True),
     ("max", [1.5, 1.2, 1.0, 0.9, 0.8], 0.8, True, True), ("max", [0.5, 0.6, 0.65, 0.7, 0.8], 0.8, True, False),
     ("min", [1.5, 1.2, 1.0, 0.9, 0.8], 0.8, True, False), ("min", [0.5, 0.6, 0.65, 0.7, 0.9], 0.75, True, False),
     ("min", [0.5, 0.6, 0.65, 0.7, 0.8], 0.8, False, False), ("min", [0.5, 0.4, 0.65, 0.7, 0.8], 0.8, True, False),
     ("min", [0.45, 0.44, *HOVERS], 0.8, True, True), ("min", [0.45, 0.44, *HOVERS], 0.77, True, False),
     ("min", [0.45, *HOVERS, 0.44, 0.8], 0.8, True, False)],
)  # fmt: skip
def test_a_scheduler_that_watches_the_wrong_way(
    mode: str, numbers: list[float], score: float, fell: bool, named: bool
) -> None:
    every = 200 // len(numbers)
    heard = Plateau(mode, Place(), numbers, [every * (k + 1) for k in range(len(numbers))])
    made = trace(
        plateaus=[heard.facts([1.0 - k / 250 for k in range(200)])], score__evaluation_by_script=score
    )
    n = len(made.series["learning_rate"])
    made.series["learning_rate"] = np.where(np.arange(n) < n // 3, 1e-3, 1e-5 if fell else 1e-3)
    assert (codes(made)[:1] == ["schedule"]) == named


def test_outputs_that_move_away_while_an_even_error_falls_are_no_predictions() -> None:
    told = {
        "loss__kind": None,
        "task__classification": False,
        "task__kind": "regression",
        "score__constant": 0.0,
    }
    one = trace(
        got=-0.5,
        possible=0.99,
        score__train_at_start=0.9,
        custom={"structure": {"even": True, "negated": False}},
        **told,
    )
    assert not Case(one).sick
    assert not [d for d in diagnose(one) if d.severity != "note"]
    for start, even, negated in ((-0.4, True, False), (0.9, None, False), (0.9, True, True)):
        other = trace(
            got=-0.5,
            possible=0.99,
            score__train_at_start=start,
            custom={"structure": {"even": even, "negated": negated}},
            **told,
        )
        assert Case(other).sick


def test_dropouts_that_leave_hardly_anything_are_named_where_the_model_fits_worse() -> None:
    drops = [{"p": 0.8, "name": "drop", "place": Place()} for _ in range(2)]
    assert codes(trace(got=0.9, possible=0.96, modules__dropout=drops))[:1] == ["over-regularised"]
    assert "over-regularised" not in codes(trace(got=0.96, possible=0.96, modules__dropout=drops))
    mild = [{**drops[0], "p": 0.7}]
    assert "over-regularised" not in codes(trace(got=0.9, possible=0.96, modules__dropout=mild))


@pytest.mark.parametrize(("ratio", "first"), [(4.5, "lr-too-high"), (0.05, "target-scale")])
def test_steps_over_whole_weights_are_a_rate_before_they_are_a_scale(ratio: float, first: str) -> None:
    numbers = {"kind": "regression", "classes": 0, "columns": 1, "classification": False, "width": 1}
    replays = {"same": -1.0, "scale-targets": 0.99, "rate-down-100": 0.985}
    found = trace(
        got=-1.0, possible=0.99, score__constant=0.0, reference__constant=0.0, task=numbers, loss__kind="mse_loss",
        optimiser__class="SGD", optimiser__lr=0.1, target__std=37.0, target__mean=41.0,
        replays={name: {"held_out": value} for name, value in replays.items()},
    )  # fmt: skip
    found.series["update_ratio"] = np.full(200, ratio)
    assert codes(found)[0] == first


@pytest.mark.parametrize(
    ("decay", "flat", "named"),
    [(0.1, 0.92, True), (0.1, 0.62, False), (0.005, 0.92, False)],
    ids=["a tenth soon", "a flat rate does no better", "still near its top"],
)
def test_a_rate_that_is_soon_a_tenth_is_named_where_a_flat_one_learns(
    decay: float, flat: float, named: bool
) -> None:
    replays = {"same": {"held_out": 0.55}, "flat-rate": {"held_out": flat}}
    made = trace(got=0.6, optimiser__lr=1e-3, replays=replays)
    made.series["learning_rate"] = 1e-3 / (1 + decay * np.arange(len(made.series["learning_rate"])))
    sure = [d.code for d in diagnose(made) if d.confidence > 0.5]
    assert (sure == ["schedule"]) == named


@pytest.mark.parametrize(
    ("steps", "named"), [(60, True), (120, False)], ids=["in fewer steps", "in more steps"]
)
def test_time_that_ran_out_excuses_no_training_that_is_beaten_in_fewer_steps(steps: int, named: bool) -> None:
    replays = {
        "same": {"held_out": 0.5, "steps": 80, "cut": 1.0},
        "rate-up-10": {"held_out": 0.95, "steps": steps, "cut": 1.0},
    }
    found = codes(trace(got=0.84, possible=0.95, hurried=True, optimiser__lr=1e-5, replays=replays))
    assert bool(found) is named

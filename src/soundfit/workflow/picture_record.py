"""Picture record: what a run keeps of its pictures for the report. Samples, mistakes with what the net
looked at, and labels in doubt, as small pictures in ``pictures.json``; all doubts in ``label-doubts.csv``.

Validated pictures alone are shown as mistakes or doubts; nothing here reads the sealed ones.
"""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from PIL import Image

from soundfit.data.pictures import Pictures
from soundfit.models.backbone import Backbone
from soundfit.models.grad_cam import grad_cam, with_maps
from soundfit.study.cross_validation import StudyRun
from soundfit.study.label_errors import suspected_labels
from soundfit.study.tensors import TensorViews

__all__ = ["write_picture_record"]

_SAMPLES_A_CLASS, _MOST_CLASSES = 6, 12
_MISTAKES, _DOUBTS = 16, 16
# Longer side of a picture in the report: small ones are enlarged by the page.
_SIDE = 96


def write_picture_record(
    folder: Path,
    *,
    pictures: Pictures,
    views: TensorViews,
    study: StudyRun,
    backbone: Backbone | None = None,
) -> None:
    """Write ``pictures.json`` and ``label-doubts.csv``, and name files in the tables of rows.

    ``backbone`` is the frozen net whose features the members read, where there is one.
    """
    names = pd.Series(pictures.table.frame["file"].to_numpy(), index=pictures.table.file_rows)
    for table in ("predictions", "split"):
        path = folder / f"{table}.parquet"
        if path.is_file():
            frame = pd.read_parquet(path)
            frame.insert(1, "file", names.reindex(frame["row"]).to_numpy())
            frame.to_parquet(path, index=False)
    record: dict[str, Any] = {"samples": _samples(pictures, views)}
    predicted = study.result.predictions
    if views.table.task == "classification" and predicted is not None:
        record["mistakes"] = _mistakes(pictures, views, study, predicted, backbone)
        doubts = suspected_labels(views.target, predicted)
        classes = views.table.classes
        listed = pd.DataFrame(
            {
                "file": views.table.frame["file"].iloc[doubts.rows].to_numpy(),
                "label": [str(classes[c]) for c in views.target[doubts.rows]],
                "suggested": [str(classes[c]) for c in doubts.suggested],
                "probability": predicted[doubts.rows, doubts.suggested],
                "probability_of_label": predicted[doubts.rows, views.target[doubts.rows]],
            }
        )
        listed.to_csv(folder / "label-doubts.csv", index=False)
        record["doubts"] = {
            "n": len(doubts),
            "examined": doubts.examined,
            "first": [
                {**one, "picture": _png(pictures.pixels[views.rows[row]])}
                for row, one in zip(doubts.rows, listed.head(_DOUBTS).to_dict("records"), strict=False)
            ],
        }
    (folder / "pictures.json").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")


def _samples(pictures: Pictures, views: TensorViews) -> list[dict[str, Any]]:
    """Return a few training pictures of each class (of the largest classes), or of low to high targets."""
    target = views.target
    rng = np.random.default_rng(0)
    if views.table.task == "regression":
        order = np.argsort(target, kind="stable")
        shown = order[np.linspace(0, len(order) - 1, min(_MOST_CLASSES, len(order))).round().astype(int)]
        return [
            {"name": f"{target[i]:.4g}", "n": 1, "pictures": [_png(pictures.pixels[views.rows[i]])]}
            for i in shown
        ]
    counts = np.bincount(target, minlength=len(views.table.classes))
    found = []
    for c in np.sort(np.argsort(-counts, kind="stable")[:_MOST_CLASSES]):
        mine = np.flatnonzero(target == c)
        drawn = np.sort(rng.choice(mine, min(_SAMPLES_A_CLASS, len(mine)), replace=False))
        found.append(
            {
                "name": str(views.table.classes[int(c)]),
                "n": int(counts[c]),
                "pictures": [_png(pictures.pixels[views.rows[i]]) for i in drawn],
            }
        )
    return found


def _mistakes(
    pictures: Pictures,
    views: TensorViews,
    study: StudyRun,
    predicted: NDArray[np.float64],
    backbone: Backbone | None,
) -> list[dict[str, Any]]:
    """Return the pictures that were predicted wrongly with most confidence, and what the net looked at."""
    known = np.isfinite(predicted).all(axis=1)
    said = np.where(known, np.nan_to_num(predicted).argmax(axis=1), views.target)
    wrong = np.flatnonzero(said != views.target)
    worst = wrong[np.argsort(-predicted[wrong, said[wrong]], kind="stable")][:_MISTAKES]
    nets = {m.fold: with_maps(o.module, backbone) for m, o in study.outcomes_of(study.result.chosen)}
    fold_of = np.full(len(views.target), -1)
    for k, fold in enumerate(views.folds):
        fold_of[fold.validation] = k
    classes = views.table.classes
    found = []
    for i in worst:
        pixels = pictures.pixels[views.rows[i]]
        one = {
            "file": str(views.table.frame["file"].iloc[i]),
            "label": str(classes[views.target[i]]),
            "prediction": str(classes[said[i]]),
            "probability": float(predicted[i, said[i]]),
            "picture": _png(pixels),
        }
        net = nets.get(int(fold_of[i]))
        if net is not None:
            maps = grad_cam(net, torch.from_numpy(np.array(pixels))[None], torch.tensor([int(said[i])]))
            one["looked_at"] = _png(_overlay(pixels, maps[0].numpy()))
        found.append(one)
    return found


def _overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the picture in grey, with what was looked at in orange."""
    grey = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    share = 0.65 * heat[..., None]
    return np.clip((1 - share) * grey + share * np.array([255.0, 120.0, 0.0]), 0, 255).astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> str:
    """Return a data URI of a picture, scaled down where it is large."""
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))
    picture.thumbnail((_SIDE, _SIDE))
    small = max(picture.size) <= 40
    stream = io.BytesIO()
    picture.save(stream, "PNG" if small else "JPEG", **({} if small else {"quality": 80}))
    kind = "png" if small else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(stream.getvalue()).decode("ascii")

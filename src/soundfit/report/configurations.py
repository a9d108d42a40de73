"""Configurations tried: members grouped into one line each, best first. Knows no page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from soundfit.report.run_view import RunView
from soundfit.report.words import Words

__all__ = [
    "HYPER_PARAMETERS",
    "by_architecture",
    "chosen_model",
    "configurations",
    "is_cut_short",
    "model_name",
]

CUT_SHORT = ("dropped", "interrupted")

HYPER_PARAMETERS = ("model", "width", "depth", "dropout", "weight_decay", "learning_rate")


def configurations(view: RunView, *, greater_is_better: bool) -> pd.DataFrame:
    """Return one row per configuration, best validation score first; empty where members are unknown.

    Columns: ``configuration``, those of :data:`HYPER_PARAMETERS` and ``parameters`` that are recorded,
    ``training``, ``validation`` (means over folds, each the mean over its seeds), ``se`` of the latter,
    ``best_epoch``, ``members``, ``failed`` and ``cut`` (how many of them failed, or were cut short by a
    budget or an interruption), ``whole`` (neither, on all folds), ``chosen``, ``solved`` (not trained) and
    ``near`` (whole and within one standard error of the best trained one). Configurations that are not whole
    sort last: their scores do not compare.
    """
    if not view.has("members", "configuration", "fold", "validation_score"):
        return pd.DataFrame()
    members = view.members.copy()
    for absent in {"training_score", "best_epoch"} - set(members.columns):
        members[absent] = float("nan")
    if "status" not in members:
        members["status"] = "done"
    if "chosen" not in members:
        members["chosen"] = False
    by_fold = members.groupby(["configuration", "fold"])[["training_score", "validation_score"]].mean()
    folds = by_fold.groupby("configuration")
    known = [name for name in (*HYPER_PARAMETERS, "parameters", "backbone") if name in members]
    each = members.groupby("configuration")
    table = each[known].first() if known else pd.DataFrame(index=each.size().index)
    table["training"] = folds["training_score"].mean()
    table["validation"] = folds["validation_score"].mean()
    table["se"] = folds["validation_score"].sem()
    table["best_epoch"] = each["best_epoch"].mean()
    table["members"] = each.size()
    table["failed"] = each["status"].agg(lambda status: int((status == "failed").sum()))
    table["cut"] = each["status"].agg(lambda status: int(status.isin(CUT_SHORT).sum()))
    table["chosen"] = each["chosen"].any().astype(bool)
    measured = folds["validation_score"].count()
    table["whole"] = (measured == measured.max()) & (table["failed"] == 0) & (table["cut"] == 0)
    table = table.reset_index().sort_values(
        ["whole", "validation"], ascending=[False, not greater_is_better], kind="stable", na_position="last"
    )
    # Nets of infinite width are partners in the final model, and nothing to choose from.
    table["solved"] = table["model"] == "infinite" if "model" in table else False
    candidates = table[~table["solved"]]
    best = (table if candidates.empty else candidates).iloc[0]
    reach = best["se"] if pd.notna(best["se"]) else 0.0
    lag = table["validation"] - best["validation"]
    table["near"] = table["whole"] & ~table["solved"] & ((-lag if greater_is_better else lag) <= reach)
    return table.reset_index(drop=True)


def is_cut_short(table: pd.DataFrame, values: Mapping[str, Any]) -> bool:
    """Return whether the configurations with these values are known and none of them is whole."""
    names = [name for name, value in values.items() if name in table and value is not None]
    if table.empty or not names:
        return False
    same = (table[names] == pd.Series({name: values[name] for name in names})).all(axis=1)
    return bool(same.any() and not table.loc[same, "whole"].any())


def by_architecture(table: pd.DataFrame) -> pd.DataFrame:
    """Return the best configuration of each architecture, smallest first; ``table`` is best first."""
    if table.empty or "parameters" not in table:
        return pd.DataFrame()
    shape = [name for name in ("model", "width", "depth", "backbone") if name in table]
    whole = table[table["whole"] & ~table["solved"] & table["parameters"].notna()]
    return whole.drop_duplicates(subset=[*shape, "parameters"]).sort_values("parameters", kind="stable")


def model_name(model: str, backbone: str, _: Words) -> str:
    """Return what a model is called: its family, and the pretrained net that it stands on, if any."""
    if not backbone:
        return model
    if model == "tuned":
        return _("all of {backbone}").format(backbone=backbone)
    return _("{model} on {backbone}").format(model=model, backbone=backbone)


def chosen_model(view: RunView, _: Words) -> str:
    """Return what the chosen model is called."""
    used = view.get("data", "backbone", "beside", "used", default=True)
    backbone = str(view.get("data", "backbone", "name", default="")) if used else ""
    return model_name(str(view.get("chosen", "model", default="–")), backbone, _)

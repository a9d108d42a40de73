"""Store: a predictor on disk as safetensors and JSON, and back. No pickle; everything read is checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from soundfit.artifact.any_predictor import AnyPredictor
from soundfit.artifact.description import (
    SCHEMA,
    checked_config,
    checked_configs,
    checked_weights,
    read_description,
    table_description,
)
from soundfit.artifact.picture_predictor import PicturePredictor, build_picture_predictor
from soundfit.artifact.predictor import Predictor, bare_modules
from soundfit.artifact.sequence_predictor import SequencePredictor, build_sequence_predictor
from soundfit.artifact.weights import read_weights
from soundfit.data.sequence_layout import Layout
from soundfit.data.target import TargetScale
from soundfit.errors import DataError, UsageError
from soundfit.models.backbone import Backbone
from soundfit.models.backbone_weights import parse_backbone
from soundfit.records import Config
from soundfit.records.said import say
from soundfit.study.backbone import TUNED
from soundfit.study.prediction_interval import PredictionInterval
from soundfit.study.temperature import LIMITS

__all__ = ["SCHEMA", "load_predictor", "save_predictor"]

#: What stands before the names of weights that all members share.
_SHARED = "backbone."
_MAX_WIDTH, _MAX_MEMBERS, _MAX_SIDE, _MAX_STEPS = 65_536, 1_000, 4_096, 100_000
#: What reading damaged or forged JSON and weights raises.
_DAMAGE = (SafetensorError, OSError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError)


def save_predictor(predictor: AnyPredictor, folder: Path) -> None:
    """Write ``model.safetensors`` and ``model.json`` into ``folder`` (made if missing).

    ``kind`` in model.json says what the model reads: ``table``, ``image`` with its ``shape``, or
    ``sequence`` with its ``layout``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"member{k}.{name}": tensor.contiguous()
        for k, module in enumerate(predictor.modules)
        for name, tensor in module.state_dict().items()
    }
    backbone = getattr(predictor, "backbone", None)
    if backbone is not None:
        # Once for all members.
        shared = backbone.state_dict()
        tensors |= {f"{_SHARED}{name}": tensor.contiguous() for name, tensor in shared.items()}
    save_file(tensors, str(folder / "model.safetensors"))
    (folder / "model.json").write_text(
        json.dumps(
            {"schema": SCHEMA, "kind": predictor.kind, **DESCRIBE[predictor.kind](predictor)},
            ensure_ascii=False,
        ),
        encoding="utf-8",
    )


def _describe_table(predictor: Predictor) -> dict[str, Any]:
    # Members of one fold or configuration share theirs: written once.
    encoders, encoder_of = _distinct(predictor.encoders)
    configs, config_of = _distinct(predictor.configs)
    return {
        "config": predictor.config.to_dict(),
        "task": predictor.task,
        "target": predictor.target,
        "classes": [c.item() if isinstance(c, np.generic) else c for c in predictor.classes],
        "members": len(predictor.modules),
        "encoders": [e.to_dict() for e in encoders],
        "encoder_of": encoder_of,
        "configs": [c.to_dict() for c in configs],
        "config_of": config_of,
        "weights": list(predictor.weights),
        "scales": [s.to_dict() for s in predictor.scales],
        "interval": predictor.interval.to_dict() if predictor.interval is not None else None,
        "temperature": predictor.temperature,
        "profile": [column.to_dict() for column in predictor.profile],
    }


def _distinct(things: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """Return the different objects, and for each thing which of them it is."""
    places: dict[int, int] = {}
    of = [places.setdefault(id(thing), len(places)) for thing in things]
    return [things[of.index(i)] for i in range(len(places))], of


def _describe_pictures(predictor: PicturePredictor) -> dict[str, Any]:
    return {
        "config": predictor.config.to_dict(),
        "shape": list(predictor.shape),
        "task": predictor.task,
        "target": predictor.target,
        "classes": [c.item() if isinstance(c, np.generic) else c for c in predictor.classes],
        "members": len(predictor.modules),
        "scales": [s.to_dict() for s in predictor.scales],
        "temperature": predictor.temperature,
        "interval": predictor.interval.to_dict() if predictor.interval is not None else None,
        "backbone": predictor.config.get("backbone"),
        **_shares(predictor),
    }


def _shares(predictor: PicturePredictor | SequencePredictor) -> dict[str, Any]:
    """Return each member's configuration and share where they are not all alike."""
    if not predictor.configs:
        return {}
    configs, config_of = _distinct(predictor.configs)
    return {
        "configs": [c.to_dict() for c in configs],
        "config_of": config_of,
        "weights": list(predictor.shares),
    }


def load_predictor(run: str | Path) -> AnyPredictor:
    """Load the predictor of a run folder.

    Raises:
        UsageError: there is no model there, it is of a newer schema, or its files are damaged or do not
            fit each other.
    """
    folder = Path(run) / "model"
    described_path, weights_path = folder / "model.json", folder / "model.safetensors"
    for path in (described_path, weights_path):
        if not path.is_file():
            raise UsageError(
                "A run folder holds model/model.json and model/model.safetensors",
                received=say("no file {path}", path=path),
                fix="name the folder that soundfit train wrote with --out",
            )
    try:
        given = read_description(described_path)
        kind = given.get("kind", "table")
        if not isinstance(kind, str) or kind not in ASSEMBLE:
            raise ValueError(f"a model is of kind {', '.join(ASSEMBLE)}, however: {kind!r}")
        return ASSEMBLE[kind](given, weights_path)
    except DataError as error:
        raise _damaged(folder, f"{error.rule}; received {error.received}") from error
    except UsageError:
        raise
    except _DAMAGE as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error


def _damaged(folder: Path, what: str) -> UsageError:
    return UsageError(
        "A saved model is read only when all of it is whole and fits together",
        received=f"{folder}: {what[:300]}",
        fix="train again, or restore the folder from a copy",
    )


def _assemble(given: Mapping[str, Any], weights_path: Path) -> Predictor:
    described = table_description(given)
    n_outputs = len(described.classes) if described.task == "classification" else 1
    modules = bare_modules(described.configs, described.encoders, n_outputs)
    for module, state in zip(modules, read_weights(weights_path, modules), strict=True):
        module.load_state_dict(state, assign=True)
        module.eval().requires_grad_(False)
    return Predictor(
        config=described.config,
        modules=tuple(modules),
        encoders=described.encoders,
        scales=described.scales,
        task=described.task,
        target=described.target,
        classes=described.classes,
        interval=described.interval,
        temperature=described.temperature,
        configs=described.configs,
        weights=described.weights,
        profile=described.profile,
    )


def _states(tensors: dict[str, torch.Tensor], n_members: int) -> list[dict[str, torch.Tensor]]:
    if any(not torch.isfinite(t.float()).all() for t in tensors.values()):
        raise ValueError("the weights hold values that are not finite")
    states: list[dict[str, torch.Tensor]] = [{} for _ in range(n_members)]
    for key, tensor in tensors.items():
        member, _, name = key.partition(".")
        states[int(member.removeprefix("member"))][name] = tensor
    return states


def _assemble_pictures(described: Mapping[str, Any], weights_path: Path) -> PicturePredictor:
    config = checked_config(described["config"])
    n_members, shape, classes = described["members"], described["shape"], described["classes"]
    scales = [TargetScale.from_dict(s) for s in described["scales"]]
    temperature = float(described["temperature"])
    # Models saved before there were intervals and backbones have none.
    given = described.get("interval")
    regression = described["task"] == "regression"
    sane = (
        isinstance(n_members, int)
        and 1 <= n_members <= _MAX_MEMBERS
        and described["task"] in ("regression", "classification")
        and len(scales) == (n_members if regression else 0)
        and (regression or len(classes) >= 2)
        and len(shape) == 3
        and all(isinstance(n, int) and 1 <= n <= _MAX_SIDE for n in shape)
        and shape[2] in (1, 3)
        and LIMITS[0] <= temperature <= LIMITS[1]
        and (regression or given is None)
    )
    if not sane:
        raise ValueError("model.json's sizes, task and members do not fit together")
    configs, weights = _checked_shares(described, config, n_members)
    tensors = load_file(str(weights_path))
    backbone = _backbone(described.get("backbone"), config, tuple(shape), tensors)
    return build_picture_predictor(
        config,
        _states(tensors, n_members),
        shape=tuple(shape),
        scales=scales,
        task=described["task"],
        target=str(described["target"]),
        classes=classes,
        temperature=temperature,
        interval=PredictionInterval.from_dict(given) if given is not None else None,
        backbone=backbone,
        configs=configs,
        weights=weights,
    )


def _checked_shares(
    described: Mapping[str, Any], config: Config, n_members: int
) -> tuple[tuple[Config, ...], tuple[float, ...]]:
    """Return what ``_shares`` wrote; nothing where all members are alike."""
    configs = checked_configs(described, config, n_members) if "configs" in described else ()
    return configs, checked_weights(described["weights"], n_members) if "weights" in described else ()


def _backbone(
    name: Any, config: Config, shape: tuple[int, int, int], tensors: dict[str, torch.Tensor]
) -> Backbone | None:
    """Return the net that the members read features of, and take its weights out of ``tensors``."""
    if name is None:
        return None
    if not isinstance(name, str) or name != config.get("backbone"):
        raise ValueError(f"a backbone is the name of a net, that of the configuration, however: {name!r}")
    parse_backbone(f"timm:{name}", None)
    state = {k.removeprefix(_SHARED): tensors.pop(k) for k in list(tensors) if k.startswith(_SHARED)}
    if any(not torch.isfinite(t.float()).all() for t in state.values()):
        raise ValueError("the backbone's weights hold values that are not finite")
    net = Backbone(name, shape)
    if config.model != TUNED:
        net.load_state_dict(state)
    return net


def _describe_sequences(predictor: SequencePredictor) -> dict[str, Any]:
    return {
        "config": predictor.config.to_dict(),
        "layout": predictor.layout.to_dict(),
        "steps": predictor.n_steps,
        "task": predictor.task,
        "target": predictor.target,
        "classes": [c.item() if isinstance(c, np.generic) else c for c in predictor.classes],
        "members": len(predictor.modules),
        "scales": [s.to_dict() for s in predictor.scales],
        "interval": predictor.interval.to_dict() if predictor.interval is not None else None,
        "temperature": predictor.temperature,
        **_shares(predictor),
    }


def _assemble_sequences(described: Mapping[str, Any], weights_path: Path) -> SequencePredictor:
    config = checked_config(described["config"])
    n_members, classes = described["members"], described["classes"]
    layout, n_steps = Layout.from_dict(described["layout"]), described["steps"]
    scales = [TargetScale.from_dict(s) for s in described["scales"]]
    given = described["interval"]
    temperature = float(described["temperature"])
    regression = described["task"] == "regression"
    missing = config.get("missing", ())
    sane = (
        isinstance(n_members, int)
        and 1 <= n_members <= _MAX_MEMBERS
        and described["task"] in ("regression", "classification")
        and len(scales) == (n_members if regression else 0)
        and (regression or (len(classes) >= 2 and given is None))
        and isinstance(n_steps, int)
        and 1 <= n_steps <= _MAX_STEPS
        and 1 <= len(layout.channels) <= _MAX_WIDTH
        and all(isinstance(c, int) and 0 <= c < len(layout.channels) for c in missing)
        and LIMITS[0] <= temperature <= LIMITS[1]
    )
    if not sane:
        raise ValueError("model.json's sizes, task and members do not fit together")
    configs, weights = _checked_shares(described, config, n_members)
    return build_sequence_predictor(
        config,
        _states(load_file(str(weights_path)), n_members),
        layout=layout,
        n_steps=n_steps,
        missing=missing,
        scales=scales,
        task=described["task"],
        target=str(described["target"]),
        classes=classes,
        interval=PredictionInterval.from_dict(given) if given is not None else None,
        temperature=temperature,
        configs=configs,
        weights=weights,
    )


#: By kind of model: what model.json says of it, and how it is put together again.
DESCRIBE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "sequence": _describe_sequences,
    "table": _describe_table,
    "image": _describe_pictures,
}
ASSEMBLE: dict[str, Callable[[Mapping[str, Any], Path], AnyPredictor]] = {
    "table": _assemble,
    "image": _assemble_pictures,
    "sequence": _assemble_sequences,
}

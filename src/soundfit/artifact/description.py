"""Description: ``model.json`` read and checked, field by field. Reads no weights and builds no nets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import soundfit
from soundfit.data.encoder import Encoder
from soundfit.data.profile import ColumnProfile
from soundfit.data.saved import unreadable
from soundfit.data.target import TargetScale
from soundfit.errors import UsageError
from soundfit.records import Config
from soundfit.study.prediction_interval import PredictionInterval
from soundfit.study.temperature import LIMITS

__all__ = [
    "SCHEMA",
    "Description",
    "checked_config",
    "checked_configs",
    "checked_weights",
    "read_description",
    "table_description",
]

T = TypeVar("T")

SCHEMA = 1
_MAX_JSON_BYTES = 256_000_000
_MAX_WIDTH, _MAX_DEPTH, _MAX_MEMBERS, _MAX_CLASSES = 65_536, 256, 1_000, 100_000
_LIMITS = {"width": _MAX_WIDTH, "depth": _MAX_DEPTH}


@dataclass(frozen=True)
class Description:
    """What a saved model is made of, all but the weights; the fields are those of ``Predictor``."""

    config: Config
    configs: tuple[Config, ...]
    weights: tuple[float, ...]
    encoders: tuple[Encoder, ...]
    scales: tuple[TargetScale, ...]
    task: str
    target: str
    classes: tuple[Any, ...]
    interval: PredictionInterval | None
    temperature: float
    profile: tuple[ColumnProfile, ...]


def read_description(path: Path) -> Mapping[str, Any]:
    """Read ``model.json`` as far as its schema.

    Raises:
        UsageError: it was written by another version of soundfit.
        DataError, ValueError: it is damaged or forged.
    """
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError(f"model.json has {path.stat().st_size:,} bytes, more than any model needs")
    given = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    if not isinstance(given, Mapping):
        raise unreadable("model.json is an object", given)
    _check_schema(given.get("schema"))
    return given


def _no_constant(name: str) -> float:
    raise ValueError(f"JSON has no {name}")


def _check_schema(schema: Any) -> None:
    if type(schema) is int and schema > SCHEMA:
        raise UsageError(
            "A saved model is read by a soundfit that knows its schema",
            received=f"schema {schema}, where soundfit {soundfit.__version__} knows {SCHEMA}",
            fix="install the newer soundfit that wrote it, or train again with this one",
        )
    if schema != SCHEMA or isinstance(schema, bool):
        raise unreadable(f"'schema' is {SCHEMA}", schema)


def table_description(given: Mapping[str, Any]) -> Description:
    """Check the description of a model on tables.

    Raises:
        DataError, ValueError: it is damaged or forged.
    """
    task, target = given.get("task"), given.get("target")
    if task not in ("regression", "classification"):
        raise unreadable("'task' is regression or classification", task)
    if not isinstance(target, str):
        raise unreadable("'target' is the name of a column", target)
    regression = task == "regression"
    n_members = given.get("members")
    if type(n_members) is not int or not 1 <= n_members <= _MAX_MEMBERS:
        raise unreadable(f"'members' is a whole number from 1 to {_MAX_MEMBERS:,}", n_members)
    encoders = _shared(given, "encoders", "encoder_of", Encoder.from_dict, n_members)
    config = checked_config(given.get("config"))
    n_scales = n_members if regression else 0
    scales = tuple(TargetScale.from_dict(form) for form in _forms(given, "scales", n_scales))
    if len({scale.transform for scale in scales}) > 1:
        raise unreadable("all members predict on one scale", [scale.transform for scale in scales])
    # Models saved before there were intervals, temperatures and profiles have none.
    interval = given.get("interval")
    if interval is not None and not regression:
        raise unreadable("only a regression has an interval", interval)
    temperature = given.get("temperature", 1.0)
    if type(temperature) not in (int, float) or not LIMITS[0] <= temperature <= LIMITS[1]:
        raise unreadable(f"'temperature' is a number from {LIMITS[0]} to {LIMITS[1]}", temperature)
    return Description(
        config=config,
        configs=checked_configs(given, config, n_members),
        weights=checked_weights(given.get("weights"), n_members),
        encoders=encoders,
        scales=scales,
        task=task,
        target=target,
        classes=_classes(given.get("classes"), regression=regression),
        interval=PredictionInterval.from_dict(interval) if interval is not None else None,
        temperature=float(temperature),
        profile=_profile(given.get("profile", []), encoders[0]),
    )


def _forms(given: Mapping[str, Any], key: str, length: int) -> list[Any]:
    forms = given.get(key)
    if not isinstance(forms, list) or len(forms) != length:
        raise unreadable(f"{key!r} has one entry for each of {length} members", forms)
    return forms


def _classes(given: Any, *, regression: bool) -> tuple[Any, ...]:
    if not isinstance(given, list) or len(given) > _MAX_CLASSES:
        raise unreadable("'classes' is a list", given)
    if regression and given:
        raise unreadable("a regression has no classes", given)
    plain = all(type(label) in (str, int, float, bool) for label in given)
    if not regression and (len(given) < 2 or not plain or len({str(label) for label in given}) < len(given)):
        raise unreadable("'classes' are two or more different texts or numbers", given)
    return tuple(given)


def _shared(
    given: Mapping[str, Any], key: str, of_key: str, read: Callable[[Any], T], n_members: int
) -> tuple[T, ...]:
    """Return each member's thing, where members may share one.

    Models saved before there were blends have one for each member.
    """
    forms = given.get(key)
    if not isinstance(forms, list) or not 1 <= len(forms) <= n_members:
        raise unreadable(f"{key!r} is a list of at most {n_members}, one for each member", forms)
    things = [read(form) for form in forms]
    of = given.get(of_key, list(range(len(forms))))
    if not isinstance(of, list) or len(of) != n_members:
        raise unreadable(f"{of_key!r} has one entry for each of {n_members} members", of)
    if not all(type(i) is int and 0 <= i < len(things) for i in of):
        raise unreadable(f"{of_key!r} names entries of {key!r}", of)
    return tuple(things[i] for i in of)


def checked_configs(given: Mapping[str, Any], config: Config, n_members: int) -> tuple[Config, ...]:
    """Return each member's configuration; ``config`` where a model was saved without them."""
    if "configs" not in given:
        return (config,) * n_members
    return _shared(given, "configs", "config_of", checked_config, n_members)


def checked_weights(given: Any, n_members: int) -> tuple[float, ...]:
    """Return each member's share; ``DataError`` where they are none."""
    if given is None:
        return (1.0 / n_members,) * n_members
    if not isinstance(given, list) or len(given) != n_members:
        raise unreadable(f"'weights' has one entry for each of {n_members} members", given)
    if not all(type(w) in (int, float) and 0 < w <= 1 for w in given) or not 0.99 < sum(given) < 1.01:
        raise unreadable("'weights' are positive and sum to 1", given)
    return tuple(float(w) for w in given)


def checked_config(given: Any) -> Config:
    """Return the configuration of this JSON form; ``DataError`` where it is none."""
    if not isinstance(given, Mapping):
        raise unreadable("'config' is an object", given)
    default = Config()
    known = {field.name for field in fields(Config)}
    unknown = sorted(str(key) for key in set(given) - known)
    if unknown:
        raise unreadable("'config' has the fields of a configuration", unknown)
    for name, value in given.items():
        wanted = type(getattr(default, name))
        if name == "options":
            if not isinstance(value, Mapping):
                raise unreadable("a configuration's 'options' is an object", value)
        elif wanted is str:
            if not isinstance(value, str):
                raise unreadable(f"a configuration's {name!r} is text", value)
        elif type(value) not in ((int,) if wanted is int else (int, float)) or not 0 <= value < math.inf:
            raise unreadable(f"a configuration's {name!r} is a number of 0 or more", value)
        elif value > _LIMITS.get(name, math.inf):
            raise unreadable(f"a configuration's {name!r} is at most {_LIMITS[name]:,}", value)
    options = dict(given.get("options", {}))
    periodic = options.get("periodic", [])
    if not isinstance(periodic, list) or not all(type(i) is int for i in periodic):
        raise unreadable("'periodic' is a list of whole numbers", periodic)
    if not isinstance(options.get("activation", ""), str):
        raise unreadable("'activation' is the name of a function", options["activation"])
    return Config(**{**given, "options": options})


def _profile(given: Any, encoder: Encoder) -> tuple[ColumnProfile, ...]:
    if not isinstance(given, list):
        raise unreadable("'profile' is a list of columns", given)
    profile = tuple(ColumnProfile.from_dict(form) for form in given)
    read = [(block.column, block.kind) for block in encoder.layout.blocks]
    if profile and [(column.name, column.kind) for column in profile] != read:
        raise unreadable("'profile' describes the columns that the model reads", [c.name for c in profile])
    return profile

"""Config: everything that a user or a study may choose about one model's training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

__all__ = ["Config"]


@dataclass(frozen=True)
class Config:
    """One configuration: architecture and training hyper-parameters.

    ``options`` holds whatever else a user's ``make_module(config)`` wants to read; ``config["name"]``
    finds both. Architecture fields are read by soundfit's own factories only; a foreign factory may
    ignore them.

    Units: ``learning_rate`` and ``weight_decay`` per step (decay is decoupled, multiplied by the
    learning rate), ``dropout``, ``label_smoothing`` and ``momentum`` as fractions, ``input_noise`` in
    standard deviations of the (scaled) inputs, ``gradient_clip`` as global L2 norm (0: off),
    ``warmup`` as fraction of all steps.
    """

    model: str = "mlp"
    width: int = 64
    depth: int = 2
    dropout: float = 0.0
    weight_decay: float = 0.0
    learning_rate: float = 1e-3
    epochs: int = 100
    batch_size: int = 128
    optimizer: str = "adamw"
    momentum: float = 0.9
    schedule: str = "cosine"
    warmup: float = 0.05
    label_smoothing: float = 0.0
    input_noise: float = 0.0
    l1: float = 0.0
    gradient_clip: float = 0.0
    patience: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_infinite(self) -> bool:
        """Whether it is a net of infinite width: solved in closed form, with no steps and no size."""
        return self.model == "infinite"

    def __getitem__(self, name: str) -> Any:
        """Return a field or, failing that, an option: ``config["width"]``."""
        if name in _FIELDS:
            return getattr(self, name)
        return self.options[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return a field or option, or ``default`` where there is none of that name."""
        return getattr(self, name) if name in _FIELDS else self.options.get(name, default)

    def with_(self, **changes: Any) -> Config:
        """Return a copy with the changes; names that are no field go to ``options``.

        >>> Config().with_(width=8, heads=2)["heads"]
        2
        """
        known = {name: value for name, value in changes.items() if name in _FIELDS}
        extra = {name: value for name, value in changes.items() if name not in _FIELDS}
        if extra:
            known["options"] = {**self.options, **extra}
        return replace(self, **known)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready dictionary."""
        return {**asdict(self), "options": dict(self.options)}


_FIELDS = frozenset(f.name for f in fields(Config)) - {"options"}

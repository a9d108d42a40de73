"""Torch program: a predictor as one ``torch.export`` file (.pt2).

torch has no tensors of text, so the program itself takes the raw features (N, F): numbers as they are, NaN
where missing, and 0 or 1 for each category. It does all that was fitted: scaling, the members, their mean,
the interval, the target's transform. :class:`TorchProgram` makes those features from raw columns.

The file holds the graph as JSON and the weights as plain bytes; :func:`load_torch` refuses one that asks
for a pickle, which ``torch.export.load`` would run.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from soundfit.artifact.predictor import Predictor
from soundfit.artifact.whole import write_whole
from soundfit.data.encoder import CLIP, SMOOTH, Encoder, raw_features
from soundfit.data.layout import Block, Layout
from soundfit.errors import DataError, UsageError
from soundfit.study.temperature import TINY

__all__ = ["RowProgram", "TorchProgram", "load_torch", "save_torch"]

_TABLE = "soundfit.json"
_OURS = re.compile(
    r"[^/]+/(data/(weights/weight_\d+|constants/tensor_\d+|(weights|constants)/model_\w+_config\.json"
    r"|sample_inputs/model\.pt)|models/model\.json|extra/soundfit\.json|archive_format|archive_version"
    r"|byteorder|\.data/(version|serialization_id))"
)
#: What reading a damaged or forged file raises.
_DAMAGE = (
    *(DataError, OSError, zipfile.BadZipFile, pickle.UnpicklingError, LookupError, TypeError),
    *(ValueError, RuntimeError, AttributeError, NotImplementedError),
)


class _Scaling(nn.Module):
    """One member's preprocessing: ``Encoder`` after its raw features."""

    median: Tensor
    scale: Tensor
    numeric: Tensor
    active: Tensor

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        for name in ("median", "scale"):
            self.register_buffer(name, torch.from_numpy(getattr(encoder, name).copy()))
        self.register_buffer("numeric", torch.from_numpy(encoder.numeric.copy()))
        self.register_buffer("active", torch.from_numpy(encoder.active.copy()))

    def forward(self, features: Tensor) -> Tensor:
        z = torch.clamp((features - self.median) / self.scale, -CLIP, CLIP)
        z = z / torch.sqrt(1.0 + torch.square(z / SMOOTH))
        x = torch.where(self.numeric, z, features)
        return torch.where(torch.isnan(x) | ~self.active, 0.0, x).float()


class RowProgram(nn.Module):
    """A predictor on raw features.

    Shape:
        - Input: (N, F) float64; output for regression: (N, 1), or (N, 3) with low and high, float64;
          for classes: probabilities (N, C) float64.
    """

    at: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        self.scalings = nn.ModuleList(_Scaling(encoder) for encoder in predictor.encoders)
        self.members = nn.ModuleList(predictor.modules)
        self.shares = predictor.shares
        self.units = [(s.mean, s.sd, *s.limits) for s in predictor.scales]
        self.transform = predictor.scales[0].transform if predictor.scales else "identity"
        self.temperature = predictor.temperature
        self.interval = predictor.interval is not None
        if predictor.interval is not None:
            for name in ("at", "low", "high"):
                self.register_buffer(name, torch.from_numpy(getattr(predictor.interval, name).copy()))

    def forward(self, features: Tensor) -> Tensor:
        """Return predictions."""
        outputs = [m(s(features)).double() for s, m in zip(self.scalings, self.members, strict=True)]
        if not self.units:
            return self._mean([self._shares(logits) for logits in outputs])
        pairs = zip(outputs, self.units, strict=True)
        values = [torch.clamp(v * sd + mean, low, high) for v, (mean, sd, low, high) in pairs]
        mean = self._mean(values)
        if self.interval:
            mean = torch.cat(
                [mean, mean + self._offset(mean, self.low), mean + self._offset(mean, self.high)], 1
            )
        if self.transform == "identity":
            return mean
        mean = torch.clamp(mean, max=709.0)
        return torch.exp(mean) if self.transform == "log" else torch.expm1(mean)

    def _mean(self, values: list[Tensor]) -> Tensor:
        weighted = [value * share for value, share in zip(values, self.shares, strict=True)]
        return torch.stack(weighted).sum(dim=0)

    def _shares(self, logits: Tensor) -> Tensor:
        shares = torch.softmax(logits, dim=1)
        if self.temperature == 1.0:
            return shares
        return torch.softmax(torch.log(torch.clamp(shares, min=TINY)) / self.temperature, dim=1)

    def _offset(self, x: Tensor, offsets: Tensor) -> Tensor:
        if len(self.at) == 1:
            return offsets[:1]
        steps = torch.clamp(x, self.at[:-1], self.at[1:]) - self.at[:-1]
        slopes = torch.diff(offsets) / torch.diff(self.at)
        return offsets[0] + (steps * slopes).sum(dim=1, keepdim=True)


class TorchProgram:
    """A loaded program that takes raw columns.

    Attributes:
        program: the exported module, raw features (N, F) in.
        layout: how columns become features.
        outputs: names of the program's output columns.
    """

    def __init__(self, program: nn.Module, layout: Layout, outputs: tuple[str, ...]) -> None:
        self.program, self.layout, self.outputs = program, layout, outputs

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return one row per row of ``frame``: prediction, low and high, or a column per class.

        Raises:
            DataError: a column is missing.
        """
        features = torch.from_numpy(np.ascontiguousarray(raw_features(self.layout, frame)))
        with torch.inference_mode():
            return pd.DataFrame(self.program(features).numpy(), columns=list(self.outputs))


def save_torch(predictor: Predictor, path: Path) -> None:
    """Write the program whole or not at all.

    Raises:
        UsageError: members that read the columns differently, or a place that cannot be written.
    """
    layout = predictor.encoders[0].layout
    if any(encoder.layout != layout for encoder in predictor.encoders):
        raise UsageError(
            "A torch program has members that read the same features",
            received="members with features of their own",
            fix="use --format onnx",
        )
    names = layout.feature_names
    example = torch.zeros(2, len(names), dtype=torch.float64)
    program = torch.export.export(
        RowProgram(predictor).eval(), (example,), dynamic_shapes={"features": {0: torch.export.Dim("rows")}}
    )
    outputs = _outputs(predictor)
    table = {
        "schema": 1,
        "task": predictor.task,
        "target": predictor.target,
        "features": list(names),
        "blocks": [block.to_dict() for block in layout.blocks],
        "outputs": outputs,
    }
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={_TABLE: json.dumps(table, ensure_ascii=False)})
    write_whole(path, content.getvalue())


def _outputs(predictor: Predictor) -> list[str]:
    if predictor.task == "classification":
        return [f"probability_{label}" for label in predictor.classes]
    return ["prediction", "low", "high"] if predictor.interval is not None else ["prediction"]


def load_torch(path: str | Path) -> TorchProgram:
    """Load what :func:`save_torch` wrote.

    Raises:
        UsageError: it is no such file, damaged, or holds a pickle.
    """
    try:
        content = Path(path).read_bytes()
        _refuse_pickles(content)
        extra: dict[str, Any] = {_TABLE: ""}
        program = torch.export.load(io.BytesIO(content), extra_files=extra).module()
        table = json.loads(extra[_TABLE])
        layout = Layout(tuple(Block.from_dict(block) for block in table["blocks"]))
        return TorchProgram(program, layout, tuple(str(name) for name in table["outputs"]))
    except _DAMAGE as error:
        raise UsageError(
            "A torch program is read only as soundfit export --format torch wrote it",
            received=f"{path}: {str(error)[:200]}",
            fix="export it again",
        ) from error


def _refuse_pickles(content: bytes) -> None:
    """Raise ``ValueError`` where any part would be read as a pickle, or is none that we write."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            if not _OURS.fullmatch(name):
                raise ValueError(f"{name} is no part of a program")
            if name.endswith("_config.json") and _asks_for_pickle(json.loads(archive.read(name))):
                raise ValueError(f"{name} asks for a pickle")
            if name.endswith(".pt"):
                # Sample inputs are of no use to us; what torch makes of them must be plain tensors.
                torch.load(io.BytesIO(archive.read(name)), weights_only=True)


def _asks_for_pickle(node: Any) -> bool:
    if isinstance(node, dict):
        return bool(node.get("use_pickle")) or any(map(_asks_for_pickle, node.values()))
    return isinstance(node, list) and any(map(_asks_for_pickle, node))

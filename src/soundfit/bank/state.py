"""State: a bank between two epochs as tensors and JSON, and back to the same bits. No pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from soundfit.records import Event

if TYPE_CHECKING:
    from soundfit.bank.bank import Bank

__all__ = ["bank_state", "load_file", "restore_bank", "save_state"]

State = dict[str, Any]
_ARRAYS = ("best_loss", "best_epoch", "training_at_best", "epochs", "rollbacks")


def bank_state(bank: Bank) -> State:
    """Return ``{"tensors": name → tensor (on the host), "record": JSON-ready}``."""
    progress = bank.progress
    tensors = {name: t.detach().cpu().clone() for name, t in _live(bank).items()}
    for name in _ARRAYS:
        tensors[f"progress.{name}"] = torch.from_numpy(getattr(progress, name).copy())
    tensors["seated"] = torch.from_numpy(bank.seated.copy())
    if progress.history:
        epochs = np.concatenate([np.full(len(members), e) for e, members, _, _ in progress.history])
        tensors["history.epoch"] = torch.from_numpy(epochs)
        for at, name in ((1, "member"), (2, "training"), (3, "validation")):
            tensors[f"history.{name}"] = torch.from_numpy(np.concatenate([h[at] for h in progress.history]))
    record = {
        "epoch": bank.epoch,
        "running": bank.running,
        "uneven": bank.optimizer.uneven,
        "status": progress.status.tolist(),
        "events": [asdict(e) for e in progress.events],
    }
    return {"tensors": tensors, "record": record}


def restore_bank(bank: Bank, state: State) -> None:
    """Bring a freshly opened bank of the same members to a saved state.

    Raises:
        ValueError: the state is of other members.
    """
    tensors, record = state["tensors"], state["record"]
    progress = bank.progress
    if len(record["status"]) != len(progress.status):
        raise ValueError(
            "a bank takes up the state of a bank of as many members, however: "
            f"{len(progress.status)} members, and a state of {len(record['status'])}"
        )
    seated = tensors["seated"].numpy()
    if len(seated) < len(bank.seated):
        bank.compact(seated)
    for name, target in _live(bank).items():
        if name not in tensors or tensors[name].shape != target.shape:
            raise ValueError(f"a bank takes up the state of one architecture, however: {name!r} differs")
        target.copy_(tensors[name])
    for name in _ARRAYS:
        getattr(progress, name)[:] = tensors[f"progress.{name}"].numpy()
    progress.status[:] = record["status"]
    progress.events[:] = [Event(**e) for e in record["events"]]
    progress.history[:] = _history(tensors)
    bank.optimizer.uneven = bool(record["uneven"])
    bank.epoch = int(record["epoch"])
    if not record["running"]:
        bank.alive = bank.alive[:0]


def _live(bank: Bank) -> dict[str, Tensor]:
    """Return the bank's own tensors that training changes."""
    best = {f"best.{name}": b for name, b in bank.best_buffers.items()}
    return {
        **{f"now.{name}": t for name, t in bank.state_tensors().items()},
        **{f"good.{name}": t for name, t in bank.good.items()},
        **best,
        "best": bank.best_MP,
        "learning_rate": bank.hyper.learning_rate_M1,
        "loss_sum": bank.loss_sum_M,
        "step": bank.optimizer.step,
    }


def _history(tensors: dict[str, Tensor]) -> list[tuple[int, Any, Any, Any]]:
    if "history.epoch" not in tensors:
        return []
    epochs = tensors["history.epoch"].numpy()
    columns = [tensors[f"history.{name}"].numpy() for name in ("member", "training", "validation")]
    return [(int(e), *(c[epochs == e] for c in columns)) for e in np.unique(epochs)]


def save_state(state: State, path: Path) -> None:
    """Write a state; whoever is killed meanwhile leaves the file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    tensors = {name: t.contiguous() for name, t in state["tensors"].items()}
    try:
        save_file(tensors, partial, metadata={"record": json.dumps(state["record"])})
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def load_file(path: Path) -> State | None:
    """Return a saved state, or None where there is none that can be read."""
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            record = json.loads(file.metadata()["record"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
    except Exception as error:
        # safetensors raises a class of its own for a damaged file.
        if type(error).__name__ == "SafetensorError":
            return None
        raise
    return {"tensors": tensors, "record": record}

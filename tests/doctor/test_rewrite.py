"""Texts that are changed while they are loaded: what is repaired, and what stays as it was written."""

# ruff: noqa: E501

from __future__ import annotations

import ast
from typing import Any

import numpy as np
import pytest
import torch

from soundfit.doctor.origin import left_behind, shuffled_apart
from soundfit.doctor.rewrite import Orders, rewritten


def run(text: str, rewrite: tuple[str, int] | None) -> dict[str, Any]:
    """Run a text as changed; return its names."""
    names: dict[str, Any] = {"np": np, "torch": torch, Orders.name: Orders()}
    tree = rewritten(ast.parse(text), {} if rewrite is None else {"rewrite": rewrite})
    exec(compile(tree, "<text>", "exec"), names)
    return names


@pytest.mark.parametrize(
    "made",
    ["x = b // 255", "x = b.copy()\nx //= 255", "x = (b / 255).astype('uint8')", "x = (b / 255.0).astype(np.uint8)",
     "x = (torch.from_numpy(b) / 255).byte()", "x = torch.from_numpy(b) // 255", "x = (torch.from_numpy(b) / 255).to(torch.uint8)"],
)  # fmt: skip
def test_bytes_keep_their_fractions(made: str) -> None:
    text = "b = np.array([0, 51, 255], dtype=np.uint8)\n" + made
    assert sorted({float(v) for v in run(text, None)["x"]}) == [0.0, 1.0]
    assert [round(float(v), 3) for v in run(text, ("true_division", 2))["x"]] == [0.0, 0.2, 1.0]


@pytest.mark.parametrize("text", ["x = 7 // 2", "n = 300\nx = n // 4", "x = np.array([3.7]).astype(int)"])
def test_whole_numbers_that_were_meant_stay(text: str) -> None:
    assert run(text, ("true_division", 1))["x"] == run(text, None)["x"]


@pytest.mark.parametrize(
    "shuffles",
    ["np.random.shuffle(x)\nnp.random.shuffle(y)", "x = np.random.permutation(x)\ny = np.random.permutation(y)",
     "x = x[rng.permutation(len(x))]\ny = y[rng.permutation(len(y))]", "rng.shuffle(x)\nrng.shuffle(y)",
     "x = x[torch.randperm(len(x)).numpy()]\ny = y[torch.randperm(len(y)).numpy()]",
     "x = x[old.permutation(len(x))]\ny = y[old.permutation(len(y))]"],
)  # fmt: skip
def test_two_arrays_are_put_in_one_order(shuffles: str) -> None:
    text = (
        "rng = np.random.default_rng(3)\nold = np.random.RandomState(3)\n\nx = np.arange(50)\ny = np.arange(50)\n"
        + shuffles
    )
    line = shuffled_apart(text)
    assert line == 7
    apart = run(text, None)
    assert (apart["x"] != apart["y"]).any()
    together = run(text, ("same_order", line))
    assert (together["x"] == together["y"]).all()
    assert (together["x"] != np.arange(50)).any()


def test_rows_stay_with_the_labels_that_were_taken() -> None:
    text = (
        "import pandas as pd\nframe = pd.DataFrame({'a': range(30), 'label': range(30)})\n"
        "y = frame['label'].values\nframe = frame.sample(frac=1)\nx = frame['a'].values\nprint(x[0], y[0])\n"
    )
    line = left_behind(text)
    assert line == 4
    made = run(text, ("kept_order", line))
    assert (made["x"] == made["y"]).all()

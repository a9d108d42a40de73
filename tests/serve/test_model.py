"""One row through the server's model equals the predictor's table, whatever the members are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from soundfit.artifact.stacked import stack_modules
from soundfit.models.net import ACTIVATIONS, MODELS, build
from soundfit.records import Config
from soundfit.serve.model import ServedModel
from untrained import CONFIGS, every_kind, make_predictor

FRAMES = {"regression": every_kind(), "classification": every_kind().drop(columns="price")}
FRAMES["classification"]["town"] = np.random.default_rng(1).choice(["A", "B", "C"], 400)


def _reading(predictor):
    """The same members, each behind a choice of inputs of its own."""
    rng = np.random.default_rng(2)
    n_inputs = len(predictor.encoders[0].feature_names)
    n_outputs = max(len(predictor.classes), 1)
    configs = [
        config.with_(reads=rng.permutation(n_inputs)[:9].tolist(), periodic=())
        for config in predictor.configs
    ]
    modules = tuple(build(c, n_inputs, n_outputs).eval().requires_grad_(False) for c in configs)
    return replace(predictor, configs=tuple(configs), modules=modules)


@pytest.fixture(scope="module")
def models():
    made = {}
    for task, target in (("regression", "price"), ("classification", "town")):
        blend = make_predictor(FRAMES[task], target, "blend")
        made[task] = blend
        made[f"{task}, reading"] = _reading(blend)
    return {name: (predictor, ServedModel(predictor)) for name, predictor in made.items()}


UNSEEN = st.sampled_from([None, "", "NA", "elsewhere", "∞"])


@settings(max_examples=40, deadline=None)
@given(data=st.data(), name=st.sampled_from(["regression", "classification"]), reads=st.booleans())
def test_rows_answered_together_equal_the_predictor(models, data, name, reads):
    predictor, model = models[f"{name}, reading" if reads else name]
    rows = data.draw(st.lists(st.integers(0, 399), min_size=1, max_size=5))
    frame = FRAMES[name].iloc[rows].astype(object).reset_index(drop=True)
    for column in ("district", "street", "pair"):
        if data.draw(st.booleans()):
            frame.loc[0, column] = data.draw(UNSEEN)
    frame.loc[len(rows) - 1, "size m²"] = data.draw(st.one_of(st.none(), st.floats(-1e300, 1e300)))
    frame = frame.astype(object).where(frame.notna(), None)
    answers = model.answers([model.encode(row) for row in frame.to_dict("records")])
    expected = predictor.predict(frame)
    if name == "regression":
        got = pd.DataFrame(answers)
        pd.testing.assert_frame_equal(got, expected, rtol=1e-6, check_exact=False)
        return
    assert [a["prediction"] for a in answers] == expected["prediction"].tolist()
    shares = np.array([list(a["probabilities"].values()) for a in answers])
    np.testing.assert_allclose(shares, expected.iloc[:, 1:].to_numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", MODELS)
def test_every_net_of_tables_has_a_stacked_form(name, activation):
    torch.manual_seed(0)
    config = Config(model=name, width=8, depth=2, dropout=0.1, options={"activation": activation})
    modules = [build(config, 5, 2).eval().requires_grad_(False) for _ in range(3)]
    for module in modules:
        for parameter in module.parameters():
            parameter += torch.randn_like(parameter)
    x_MBF = torch.randn(3, 4, 5)
    expected = torch.stack([module(x) for module, x in zip(modules, x_MBF, strict=True)])
    torch.testing.assert_close(stack_modules(modules)(x_MBF), expected, rtol=1e-5, atol=1e-5)
    # Solved nets are in the blends of these tests.
    assert {*MODELS, "infinite"} == {c.model for c in CONFIGS.values()}


def test_a_pass_is_timed(models):
    assert 0 < models["regression"][1].seconds_a_row() < 60

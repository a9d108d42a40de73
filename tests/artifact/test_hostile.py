"""A mutated artifact is refused in one paragraph, or loads as a model that still predicts."""

from __future__ import annotations

import copy
import json
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from soundfit.artifact import load_predictor, save_predictor
from soundfit.errors import DataError, SoundfitError, UsageError

CASES = [("every kind", "blend"), ("penguins", "resmlp"), ("hitters", "linear")]
JUNK = [None, True, False, 0, -1, 1, 2, 10**9, 10**400, 2**63, 1e308, -1e-300, 0.5]
JUNK += ["", "x", "numeric", "\ud800", "member0", "%Y", "../../etc", "9" * 5000]
JUNK += [[], {}, [[]], [None], {"a": 1}, [1e308] * 3, [[["deep"]]], float("nan")]


@pytest.fixture(scope="module", params=CASES, ids=[f"{a} {b}" for a, b in CASES])
def saved(request, predictors, tmp_path_factory):
    """(run folder, description, bytes of the weights, some rows)."""
    predictor, frame = predictors(*request.param)
    run = tmp_path_factory.mktemp("hostile")
    save_predictor(predictor, run / "model")
    described = json.loads((run / "model" / "model.json").read_text(encoding="utf-8"))
    return run, described, (run / "model" / "model.safetensors").read_bytes(), frame.head(5)


def _refused_or_predicts(run, rows):
    predictor = refusal = None
    try:
        predictor = load_predictor(run)
    except UsageError as error:
        refusal = error
    if predictor is None:
        assert refusal.fix, "a refusal says what to do"
        assert "\n" not in refusal.paragraph()
        return
    with np.errstate(all="ignore"):
        try:
            predicted = predictor.predict(rows)
        except DataError:  # a column of another name, or text where numbers were
            return
    assert len(predicted) == len(rows)


def _paths(node, path=()):
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from _paths(value, (*path, key))


@pytest.mark.parametrize("seed", range(4))
def test_any_change_of_the_description_is_refused_or_harmless(saved, seed):
    run, described, weights, rows = saved
    rng = np.random.default_rng(seed)
    (run / "model" / "model.safetensors").write_bytes(weights)
    for _ in range(20):
        changed = copy.deepcopy(described)
        # By key first: long lists of numbers would take all draws.
        top = sorted(changed)[rng.integers(len(changed))]
        paths = list(_paths(changed[top]))[:400]
        path = (top, *paths[rng.integers(len(paths))])
        parent = changed
        for key in path[:-1]:
            parent = parent[key]
        if rng.random() < 0.7 or not isinstance(parent, dict):
            parent[path[-1]] = JUNK[rng.integers(len(JUNK))]
        else:
            del parent[path[-1]]
        (run / "model" / "model.json").write_text(json.dumps(changed), encoding="utf-8")
        _refused_or_predicts(run, rows)


@pytest.mark.parametrize("seed", range(2))
def test_any_change_of_bytes_is_refused_or_harmless(saved, seed):
    run, described, weights, rows = saved
    rng = np.random.default_rng(seed)
    whole = {"model.json": json.dumps(described).encode(), "model.safetensors": weights}
    for _ in range(20):
        for name, content in whole.items():
            (run / "model" / name).write_bytes(content)
        name = sorted(whole)[rng.integers(2)]
        content = bytearray(whole[name])
        end = 8 + struct.unpack("<Q", weights[:8])[0] if name == "model.safetensors" else len(content)
        if rng.random() < 0.5:
            content = content[: rng.integers(len(content))]
        for _ in range(rng.integers(1, 5)):
            if content:
                content[rng.integers(min(len(content), end))] = rng.integers(256)
        (run / "model" / name).write_bytes(bytes(content))
        _refused_or_predicts(run, rows)


@pytest.fixture
def model(predictors, tmp_path):
    save_predictor(predictors("penguins", "mlp")[0], tmp_path / "model")
    return tmp_path


def _rewrite(run, **changes):
    path = run / "model" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_newer_schema_asks_for_the_newer_soundfit(model):
    _rewrite(model, schema=2)
    with pytest.raises(UsageError, match=r"schema 2, where soundfit .* knows 1\. Fix: install the newer"):
        load_predictor(model)


def test_a_forged_size_asks_for_no_memory(model):
    described = json.loads((model / "model" / "model.json").read_text())
    # 256 layers of 65,536 units would be 4 TiB.
    huge = described["config"] | {"width": 65_536, "depth": 256}
    _rewrite(model, config=huge, configs=[huge], config_of=[0] * described["members"])
    with pytest.raises(UsageError, match=r"the weights (have|lack|'member0)"):
        load_predictor(model)


@pytest.mark.parametrize("what", ["shape", "type", "missing", "spare", "infinite"])
def test_weights_that_do_not_fit_are_named(model, what):
    path = model / "model" / "model.safetensors"
    tensors = load_file(str(path))
    name = "member1.output.bias"
    if what == "shape":
        tensors[name] = tensors[name][:1].clone()
    elif what == "type":
        tensors[name] = tensors[name].to(torch.int64)
    elif what == "missing":
        del tensors[name]
    elif what == "spare":
        name = "member7.output.bias"
        tensors[name] = torch.zeros(3)
    else:
        tensors[name][0] = float("inf")
    save_file(tensors, str(path))
    with pytest.raises(UsageError, match=name.replace(".", r"\.")):
        load_predictor(model)


def test_a_pickle_in_place_of_weights_is_refused_unread(model, tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"state": Evil()}, model / "model" / "model.safetensors")
    with pytest.raises(SoundfitError, match="A saved model is read only when all of it is whole"):
        load_predictor(model)
    assert not marker.exists()


def test_the_profile_survives_and_holds_what_the_form_needs(predictors, tmp_path):
    predictor, frame = predictors("every kind", "mlp")
    save_predictor(predictor, tmp_path / "model")
    profile = {column.name: column for column in load_predictor(tmp_path).profile}
    assert list(profile) == list(frame.columns[:-1])
    assert profile["rooms"].whole
    assert (profile["rooms"].low, profile["rooms"].high) == (1.0, 8.0)
    assert set(profile["district"].levels) == set(frame["district"].dropna())
    assert profile["garden"].typical in ("yes", "no")
    assert profile["sold"].first == frame["sold"].min()
    assert profile["sold"].missing == pytest.approx(frame["sold"].isna().mean())
    assert len(profile["street"].levels) == 64

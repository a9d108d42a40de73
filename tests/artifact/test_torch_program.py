"""The torch program predicts what soundfit predicts, and its loader runs no pickle."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
import torch

from soundfit.artifact.torch_program import RowProgram, load_torch, save_torch
from soundfit.data.encoder import raw_features
from soundfit.errors import UsageError


@pytest.mark.parametrize("kind", ["linear", "mlp", "waves", "resmlp", "infinite", "blend"])
@pytest.mark.parametrize("name", ["every kind", "ames", "concrete", "bikeshare", "penguins"])
def test_the_module_is_the_predictor(predictors, name, kind):
    predictor, frame = predictors(name, kind)
    features = torch.from_numpy(np.ascontiguousarray(raw_features(predictor.encoders[0].layout, frame)))
    with torch.inference_mode():
        got = RowProgram(predictor).eval()(features).numpy()
    names = ["prediction", "low", "high"] if predictor.task == "regression" else slice(1, None)
    expected = predictor.predict(frame)
    expected = expected[names] if isinstance(names, list) else expected.iloc[:, names]
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


@pytest.fixture(scope="module")
def exported(predictors, tmp_path_factory):
    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    predictor, frame = predictors("every kind", "blend")
    save_torch(predictor, path)
    return path, predictor, frame


def test_the_file_predicts_raw_columns_and_any_number_of_rows(exported):
    path, predictor, frame = exported
    program = load_torch(path)
    for n in (1, 3, 400):
        got = program.predict(frame.head(n))
        expected = predictor.predict(frame.head(n))
        assert list(got.columns) == list(expected.columns)
        np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_damaged_files_and_pickles_are_refused_unread(exported, tmp_path):
    path, _, _ = exported
    content = path.read_bytes()
    (tmp_path / "cut.pt2").write_bytes(content[: len(content) // 2])
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    evil = io.BytesIO()
    torch.save(Evil(), evil)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "evil.pt2", "w") as changed:
        for name in whole.namelist():
            is_sample = name.endswith("sample_inputs/model.pt")
            changed.writestr(name, evil.getvalue() if is_sample else whole.read(name))
    for name in ("cut.pt2", "evil.pt2", "none.pt2"):
        with pytest.raises(UsageError, match="read only as soundfit export"):
            load_torch(tmp_path / name)
    assert not marker.exists()

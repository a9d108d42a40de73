import pandas as pd
import pytest

import soundfit as sf
from soundfit.errors import UsageError
from soundfit.workflow.exam import exam_run


@pytest.fixture
def sealed(tables, tmp_path):
    """A sealed run on a copy of the data."""
    data = tmp_path / "penguins.csv"
    data.write_bytes((tables / "penguins.csv").read_bytes())
    run = sf.train(data, target="species", model="linear", keep_sealed=True, out=tmp_path / "run")
    return data, run


def test_an_exam_opened_later_is_the_one_that_train_would_have_opened(sealed, tmp_path):
    data, run = sealed
    at_once = sf.train(data, target="species", model="linear", seed=0)
    document, _ = exam_run(run.path)
    assert run.exam is None
    assert document["exam"]["value"] == pytest.approx(at_once.exam["value"], rel=1e-9)
    assert document["exam"]["openings"] > 1


def test_changed_or_missing_data_are_refused(sealed):
    data, run = sealed
    content = data.read_text()
    data.write_text(content.replace("39.1", "39.2", 1))
    with pytest.raises(UsageError, match="has changed since the training"):
        exam_run(run.path)
    data.unlink()
    with pytest.raises(UsageError, match="no file"):
        exam_run(run.path)


def test_a_test_file_can_be_opened_later_too(tables, tmp_path):
    frame = pd.read_csv(tables / "penguins.csv").sample(frac=1.0, random_state=1)
    frame[:60].to_csv(tmp_path / "test.csv", index=False)
    frame[60:].to_csv(tmp_path / "train.csv", index=False)
    run = sf.train(
        tmp_path / "train.csv",
        target="species",
        test=tmp_path / "test.csv",
        model="linear",
        keep_sealed=True,
        out=tmp_path / "run",
    )
    document, _ = exam_run(run.path)
    assert document["exam"]["rows"] == 60


def test_the_same_rows_under_another_name_and_column_order_are_recognised(tables, tmp_path):
    frame = pd.read_csv(tables / "penguins.csv")
    frame = frame.rename(columns={"year": "season"})
    frame.to_csv(tmp_path / "one.csv", index=False)
    frame[frame.columns[::-1]].to_parquet(tmp_path / "two.parquet", index=False)
    first = sf.train(tmp_path / "one.csv", target="species", model="linear")
    second = sf.train(tmp_path / "two.parquet", target="species", model="linear")
    assert second.exam["openings"] == first.exam["openings"] + 1
    wider = second.exam["high"] - second.exam["low"]
    assert wider > first.exam["high"] - first.exam["low"]

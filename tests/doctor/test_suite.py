"""A share of the suite, each script from its text to its cause; the whole of it runs in benchmarks/doctor.py."""

# ruff: noqa: E501

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from healthy import HEALTHY
from suite import FAULTY

from soundfit.doctor.script import run_script, watched_run

SOME_FAULTY = (
    "softmax_before_ce", "double_sigmoid", "broadcast_custom", "no_zero_grad", "no_step", "stale_optimizer",
    "one_class", "labels_shuffled", "lr_tiny_adam", "lr_huge_sgd", "constant_init", "nan_inputs", "layers_in_list",
    "no_train_after_eval", "leaking_split", "same_batch", "unscaled_inputs",
    "encoder_detached", "cleared_before_step", "divided_by_zero_spread",
)  # fmt: skip
SOME_HEALTHY = (
    "blobs_plain", "noisy_labels", "imbalanced", "tiny_net", "gan", "autoencoder", "policy_gradient", "accumulation",
    "weight_tying", "contrastive", "raw_tensors", "lbfgs", "early_plateau", "multilabel", "frozen_backbone",
    "cox_likelihood", "flow_from_identity", "pairs_ranked",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "SUITE_SEED", "0")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SOME_FAULTY)
def test_faulty_scripts_are_named(name: str, tmp_path: Path) -> None:
    codes, source = FAULTY[name]
    script = tmp_path / "train.py"
    script.write_text(source)
    _, visit = watched_run(script, [], seconds=6.0)
    assert visit is not None
    assert not visit.healthy
    assert set(codes) & {d.code for d in visit.diagnoses[:2]}
    best = next(d for d in visit.diagnoses if d.code in codes)
    assert best.where.file is None or best.where.file == str(script)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SOME_HEALTHY)
def test_healthy_scripts_are_left_alone(name: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(HEALTHY[name])
    _, visit = watched_run(script, [], seconds=5.0)
    assert visit is not None
    assert visit.healthy, [d.to_dict() for d in visit.diagnoses]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_fix_proves_a_repair_and_runs_it_last(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "train.py"
    script.write_text(FAULTY["no_zero_grad"][1])
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out.json"
    page = tmp_path / "page.html"
    from soundfit.doctor import script as runner
    from soundfit.report.doctor_page import doctor_page

    monkeypatch.setattr(runner, "PAGE", doctor_page)
    assert run_script(script, fix=True, json_path=out, html_path=page, seconds=6.0) == 0
    report = json.loads(out.read_text())
    assert set(report) == {"healthy", "diagnoses", "repair", "overhead"}
    first = report["diagnoses"][0]
    assert set(first) == {"code", "severity", "cause", "confidence", "where", "evidence", "prescription"}
    assert set(first["where"]) == {"module", "file", "line", "step"}
    repair = report["repair"]
    assert {"accepted", "before", "after", "interval", "trials", "blind"} <= set(repair)
    assert repair["accepted"]
    assert repair["interval"][0] > 0
    assert len(repair["trials"]) <= 6
    proven = [one["seed"] for one in repair["trials"] if one["seed"] != 0]
    assert len(proven) >= 3
    assert sorted(proven) == sorted(one["seed"] for one in repair["originals"] if one["seed"] != 0)
    said = capfd.readouterr()
    accuracies = [float(line.split()[1]) for line in said.out.splitlines()]
    assert accuracies[-1] > accuracies[0] + 0.3
    assert "repair accepted" in said.err
    assert "<svg" in page.read_text()
    assert "http" not in page.read_text().replace("http-equiv", "")


def test_findings_are_written_before_a_repair_that_may_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, out = tmp_path / "train.py", tmp_path / "out.json"
    script.write_text(
        "import torch\nw = torch.nn.Linear(1, 1)\no = torch.optim.SGD(w.parameters(), 0.1)\n"
        "w(torch.ones(4, 1)).mean().backward()\no.step()\n"
    )
    monkeypatch.chdir(tmp_path)

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("soundfit.doctor.repair.repair", stopped)
    with pytest.raises(KeyboardInterrupt):
        run_script(script, fix=True, json_path=out, seconds=0.5)
    report = json.loads(out.read_text())
    assert set(report) == {"healthy", "diagnoses", "repair", "overhead"}
    assert report["repair"] is None

"""The page: one file, layers worst first, light and dark."""

from __future__ import annotations

import numpy as np

from soundfit.records import Trace
from soundfit.records.said import say
from soundfit.report.doctor_page import doctor_page


def test_the_worst_layer_leads_each_picture() -> None:
    at = np.arange(1, 6, dtype=float)
    layers = {
        f"layer{i}": {"gradient_rms": np.full(5, g), "zero_fraction": np.full(5, z)}
        for i, (g, z) in enumerate([(1e-2, 0.1), (1e-9, 0.3), (2e-2, 1.0), (3e-2, 0.2)])
    }
    trace = Trace("step", at, {"training_loss": np.linspace(1, 0.5, 5)}, layers, (), {})
    page = doctor_page(trace, {"healthy": True, "diagnoses": [], "repair": None}, "train<1>.py")
    first, second = page.index('aria-label="Gradient by layer'), page.index('aria-label="Share of zeros')
    gradients, zeros = page[first:second], page[second:]
    assert (
        "layer1: 1e-9 at the beginning and at the end. The others ended between 0.01 and 0.03." in gradients
    )
    assert "layer2: 1 at the beginning" in zeros
    key = page[page.index("Share of zeros") : second]
    assert key.index("layer2") < key.index("layer1") < key.index("layer0")
    assert "prefers-color-scheme: dark" in page
    assert "train&lt;1&gt;.py" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_page_speaks_chinese() -> None:
    trace = Trace("step", np.arange(1, 3, dtype=float), {"training_loss": np.array([2.0, 1.0])}, {}, (), {})
    found = {
        "code": "vanishing-gradient",
        "severity": "error",
        "cause": "gradients vanish on their way to the first layers",
        "confidence": 0.9,
        "where": {"module": "", "file": "", "line": 0, "step": None},
        "evidence": {"possible_score": 0.5, "update_ratio": None, "frozen": ["a", "b"]},
        "prescription": {"text": say("Try this change: {best}.", best="fresh"), "patch": "- old\n+ new"},
    }
    page = doctor_page(trace, {"healthy": False, "diagnoses": [found], "repair": None}, "a.py", lang="zh")
    assert '<html lang="zh">' in page
    assert "最可能的原因：梯度在传到前几层的途中消失（梯度消失）。" in page
    assert "训练损失：从 2 变为 1。" in page
    assert "试试这个修改：fresh。" in page
    assert "<dt>更新量与权重之比</dt><dd>–</dd><dt>冻结的参数</dt><dd>a，b</dd>" in page
    assert "- old\n+ new" in page


def test_a_repair_is_told_in_words() -> None:
    trace = Trace("step", np.arange(1, 3, dtype=float), {"training_loss": np.ones(2)}, {}, (), {})

    def page(**repair: object) -> str:
        empty = {
            "accepted": False,
            "before": None,
            "after": None,
            "interval": None,
            "trials": [],
            "blind": None,
        }
        return doctor_page(
            trace, {"healthy": False, "diagnoses": [], "repair": {**empty, **repair}}, "train.py"
        )

    assert "Nothing was tried: no change is known." in page(why="no change is known")
    assert "None" not in page()
    trials = [
        {"change": "lr-too-low", "seed": 0, "score": None},
        {"change": "lr-too-low", "seed": 1, "score": 0.9},
    ]
    found = page(accepted=True, before=0.5, after=0.9, interval=[0.3, 0.5], trials=trials, rows="all")
    assert (
        "Accepted: score 0.500 before, 0.900 after; 95 % interval of the gain 0.300 to 0.500; judged on all."
        in found
    )
    assert "no score" in found

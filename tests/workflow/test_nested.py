import numpy as np
import pandas as pd

import soundfit as sf


def test_nested_scores_come_from_rows_that_no_selection_saw(tables):
    run = sf.train(tables / "penguins.csv", target="species", model="linear", folds=3, nested=True)
    nested = run.document["cv"]["nested"]
    assert len(nested["per_fold"]) == 3
    assert nested["value"] == np.mean(nested["per_fold"])
    assert nested["optimism"] == nested["value"] - run.document["cv"]["value"]
    assert any("Nested cross-validation" in remark for remark in run.remarks)


def test_on_pure_noise_the_nested_score_does_not_beat_chance():
    """The best of several configurations on noise looks better than it is; nested it may not."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(90, 12))).rename(columns=lambda c: f"x{c}")
    frame["y"] = rng.choice(["a", "b"], size=90)
    run = sf.train(frame, target="y", model="linear", folds=3, nested=True)
    assert run.document["cv"]["nested"]["value"] > 0.66

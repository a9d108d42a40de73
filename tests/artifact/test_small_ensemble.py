import numpy as np
import pytest

from soundfit.artifact.small_ensemble import SmallEnsemble


@pytest.mark.parametrize("kind", ["linear", "mlp", "waves", "resmlp", "infinite", "blend"])
@pytest.mark.parametrize("name", ["every kind", "penguins"])
def test_members_in_one_pass_equal_members_one_by_one(predictors, name, kind):
    predictor, frame = predictors(name, kind)
    for n in (1, 7):
        encoded = [encoder.transform(frame.head(n)) for encoder in predictor.distinct_encoders]
        expected = predictor.mean(encoded)
        np.testing.assert_allclose(SmallEnsemble(predictor).mean(encoded), expected, rtol=1e-5, atol=1e-5)

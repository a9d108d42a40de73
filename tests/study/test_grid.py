import pytest

from soundfit.records import Config
from soundfit.study.grid import default_configurations, expand_grid, sized_to_rows


def test_a_grid_is_the_product_of_its_values():
    configs = expand_grid(Config(), {"width": [8, 16], "heads": [1, 2, 3]})
    assert [(c.width, c["heads"]) for c in configs] == [(w, h) for w in (8, 16) for h in (1, 2, 3)]


@pytest.mark.parametrize("values", [[], "relu"])
def test_a_grid_entry_without_values_is_refused(values):
    with pytest.raises(ValueError, match="a grid has a list of one or more values"):
        expand_grid(Config(), {"activation": values})


@pytest.mark.parametrize("n", [50, 500, 2_000, 30_000, 1_000_000])
def test_train_tries_enough_configurations_of_linear_models_and_nets(n):
    configs, enough = default_configurations(n), 16
    assert len(default_configurations(n, numeric=(0, 2))) >= enough
    assert any(c.get("periodic") == [0, 2] for c in default_configurations(n, numeric=(0, 2)))
    assert not any(c.get("periodic") for c in default_configurations(n, numeric=range(500)))
    assert len(configs) >= enough
    assert {"linear", "mlp"} == {c.model for c in configs}
    assert len(set(map(str, configs))) == len(configs)
    batch, epochs = sized_to_rows(n)
    assert 1 <= batch <= 1024
    assert 100 <= max(1, n // batch) * epochs <= 20_000 or n < 100


def test_one_family_can_be_asked_for():
    assert {c.model for c in default_configurations(1000, model="resmlp")} == {"resmlp"}
    assert {c.model for c in default_configurations(1000, model="linear")} == {"linear"}

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundfit.study.selection import one_se_rule, paired_row_se


def test_the_simplest_within_one_paired_standard_error_wins():
    best = np.array([1.00, 1.20, 0.90, 1.10, 1.00])
    near = best + np.array([0.02, -0.01, 0.01, 0.02, -0.02])  # mean difference 0.004, paired SE 0.008
    far = best + np.array([0.10, 0.11, 0.09, 0.10, 0.10])  # small differences, but sure
    choice = one_se_rule(np.stack([far, near, best]), [10, 100, 1000], greater_is_better=False)
    assert (choice.chosen, choice.best) == (1, 2)
    assert "one-standard-error" in choice.rule


def test_a_sure_difference_keeps_the_best_however_much_folds_differ():
    best = np.array([1.0, 5.0, 0.1, 3.0])
    choice = one_se_rule(np.stack([best + 0.05, best]), [1, 2], greater_is_better=False)
    assert choice.chosen == 1


def test_greater_is_better_turns_the_order():
    scores = np.array([[0.90, 0.91, 0.92], [0.50, 0.50, 0.50]])
    assert one_se_rule(scores, [5, 1], greater_is_better=True).chosen == 0


def test_failed_members_are_never_chosen():
    scores = np.array([[np.nan, 0.1], [0.5, 0.6]])
    assert one_se_rule(scores, [1, 2], greater_is_better=False).chosen == 1
    with pytest.raises(ValueError, match="finite score on every fold"):
        one_se_rule(scores[:1], [1], greater_is_better=False)


@given(st.integers(2, 6), st.integers(2, 10), st.integers(0, 10_000))
def test_the_choice_is_never_larger_than_the_best_nor_further_than_one_se(n, k, seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(1.0, 0.2, size=(n, k))
    sizes = rng.integers(1, 4, size=n)
    choice = one_se_rule(scores, sizes, greater_is_better=False)
    difference = scores[choice.chosen] - scores[choice.best]
    assert sizes[choice.chosen] <= sizes[choice.best]
    assert difference.mean() <= difference.std(ddof=1) / np.sqrt(k) + 1e-12
    assert choice.best == int(scores.mean(1).argmin())


def test_row_standard_error_of_a_root_mean_square_matches_the_bootstrap():
    rng = np.random.default_rng(0)
    a = rng.normal(0, 1.0, 4000) ** 2
    rows = np.stack([a, a * 1.1 + rng.normal(0, 0.1, 4000) ** 2])
    se = paired_row_se(rows, 0, root=True)
    draws = [np.diff(np.sqrt(rows[:, rng.integers(0, 4000, 4000)].mean(1)))[0] for _ in range(400)]
    assert se[0] == 0
    assert se[1] == pytest.approx(np.std(draws), rel=0.25)

"""Calls that a repaired run makes otherwise than the script wrote them, by the name of the change."""

from __future__ import annotations

from collections.abc import Callable

from soundfit.doctor.actions import favoured
from soundfit.doctor.filled import known_targets
from soundfit.doctor.lists import turned_lists
from soundfit.doctor.once import copied_states, matched_names, turned_distances
from soundfit.doctor.rates import taken_as_rates
from soundfit.doctor.replaced import Replaced
from soundfit.doctor.seeds import fresh_seeds
from soundfit.doctor.slopes import sound_slopes
from soundfit.doctor.stops import pass_on

__all__ = ["CALLS"]

CALLS: dict[str, Callable[[Replaced], None]] = {
    "copied_state": lambda replaced: copied_states(replaced.put),
    "favoured": favoured,
    "fresh_seeds": lambda replaced: fresh_seeds(replaced.put),
    "known_targets": lambda replaced: known_targets(replaced.put),
    "matched_names": lambda replaced: matched_names(replaced.put),
    "pass_on": pass_on,
    "rates": lambda replaced: taken_as_rates(replaced.put),
    "slopes": sound_slopes,
    "turned_distance": lambda replaced: turned_distances(replaced.put),
    "turned_lists": lambda replaced: turned_lists(replaced.put),
}

"""Names: what a column's name says about it: a clock, an individual, a place. Knows words only."""

from __future__ import annotations

import re

__all__ = ["clock_unit", "names_birth", "names_cluster", "names_individual", "says_clock", "words"]


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INDIVIDUALS = _set(
    """
    account animal applicant athlete author batch bird borehole borrower candidate case cat cell child
    client clip colony compound couple cow customer device dog donor driver embryo employee engine eye
    family fish household image individual litter machine member mix molecule mother mouse nest owner
    participant passenger patient person player policyholder protein pupil rat rater recording
    respondent scaffold scan sensor sequence session sheep singer slide speaker specimen student subject
    subscriber tooth tree twin unit user vehicle video visitor volunteer voter well worker writer
    """
)
_CLUSTERS = _set(
    """
    block branch building center centre class classroom clinic cluster cohort company doctor experiment
    facility farm field firm fold group hospital lab laboratory lot physician plant plot region run
    school shop site station store study team town trial village ward
    """
)
_ID_WORDS = _set(
    """
    code guid id ids key no nr num number pid uid uuid
    """
)
_CLOCK = {
    **dict.fromkeys(("year", "yr", "years"), 0),
    **dict.fromkeys(("quarter", "qtr"), 1),
    **dict.fromkeys(("month", "mnth", "mon", "mo"), 2),
    **dict.fromkeys(("week", "wk"), 3),
    **dict.fromkeys(("day", "date", "dteday"), 4),
    **dict.fromkeys(("hour", "hr"), 5),
    **dict.fromkeys(("minute", "min"), 6),
    **dict.fromkeys(("second", "sec"), 7),
}
_QUALIFIERS = _set(
    """
    in index local measurement name no num number obs observation observed of order pickup purchase
    record sale sales sample sold start survey the transaction trip
    """
)
_TIMES = _set(
    """
    date datetime day dteday epoch hour hr mnth month period quarter step t tick time timestamp ts week
    when wk year yr
    """
)
_BIRTHS = _set(
    """
    birth birthdate birthday blt born built construction dob due expiration expiry founded manufacture
    manufactured maturity model opened remod
    """
)


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case: ``"patientID_2"`` → ``("patient", "id")``."""
    return tuple(w.casefold() for w in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name))


def names_individual(name: str) -> bool:
    """Whether the name is that of something observed repeatedly: a patient, a user, "…_id"."""
    parts = words(name)
    if not parts:
        return False
    singular = [p[:-1] if p.endswith("s") and p[:-1] in _INDIVIDUALS else p for p in parts]
    bare = [p for p in singular if p not in _ID_WORDS]
    if parts[-1] in {"id", "ids", "uid", "uuid", "guid", "pid"} or parts[0] in {"id", "uid", "uuid"}:
        return True
    joined = re.match(r"^(.+?)(id|uid|nr|no|num)$", parts[-1])
    if joined and joined.group(1) in _INDIVIDUALS:
        return True
    return len(bare) == 1 and bare[0] in _INDIVIDUALS


def names_cluster(name: str) -> bool:
    """Whether the name is that of a place or unit that holds many rows: a school, a hospital."""
    bare = [p for p in words(name) if p not in _ID_WORDS]
    return len(bare) == 1 and (bare[0] in _CLUSTERS or bare[0].rstrip("s") in _CLUSTERS)


def says_clock(name: str) -> bool:
    """Whether the name is that of the time of an observation (and not of a birth or a building)."""
    parts = words(name)
    return bool(parts) and any(p in _TIMES for p in parts) and not names_birth(name)


def names_birth(name: str) -> bool:
    """Whether the name is that of a date that belongs to a thing, not to its observation."""
    parts = words(name)
    return any(p in _BIRTHS for p in parts) or "".join(parts) in {"dateofbirth", "birthdate", "yearbuilt"}


def clock_unit(name: str) -> int | None:
    """Return the unit that the name names, from 0 (year) to 7 (second); None where it names none."""
    parts = words(name)
    if names_birth(name) or not parts:
        return None
    bare = [p for p in parts if p not in _QUALIFIERS]
    return _CLOCK.get(bare[0]) if len(bare) == 1 else None

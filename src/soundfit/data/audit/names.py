"""Names: what a column's name says about it: a clock, an individual, a place. Knows words only."""

from __future__ import annotations

import re

__all__ = ["clock_unit", "names_birth", "names_cluster", "names_individual", "says_clock", "words"]

_INDIVIDUALS = frozenset(
    "patient subject user customer client person participant individual respondent student pupil child mother "
    "animal mouse rat dog cat cow sheep bird fish speaker singer writer author household family donor account "
    "member employee worker player athlete driver passenger machine engine device sensor unit vehicle session "
    "visitor twin couple rater specimen donor volunteer candidate borrower owner household tree cell embryo "
    "litter mix batch recording video clip scan slide image sequence molecule scaffold protein compound well "
    "borehole voter applicant policyholder subscriber case nest colony family eye tooth".split()
)
_CLUSTERS = frozenset(
    "group cluster school class classroom hospital clinic centre center doctor physician site station farm field "
    "plot village town store shop branch region firm company team lab laboratory ward site facility plant "
    "building block lot run experiment trial study cohort fold".split()
)
_ID_WORDS = frozenset({"id", "ids", "uid", "uuid", "guid", "pid", "no", "nr", "num", "number", "code", "key"})
_CLOCK = {
    "year": 0, "yr": 0, "years": 0, "quarter": 1, "qtr": 1, "month": 2, "mnth": 2, "mon": 2, "mo": 2, "week": 3,
    "wk": 3, "day": 4, "date": 4, "dteday": 4, "hour": 5, "hr": 5, "minute": 6, "min": 6, "second": 7, "sec": 7,
}  # fmt: skip
_QUALIFIERS = frozenset(
    "of the in sold sale sales obs observed observation num number no index name start order record trip pickup "
    "purchase transaction measurement sample survey local".split()
)
_TIMES = frozenset(
    "date datetime time timestamp day t epoch period step tick when dteday ts month mnth year yr week wk quarter "
    "hour hr".split()
)
_BIRTHS = frozenset(
    "birth born dob birthday birthdate built construction founded opened blt remod manufactured manufacture model "
    "expiry expiration due maturity".split()
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

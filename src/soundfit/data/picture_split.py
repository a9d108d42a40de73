"""Picture split: which pictures are sealed, and folds of the others; copies stay on one side.

Given ``train``, ``validation`` and ``test`` folders are kept; pictures outside the exam that are copies of
one inside it are left out, and so are training copies of given validation pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from soundfit.data.keys import group_codes, joined_codes
from soundfit.data.options import as_share, number_or_word
from soundfit.data.picture_copies import Copies, find_copies
from soundfit.data.pictures import Pictures
from soundfit.data.split import split
from soundfit.data.table import Column
from soundfit.records import Finding, Plan
from soundfit.records.said import joined, say

__all__ = ["COPIES", "ROLE", "PictureSplit", "split_pictures", "with_copies"]

#: Columns that a split adds to the pictures' table.
COPIES, ROLE = "copies", "role"
#: From so many pictures outside the exam on, one holdout instead of five folds.
AUTO_HOLDOUT = 5_000
_AUTO_FOLDS = 5


@dataclass(frozen=True)
class PictureSplit:
    """The pictures that take part, their plan, and what was found on the way."""

    pictures: Pictures
    plan: Plan
    findings: tuple[Finding, ...]
    copies: Copies


def split_pictures(
    pictures: Pictures,
    *,
    folds: str = "auto",
    test: str = "0.2",
    group: Sequence[str] = (),
    time: str | None = None,
    gap: str = "0",
    fold_column: str | None = None,
    stratify: bool | None = None,
    seed: int = 0,
) -> PictureSplit:
    """Find copies, seal the exam, deal the folds.

    Args:
        pictures: with the roles that were given.
        folds: number of folds, ``holdout`` or ``auto``: 5, one holdout from 5,000 pictures on.
        test: fraction to seal, where no test folder is given.
        group, time, gap, fold_column, stratify, seed: as for tables (columns of a table of paths).

    Raises:
        UsageError: an option cannot be used as given.
        DataError: too few pictures.
    """
    copies = find_copies(pictures.pixels, pictures.table.frame["picture"].to_numpy())
    findings = [*_copies_findings(pictures, copies), *_class_findings(pictures)]
    roles = pictures.roles
    if len(roles):
        keep = _apart(roles, copies.group)
        if not keep.all():
            findings.append(_left_out(pictures, keep))
            rows = np.flatnonzero(keep)
            pictures, roles = pictures.take(rows), roles[rows]
            copies = replace(copies, group=copies.group[rows], exact=copies.exact[rows])
    grouped = copies.any and time is None and fold_column is None
    if group and grouped:
        pictures = _with_column(
            pictures, group[0], joined_codes(group_codes(pictures.table, tuple(group)), copies.group)
        )
        group = (group[0],)
    elif grouped:
        pictures = _with_column(pictures, COPIES, copies.group)
        group = (COPIES,)
    options: dict[str, object] = {"group": tuple(group), "time": time, "stratify": stratify, "seed": seed}
    share = as_share(
        test,
        rule=say("--test is a fraction such as 0.2; test pictures of their own lie in a folder named test"),
        fix=say("put train and test beside each other and name the folder above them"),
    )
    n_outside = int((roles != "test").sum()) if "test" in roles else round(len(pictures) * (1 - share))
    number = number_or_word(folds)
    if folds == "auto" and time is None:
        n_groups = len(np.unique(copies.group))
        number = "holdout" if n_outside >= AUTO_HOLDOUT else min(_AUTO_FOLDS, max(2, n_groups // 4))
    given_gap = number_or_word(gap)
    if "validation" in roles:
        pictures = _with_column(pictures, ROLE, roles)
        plan = _given_validation(pictures, roles, share, options)
    elif "test" in roles:
        plan = split(
            pictures.table,
            folds=number,
            test_rows=np.flatnonzero(roles == "test"),
            gap=given_gap,
            **options,  # type: ignore[arg-type]
        )
    else:
        plan = split(
            pictures.table,
            folds="auto" if fold_column else number,
            test=share,
            gap=given_gap,
            fold_column=fold_column,
            **options,  # type: ignore[arg-type]
        )
    return PictureSplit(pictures, plan, tuple(findings), copies)


def with_copies(pictures: Pictures) -> Pictures:
    """Return pictures with the column that says which are copies of each other."""
    copies = find_copies(pictures.pixels, pictures.table.frame["picture"].to_numpy())
    return _with_column(pictures, COPIES, copies.group)


def _given_validation(
    pictures: Pictures, roles: NDArray[np.str_], share: float, options: dict[str, object]
) -> Plan:
    """Take the given validation pictures as the one fold; draw an exam from training where none is given."""
    if "test" in roles:
        return split(pictures.table, fold_column=ROLE, seed=int(str(options["seed"])))
    training = np.flatnonzero(roles == "train")
    drawn = split(pictures.table.take(training), folds="holdout", test=share, **options)  # type: ignore[arg-type]
    return split(
        pictures.table, fold_column=ROLE, test_rows=training[drawn.test], seed=int(str(options["seed"]))
    )


def _apart(roles: NDArray[np.str_], group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which pictures stay: none outside the exam with a copy in it, no training copy of validation."""
    in_test = np.isin(group, group[roles == "test"])
    keep = (roles == "test") | ~in_test
    in_validation = np.isin(group, group[roles == "validation"])
    return keep & ~((roles == "train") & in_validation)


def _with_column(pictures: Pictures, name: str, values: NDArray[np.generic]) -> Pictures:
    frame = pictures.table.frame.assign(**{name: values})
    columns = tuple(c for c in pictures.table.columns if c.name != name)
    table = replace(
        pictures.table,
        frame=frame,
        columns=tuple(
            next((c for c in columns if c.name == n), Column(n, "id", used=False, reason="for the split"))
            for n in map(str, frame.columns)
        ),
    )
    return replace(pictures, table=table)


# ---- findings ----------------------------------------------------------------------------------------


def _copies_findings(pictures: Pictures, copies: Copies) -> list[Finding]:
    found: list[Finding] = []
    files, target = pictures.table.frame["file"], pictures.table.target
    rows = pictures.table.file_rows
    if copies.n_exact:
        again = _members(copies.exact)
        found.append(
            Finding(
                "duplicate-rows",
                "warning",
                say(
                    "{n_exact:,} pictures are copies of another one ({example}); copies are kept on one "
                    "side of every split.",
                    n_exact=copies.n_exact,
                    example=_example(files, copies.exact, again),
                ),
                columns=("file",),
                rows=tuple(int(r) for r in rows[again[:20]]),
                n_rows=copies.n_exact,
                fix=say("Delete the copies: they count one picture twice."),
            )
        )
    if copies.n_near:
        near = _near_members(copies)
        found.append(
            Finding(
                "near-duplicates",
                "warning",
                say(
                    "{n_near:,} sets of pictures are nearly the same ({example}); they are kept on one "
                    "side of every split.",
                    n_near=copies.n_near,
                    example=_example(files, copies.group, near),
                ),
                columns=("file",),
                rows=tuple(int(r) for r in rows[near[:20]]),
                n_rows=len(near),
                fix=say("Keep one of each set, or leave them: the split takes care of them."),
            )
        )
    if pictures.table.task == "classification" and copies.any:
        conflict = _conflicting(copies.group, target)
        if len(conflict):
            found.append(
                Finding(
                    "label-conflict",
                    "warning",
                    say(
                        "{n_conflict:,} pictures have a copy under another label ({example}).",
                        n_conflict=len(conflict),
                        example=_example(files, copies.group, conflict),
                    ),
                    columns=(pictures.table.target_name,),
                    rows=tuple(int(r) for r in rows[conflict[:20]]),
                    n_rows=len(conflict),
                    fix=say("Decide on one label for each and delete the other copies."),
                )
            )
    return found


def _class_findings(pictures: Pictures) -> list[Finding]:
    table = pictures.table
    if table.task != "classification":
        return []
    counts = np.bincount(table.target, minlength=len(table.classes))
    found = []
    if counts.max() >= 10 * counts.min():
        few, many = int(counts.argmin()), int(counts.argmax())
        found.append(
            Finding(
                "class-imbalance",
                "note",
                say(
                    "{classes!s} has {counts:,} pictures, {classes2!s} {counts2:,}.",
                    classes=table.classes[many],
                    counts=counts[many],
                    classes2=table.classes[few],
                    counts2=counts[few],
                ),
                columns=(table.target_name,),
                fix=say("Read the balanced accuracy and each class's recall beside the accuracy."),
            )
        )
    rare = np.flatnonzero(counts < 10)
    if len(rare):
        names = ", ".join(
            say("{classes!s} ({counts})", classes=table.classes[c], counts=counts[c]) for c in rare[:5]
        )
        found.append(
            Finding(
                "rare-class",
                "warning",
                say(
                    "{n_rare} of {n_counts} classes have fewer than 10 pictures: {names}",
                    n_rare=len(rare),
                    n_counts=len(counts),
                    names=names,
                )
                + (", …" if len(rare) > 5 else "."),
                columns=(table.target_name,),
                fix=say("Add pictures of these classes, or merge them into others."),
            )
        )
    return found


def _left_out(pictures: Pictures, keep: NDArray[np.bool_]) -> Finding:
    gone = np.flatnonzero(~keep)
    named = ", ".join(pictures.table.frame["file"].iloc[gone[:2]])
    return Finding(
        "duplicate-rows",
        "warning",
        say(
            "{n_gone:,} pictures given for training or validation have a copy in the given test or "
            "validation pictures and are left out ({named}{what}).",
            n_gone=len(gone),
            named=named,
            what=", …" if len(gone) > 2 else "",
        ),
        columns=("file",),
        rows=tuple(int(r) for r in pictures.table.file_rows[gone[:20]]),
        n_rows=len(gone),
        fix=say("Delete them there: a score on pictures that were trained on is a lie."),
    )


def _members(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return positions whose number another one has too."""
    counts = np.bincount(codes)
    return np.flatnonzero(counts[codes] > 1)


def _near_members(copies: Copies) -> NDArray[np.int64]:
    contents = np.unique(np.stack([copies.group, copies.exact], axis=1), axis=0)
    several = np.bincount(contents[:, 0], minlength=int(copies.group.max()) + 1) > 1
    return np.flatnonzero(several[copies.group])


def _conflicting(group: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.int64]:
    labels = np.unique(np.stack([group, target], axis=1), axis=0)
    several = np.bincount(labels[:, 0], minlength=int(group.max()) + 1) > 1
    return np.flatnonzero(several[group])


def _example(files: object, codes: NDArray[np.int64], members: NDArray[np.int64]) -> str:
    first = members[0]
    twins = members[codes[members] == codes[first]][:2]
    return joined(say(" and "), [str(files.iloc[i]) for i in twins])  # type: ignore[attr-defined]

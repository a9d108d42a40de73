"""Catalogue: the lessons by name, in the order to read them. Imports an experiment only to run it."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass

from soundfit.errors import UsageError
from soundfit.lessons.lesson import Lesson
from soundfit.records.said import Said, say

__all__ = ["LESSONS", "Entry", "entry_named", "run_lesson"]


@dataclass(frozen=True)
class Entry:
    """One lesson: ``name`` on the command line, ``title``, and the ``question`` that it answers."""

    name: str
    title: Said
    question: Said


LESSONS = (
    Entry(
        "polynomial",
        say("Underfitting, a good fit, overfitting"),
        say("What does a polynomial of too low and too high a degree get wrong?"),
    ),
    Entry(
        "capacity",
        say("Training and generalisation error"),
        say("What does more capacity do to either, and what does stopping early?"),
    ),
    Entry(
        "too-few-samples",
        say("Too few samples"),
        say("From how many rows on does a net beat a linear model?"),
    ),
    Entry(
        "three-sets",
        say("Three sets, and what peeking costs"),
        say("How well does the best of 1,000 models that know nothing score?"),
    ),
    Entry(
        "k-fold",
        say("k-fold cross-validation"),
        say("How far off is an estimate with 2, 5, 10 or n folds?"),
    ),
    Entry(
        "random-labels",
        say("Capacity and VC dimension"),
        say("How many points with random labels can a model label as they are?"),
    ),
    Entry(
        "weight-decay",
        say("Weight decay"),
        say("What does it do for 200 weights and 20 rows, and does it remove edges?"),
    ),
    Entry(
        "dropout",
        say("Dropout and noise"),
        say("Does dropout set activations or gradients to zero, and what does it buy?"),
    ),
    Entry(
        "three-models",
        say("Linear, softmax, MLP"),
        say("What does each of them get right on the same digits?"),
    ),
    Entry(
        "matrix-product",
        say("The product of 100 matrices"),
        say("Why do gradients vanish or explode with depth?"),
    ),
    Entry(
        "saturation",
        say("Sigmoid saturation"),
        say("What is left of a gradient behind units that are on or off?"),
    ),
    Entry(
        "initialisation",
        say("Initialisation scale"),
        say("How large should the weights of twenty layers be at the start?"),
    ),
    Entry(
        "half-precision",
        say("NaN in half precision"),
        say("Where do numbers end, and what keeps a softmax finite?"),
    ),
    Entry(
        "residual",
        say("Plain and residual depth"),
        say("Why do thirty plain layers learn less than three?"),
    ),
    Entry(
        "lstm",
        say("LSTM and RNN"),
        say("Which of them remembers the first of a hundred steps?"),
    ),
    Entry(
        "house-prices",
        say("House prices from start to finish"),
        say("What does careful training do with a real table?"),
    ),
)


def entry_named(name: str) -> Entry:
    """Return a lesson's entry.

    Raises:
        UsageError: there is no lesson of that name.
    """
    known = {entry.name: entry for entry in LESSONS}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, [*known, "all"], n=1)
    raise UsageError(
        "A lesson is named as 'soundfit lesson' lists it",
        received=repr(name),
        fix=say("try 'soundfit lesson {near}'", near=near[0])
        if near
        else "run 'soundfit lesson' for the list",
    )


def run_lesson(name: str, *, seed: int = 0) -> Lesson:
    """Run a lesson's experiment and return what it measured; torch's own generator is left as it was."""
    import torch

    entry = entry_named(name)
    module = importlib.import_module(f"soundfit.lessons.{entry.name.replace('-', '_')}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found: Lesson = module.measure(seed)
    return found

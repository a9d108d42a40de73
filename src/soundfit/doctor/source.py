"""What a script's text says of its training: does the test score choose? Knows syntax trees, no torch.

Numbers cannot tell a validation set from a test set: only the user's own names can.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from soundfit.records.said import say

__all__ = ["Selection", "parsed", "selection_by_test"]

_BEST = re.compile(r"best|highest|lowest|max|min|record|top", re.IGNORECASE)
_KEEPS = re.compile(
    r"state_dict|torch\.save|deepcopy|checkpoint|\.save\(|save_model|best_(model|net|weights|params|lr)"
)
_STOPS = re.compile(r"patience|wait|counter|early|no_improve|bad_epochs", re.IGNORECASE)
_TEST = re.compile(r"^(x|y)?(test|tst|te)(set|loader|data|ing|dl|ds|x|y|acc|loss|iter)?$")
_OTHER = re.compile(r"^(x|y)?(va$|val|valid|validation|dev)")
_SPLITTERS = ("train_test_split",)


@lru_cache(maxsize=4)
def parsed(text: str) -> ast.Module | None:
    """Return a script's syntax tree, to be read only; None where it is no Python. All questions share one."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


@dataclass(frozen=True)
class Selection:
    """Where a script keeps what scored best on its test rows: line, the score's name, what is chosen."""

    line: int
    score: str
    chosen: str


def selection_by_test(text: str) -> Selection | None:
    """Return the first place where a checkpoint, or the time to stop, is chosen by a score on test rows.

    The user's own names decide: a score comes from test rows where its name, the expression or loop that made
    it, or a function of the script that it came from, speaks of ``test`` and not of validation.
    """
    tree = parsed(text)
    if tree is None:
        return None
    script = _Script(tree)
    for branch in ast.walk(tree):
        if isinstance(branch, ast.If):
            for score in _compared_with_best(branch.test):
                chosen = _chosen(branch)
                if chosen and script.is_of_test(score, branch, 0):
                    return Selection(branch.lineno, ast.unparse(score), chosen)
    return None


def _compared_with_best(test: ast.expr) -> Iterator[ast.expr]:
    parts = test.values if isinstance(test, ast.BoolOp) else [test]
    for part in parts:
        if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Lt | ast.Gt | ast.LtE | ast.GtE):
            left, right = part.left, part.comparators[0]
            for best, score in ((left, right), (right, left)):
                if _BEST.search(ast.unparse(best)) and not _BEST.search(ast.unparse(score)):
                    yield score


def _chosen(branch: ast.If) -> str:
    body = "\n".join(ast.unparse(one) for one in branch.body)
    rest = "\n".join(ast.unparse(one) for one in branch.orelse)
    if _KEEPS.search(body):
        return say("checkpoint")
    stops = any(isinstance(one, ast.Break) for part in branch.orelse for one in ast.walk(part))
    return say("time to stop") if stops or _STOPS.search(rest) else ""


def _words(node: ast.AST) -> set[str]:
    """Return the parts of every identifier and string key in a piece of code."""
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id not in _SPLITTERS]
    names += [n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute)]
    names += [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return {word.lower() for name in names if len(name) < 40 for word in re.split(r"[\W_\d]+", name) if word}


def _speaks_of_test(words: set[str]) -> bool:
    return any(_TEST.match(w) for w in words) and not any(_OTHER.match(w) for w in words)


def _pairs(node: ast.Assign | ast.AugAssign | ast.AnnAssign) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yield targets with what is assigned to each: of ``a, b = one, two`` the part that is its own."""
    for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
        value = node.value
        if (
            isinstance(target, ast.Tuple)
            and isinstance(value, ast.Tuple)
            and len(target.elts) == len(value.elts)
        ):
            yield from zip(target.elts, value.elts, strict=True)
        else:
            yield target, value


class _Script:
    """Assignments, loops and functions of one script, for following a score to its origin."""

    def __init__(self, tree: ast.Module) -> None:
        self.functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        self.inside: dict[ast.AST, ast.AST] = {
            child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)
        }
        self.made: dict[str, list[tuple[ast.stmt, ast.expr | None]]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
                for target, value in _pairs(node):
                    for name in {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}:
                        self.made.setdefault(name, []).append((node, value))

    def is_of_test(self, score: ast.expr, at: ast.AST, depth: int) -> bool:
        """Return whether an expression at a place goes back to test rows."""
        words = _words(score)
        if any(_OTHER.match(w) for w in words):
            return False
        if _speaks_of_test(words) or self._calls_of_test(score):
            return True
        if depth > 3:
            return False
        names = {n.id for n in ast.walk(score) if isinstance(n, ast.Name)}
        home = self._home(at)
        for name in names:
            for origin, value in self.made.get(name, []):
                if self._home(origin) is not home or value is None:
                    continue
                if self._in_loop_of_test(origin) or self.is_of_test(value, origin, depth + 1):
                    return True
        return False

    def _calls_of_test(self, score: ast.expr) -> bool:
        called = [
            n.func.id for n in ast.walk(score) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        ]
        return any(f in self.functions and _speaks_of_test(_words(self.functions[f])) for f in called)

    def _in_loop_of_test(self, node: ast.AST) -> bool:
        while node in self.inside and not isinstance(node, ast.FunctionDef):
            node = self.inside[node]
            if isinstance(node, ast.For) and _speaks_of_test(_words(node.iter)):
                return True
        return False

    def _home(self, node: ast.AST) -> ast.AST | None:
        """Return the function that a place is in, None for the script itself."""
        here: ast.AST | None = node
        while here is not None and not isinstance(here, ast.FunctionDef):
            here = self.inside.get(here)
        return here

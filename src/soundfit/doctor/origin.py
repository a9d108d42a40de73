"""What a script's text says of its rows: shuffled apart, divided as whole numbers. Knows syntax trees.

A text alone accuses nobody: rules use what is found here beside numbers that say the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

__all__ = ["divides_bytes", "shuffled_apart"]

_MIXES = ("permutation", "randperm", "shuffle", "sample")
_SEEDS = re.compile(r"seed|RandomState|default_rng|Generator|set_state|setstate|copy")
_DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
_NEAR = 4  # statements between two shuffles of what belongs together


def shuffled_apart(text: str) -> int | None:
    """Return the line where a second array is shuffled by itself soon after another, None where none is.

    Shuffles with a seed of their own, or after one was set again, go the same way and are none.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    for block in _blocks(tree):
        last: tuple[int, str] | None = None
        for place, statement in enumerate(block):
            name = _mixed(statement)
            if name is not None and last is not None and place - last[0] <= _NEAR and name != last[1]:
                return statement.lineno
            if name is not None:
                last = (place, name)
            elif _SEEDS.search(ast.unparse(statement)) and not isinstance(
                statement, ast.FunctionDef | ast.ClassDef
            ):
                last = None
    return None


def divides_bytes(text: str) -> int | None:
    """Return the line that divides by 255, None where none does."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    for node in ast.walk(tree):
        by = (
            node.right
            if isinstance(node, ast.BinOp)
            else node.value
            if isinstance(node, ast.AugAssign)
            else None
        )
        if (
            isinstance(by, ast.Constant)
            and by.value in (255, 255.0, 256, 256.0)
            and isinstance(node, ast.BinOp | ast.AugAssign)
            and isinstance(node.op, ast.Div | ast.FloorDiv)
        ):
            return node.lineno
    return None


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                yield block


def _mixed(statement: ast.stmt) -> str | None:
    """Return the name of the array that a statement puts in an order drawn for it alone."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):  # np.random.shuffle(x)
        call = statement.value
        one = len(call.args) == 1 and isinstance(call.args[0], ast.Name | ast.Attribute)
        if _called(call) == "shuffle" and one and not call.keywords:
            return ast.unparse(call.args[0])
        return None
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target, value = statement.targets[0], statement.value
    if not isinstance(target, ast.Name | ast.Attribute):
        return None
    if isinstance(value, ast.Subscript):  # x[np.random.permutation(len(x))]
        calls = [n for n in ast.walk(value.slice) if isinstance(n, ast.Call)]
        drawn = any(_called(n) in ("permutation", "randperm") for n in calls)
        return ast.unparse(target) if drawn else None
    calls = [n for n in ast.walk(value) if isinstance(n, ast.Call) and _called(n) in _MIXES]
    for call in calls:
        seeded = any(k.arg in ("random_state", "generator", "random") for k in call.keywords)
        whole = _called(call) != "sample" or any(k.arg == "frac" for k in call.keywords)
        array = _called(call) == "sample" or (
            len(call.args) == 1 and ast.unparse(call.args[0]) == ast.unparse(target)
        )
        if not seeded and whole and array and _called(call) != "randperm":
            return ast.unparse(target)
    return None


def _called(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""

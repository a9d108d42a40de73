"""A script's text, changed while it is loaded for a retraining: what no change to torch can repair.

No file is touched. Knows syntax trees and random states; which line to change was read of the text.
"""

from __future__ import annotations

import ast
import copy
import random
from typing import Any

from soundfit.doctor.origin import mixed, shuffles_near

__all__ = ["REWRITES", "Orders", "rewritten"]

_SMALLEST = 16  # a division by less may well be meant to give whole numbers
_WHOLE = ("uint8", "int8", "int16", "int32", "int64", "int", "byte", "long", "short")
_NAME = "__soundfit_orders__"


def rewritten(tree: ast.Module, wanted: dict[str, Any]) -> ast.Module:
    """Return a tree as a change's ``rewrite`` (name and line) wants it; itself without one."""
    given = wanted.get("rewrite")
    if given is None:
        return tree
    name, line = given
    tree = REWRITES[name](copy.deepcopy(tree), int(line))
    return ast.fix_missing_locations(tree)


def _true_division(tree: ast.Module, _: int) -> ast.Module:
    """Let ``x // 255`` and ``(x / 255).astype(int)`` keep fractions, on every line: test rows' as well."""

    class Divide(ast.NodeTransformer):
        def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
            self.generic_visit(node)
            if isinstance(node.op, ast.FloorDiv) and _scales(node.right):
                node.op = ast.Div()
            return node

        def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
            self.generic_visit(node)
            if not isinstance(node.op, ast.FloorDiv | ast.Div) or not _scales(node.value):
                return node
            read = copy.deepcopy(node.target)
            for part in ast.walk(read):
                if hasattr(part, "ctx"):
                    part.ctx = ast.Load()
            divided = ast.BinOp(left=read, op=ast.Div(), right=node.value)  # a new array: its type may differ
            return ast.copy_location(ast.Assign(targets=[node.target], value=divided), node)

        def visit_Call(self, node: ast.Call) -> ast.AST:
            self.generic_visit(node)
            if isinstance(node.func, ast.Attribute) and _divides(node.func.value) and _to_whole(node):
                return node.func.value
            return node

    return Divide().visit(tree)


def _scales(by: ast.expr) -> bool:
    return isinstance(by, ast.Constant) and isinstance(by.value, int | float) and by.value >= _SMALLEST


def _divides(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.FloorDiv) and _scales(node.right)


def _to_whole(call: ast.Call) -> bool:
    """Return whether a method call turns what it is called on into whole numbers."""
    named = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if named in ("byte", "int", "long", "short") and not call.args:
        return True
    kinds = [
        a.attr if isinstance(a, ast.Attribute) else getattr(a, "id", getattr(a, "value", ""))
        for a in call.args
    ]
    return named in ("astype", "to", "type") and any(kind in _WHOLE for kind in kinds)


def _same_order(tree: ast.Module, line: int) -> ast.Module:
    """Draw the second of two orders from the state that the first one was drawn from."""
    for block, first, second in shuffles_near(tree):
        if block[second].lineno != line:
            continue
        owners = [
            copy.deepcopy(call.func.value)
            for call in ast.walk(block[first])
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        ]
        block.insert(second, _said("back", []))
        block.insert(first, _said("remember", owners))
        break
    return tree


def _said(method: str, args: list[ast.expr]) -> ast.Expr:
    owner = ast.Name(id=_NAME, ctx=ast.Load())
    return ast.Expr(value=ast.Call(func=ast.Attribute(owner, method, ast.Load()), args=args, keywords=[]))


def _kept_order(tree: ast.Module, line: int) -> ast.Module:
    """Leave out the statement that puts rows into an order which their labels do not follow."""

    class Leave(ast.NodeTransformer):
        def visit_Assign(self, node: ast.Assign) -> ast.AST:
            return ast.copy_location(ast.Pass(), node) if node.lineno == line and mixed(node) else node

        def visit_Expr(self, node: ast.Expr) -> ast.AST:
            return ast.copy_location(ast.Pass(), node) if node.lineno == line and mixed(node) else node

    return Leave().visit(tree)


REWRITES = {"true_division": _true_division, "same_order": _same_order, "kept_order": _kept_order}


class Orders:
    """States of random generators, taken before one shuffle and put back before the next."""

    name = _NAME

    def __init__(self) -> None:
        self._states: list[Any] = []

    def remember(self, *owners: Any) -> None:
        """Take the states of all global generators and of those among ``owners``."""
        import numpy as np
        import torch

        python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        self._states = [
            lambda: random.setstate(python),
            lambda: np.random.set_state(arrays),  # noqa: NPY002
            lambda: torch.set_rng_state(tensors),
        ]
        for one in owners:
            if isinstance(one, np.random.Generator):
                self._states.append(
                    _setter(one.bit_generator, "state", copy.deepcopy(one.bit_generator.state))
                )
            elif isinstance(one, np.random.RandomState | torch.Generator):
                self._states.append(lambda one=one, state=one.get_state(): one.set_state(state))
            elif isinstance(one, random.Random):
                self._states.append(lambda one=one, state=one.getstate(): one.setstate(state))

    def back(self) -> None:
        """Put the states back."""
        for put in self._states:
            put()


def _setter(owner: Any, name: str, value: Any) -> Any:
    return lambda: setattr(owner, name, value)

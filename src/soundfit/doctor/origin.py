"""What a script's text says of its rows and results: shuffled apart, divided, dropped. Knows syntax trees.

A text alone accuses nobody: rules use what is found here beside numbers that say the same.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from soundfit.doctor.source import parsed

__all__ = [
    "divides_bytes",
    "dropped_result",
    "left_behind",
    "mixed",
    "ranks_alone",
    "shuffled_apart",
    "shuffles_near",
    "starts_anew",
]

_MIXES = ("permutation", "randperm", "shuffle", "sample")
_SEEDS = re.compile(r"seed|RandomState|default_rng|Generator|set_state|setstate|copy")
_DEFINITIONS = (ast.FunctionDef, ast.ClassDef)
_BY_RANK = re.compile(
    r"^(roc_auc|average_precision|brier)_score$|^(roc_curve|precision_recall_curve|log_loss|brier_score_loss)$"
)
_BY_CHOICE = re.compile(
    r"^(accuracy|balanced_accuracy|f1|fbeta|recall|precision|matthews_corrcoef|cohen_kappa)(_score)?$|"
    r"^(confusion_matrix|classification_report|argmax|round)$"
)
_OUTPUTS = re.compile(r"logit|pred|prob|out|model|net|sigmoid|score", re.IGNORECASE)
_NEAR = 4  # statements between two shuffles of what belongs together


def shuffled_apart(text: str) -> int | None:
    """Return the line where a second array is shuffled by itself soon after another, None where none is.

    Shuffles with a seed of their own, or after one was set again, go the same way and are none.
    """
    tree = parsed(text)
    if tree is None:
        return None
    return next((block[second].lineno for block, _, second in shuffles_near(tree)), None)


def shuffles_near(tree: ast.AST) -> Iterator[tuple[list[ast.stmt], int, int]]:
    """Yield blocks with the places of a shuffle and of another array's soon after, in an order of its own."""
    for block in _blocks(tree):
        last: tuple[int, str] | None = None
        for place, statement in enumerate(block):
            name = mixed(statement)
            if name is not None and last is not None and place - last[0] <= _NEAR and name != last[1]:
                yield block, last[0], place
                break
            if name is not None:
                last = (place, name)
            elif _SEEDS.search(ast.unparse(statement)) and not isinstance(
                statement, ast.FunctionDef | ast.ClassDef
            ):
                last = None


def divides_bytes(text: str) -> int | None:
    """Return the line that divides by 255, None where none does."""
    tree = parsed(text)
    if tree is None:
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


def starts_anew(text: str) -> int | None:
    """Return the line of ``next(iter(loader))``, which gives the first batch each time; None without one."""
    tree = parsed(text)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and _called(node) == "next" and node.args:
            inner = node.args[0]
            if isinstance(inner, ast.Call) and _called(inner) == "iter":
                return node.lineno
    return None


def ranks_alone(text: str) -> int | None:
    """Return the line of a score by rank or probability, None without one.

    None too where outputs are cut into classes somewhere.
    """
    tree, found = parsed(text), None
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call):
            if _BY_CHOICE.match(_called(node)):
                return None
            found = node.lineno if found is None and _BY_RANK.match(_called(node)) else found
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Gt | ast.GtE):
            at, left = node.comparators[0], ast.unparse(node.left)
            cut = at.value if isinstance(at, ast.Constant) else None
            if cut == 0.5 or (cut == 0 and _OUTPUTS.search(left)):
                return None
    return found


def left_behind(text: str) -> int | None:
    """Return the line where rows are shuffled after labels were taken from them, None where none is.

    The labels keep the old order where nothing puts them into the new one: they are used below the shuffle,
    and never given another value.
    """
    tree = parsed(text)
    if tree is None:
        return None
    for block in _blocks(tree):
        taken: dict[str, set[str]] = {}
        for place, statement in enumerate(block):
            frame = _reordered(statement)
            for name in taken.get(frame, ()) if frame is not None else ():
                rest = block[place + 1 :]
                if _uses(rest, name) and _uses(rest, frame or "") and not _gives(rest, name):
                    return statement.lineno
            if isinstance(statement, ast.Assign):
                used = _names(statement.value)
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        for source, others in [*taken.items(), *((n, {n}) for n in used)]:
                            if (
                                used & {source, *others}
                                and target.id != source
                                and _is_column(statement.value)
                            ):
                                taken.setdefault(source, set()).add(target.id)
    return None


def _is_column(value: ast.expr) -> bool:
    """Return whether an expression may be a column of what it names, in the same order of rows."""
    parts = list(ast.walk(value))
    if any(
        isinstance(n, ast.Attribute) and n.attr in ("shape", "columns", "size", "dtypes", "index")
        for n in parts
    ):
        return False
    calls = {_called(n) for n in parts if isinstance(n, ast.Call)}
    through = {
        "astype",
        "to_numpy",
        "map",
        "replace",
        "factorize",
        "pop",
        "Categorical",
        "array",
        "asarray",
        "tensor",
        "float",
        "long",
        "codes",
    }
    through |= {
        "fit_transform",
        "LabelEncoder",
        "get_dummies",
        "from_numpy",
        "fillna",
        "values",
        "copy",
        "apply",
        "Series",
        "isin",
    }
    return any(isinstance(n, ast.Subscript | ast.Attribute) for n in parts) and calls <= through


def _reordered(statement: ast.stmt) -> str | None:
    """Return the name of a table that a statement puts into another order of rows."""
    if (
        not isinstance(statement, ast.Assign)
        or len(statement.targets) != 1
        or not isinstance(statement.targets[0], ast.Name)
    ):
        return None
    name = statement.targets[0].id
    for call in (n for n in ast.walk(statement.value) if isinstance(n, ast.Call)):
        whole = any(k.arg == "frac" for k in call.keywords)
        arguments = {a.id for a in call.args if isinstance(a, ast.Name)}
        of_it = name in _names(call.func) or name in arguments
        if of_it and (
            (_called(call) == "sample" and whole) or (_called(call) == "shuffle" and len(arguments) == 1)
        ):
            return name
    return None


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}


def _uses(statements: list[ast.stmt], name: str) -> bool:
    return any(name in _names(one) for one in statements)


def _gives(statements: list[ast.stmt], name: str) -> bool:
    """Return whether a name is given another value, or an order drawn is put upon it."""
    stored = (n for one in statements for n in ast.walk(one) if isinstance(n, ast.Name) and n.id == name)
    if any(isinstance(n.ctx, ast.Store) for n in stored):
        return True
    indices = (
        n for one in statements for n in ast.walk(one) if isinstance(n, ast.Attribute) and n.attr == "index"
    )
    return any(True for _ in indices)


_PURE = ("relu", "tanh", "sigmoid", "gelu", "leaky_relu", "elu", "silu", "softplus", "selu", "relu6")


def dropped_result(text: str) -> int | None:
    """Return the line where an activation is called and its result goes nowhere, None where none is."""
    tree = parsed(text)
    if tree is None:
        return None
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            continue
        call = node.value
        in_place = any(k.arg == "inplace" for k in call.keywords)
        if _called(call) in _PURE and not in_place and (call.args or isinstance(call.func, ast.Attribute)):
            return node.lineno
    return None


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                yield block


def mixed(statement: ast.stmt) -> str | None:
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

"""Run someone's script as it is, watched. Imports torch only when the script does.

The script keeps ``__main__``, ``sys.argv``, ``sys.path[0]``, its exit code and its standard output.
"""

# ruff: noqa: E501

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import linecache
import os
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from soundfit.doctor.printed import Listener, printed_scores
from soundfit.errors import UsageError

if TYPE_CHECKING:
    from soundfit.doctor.visit import Visit

__all__ = ["execute", "run_script", "watched_run"]


class _AfterTorch(importlib.abc.MetaPathFinder):
    """Calls ``then`` once, right after the script's own ``import torch``."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.then = then

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find torch as others would, and have ``then`` called when it is loaded."""
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.loader is None:
            return spec
        load, then = spec.loader.exec_module, self.then

        def exec_module(module: types.ModuleType) -> None:
            load(module)
            then()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _as_main(path: Path, args: Sequence[str]) -> Iterator[types.ModuleType]:
    """Make ``sys`` look as it does to a script run by Python itself."""
    module = types.ModuleType("__main__")
    module.__file__ = str(path)
    module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    module.__dict__.update(__spec__=None, __cached__=None, __package__=None)
    old = sys.argv, list(sys.path), sys.modules.get("__main__")
    sys.argv = [str(path), *args]
    sys.path = [str(path.resolve().parent), *[p for p in sys.path[1:] if p != ""]]
    sys.modules["__main__"] = module
    try:
        yield module
    finally:
        sys.argv, sys.path = old[0], old[1]
        if old[2] is not None:
            sys.modules["__main__"] = old[2]


def execute(
    path: Path,
    args: Sequence[str],
    *,
    rewrite: Callable[[ast.Module], ast.Module] | None = None,
    given: Mapping[str, Any] | None = None,
) -> int:
    """Run a script as ``__main__`` and return its exit code; a traceback goes to standard error.

    ``rewrite`` may change its syntax tree first; ``given`` are names that the changed text uses.
    """
    source = path.read_bytes()
    linecache.checkcache(str(path))
    with _as_main(path, args) as module:
        try:
            text = source if rewrite is None else rewrite(ast.parse(source))
            module.__dict__.update(given or {})
            exec(compile(text, str(path), "exec"), module.__dict__)
        except SystemExit as stop:
            if stop.code is None:
                return 0
            if isinstance(stop.code, int):
                return stop.code
            print(stop.code, file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
        except BaseException as error:
            trace = error.__traceback__
            while trace is not None and trace.tb_frame.f_code.co_filename != str(path):
                trace = trace.tb_next
            traceback.print_exception(type(error), error, trace)  # none of ours: a syntax error has no frame
            return 1
        finally:
            sys.stdout.flush()
    return 0


def watched_run(
    path: Path,
    args: Sequence[str],
    *,
    price: str = "economy",
    seconds: float = 25.0,
    say: TextIO | None = None,
) -> tuple[int, Visit | None]:
    """Run a script under the doctor; return its exit code and the visit (None where torch never came).

    ``say`` is told, between the script's end and the examination, how long the latter may take.
    """
    visits: list[Visit] = []

    def begin() -> None:
        from soundfit.doctor.visit import Visit

        visits.append(Visit(price=price, seconds=seconds).begin())

    finder: _AfterTorch | None = None
    if "torch" in sys.modules:
        begin()
    else:
        finder = _AfterTorch(begin)
        sys.meta_path.insert(0, finder)
    heard = Listener(sys.stdout)
    try:
        with contextlib.redirect_stdout(cast("TextIO", heard)):
            code = execute(path, args)
    finally:
        if finder is not None and finder in sys.meta_path:
            sys.meta_path.remove(finder)
        for visit in visits:
            visit.watch.detach()
    if not visits:
        return code, None
    visit = visits[0]
    visit.watched_seconds = time.perf_counter() - visit._started
    if "actions" in visit.watch.custom:  # of nothing else does what is printed tell
        visit.watch.custom["told"] = list(printed_scores(heard.text()).values())
    if say is not None and visit.watch.backwards:
        from soundfit.doctor.pace import pace

        _ = WORDS
        text = _(
            "soundfit doctor: the script ended; comparing with small models and replays of its training (at most about {seconds:.0f} s) …"
        )
        print(text.format(seconds=seconds * pace()), file=say, flush=True)
    visit.end()
    return code, visit


def run_script(
    path: str | os.PathLike[str],
    args: Sequence[str] = (),
    *,
    fix: bool = False,
    json_path: str | os.PathLike[str] | None = None,
    html_path: str | os.PathLike[str] | None = None,
    price: str = "economy",
    seconds: float = 25.0,
    say: TextIO | None = None,
) -> int:
    """Run a script as it is, say on standard error what is wrong with its training, return its exit code.

    Args:
        path: the script.
        args: its own arguments, untouched.
        fix: try repairs and keep one that is proven better.
        json_path: where to write the findings as JSON.
        html_path: where to write the page of pictures.
        price: ``economy`` or ``full``.
        seconds: soft limit for the examination after the script.
        say: where the verdict goes; standard error when None.

    Raises:
        UsageError: the script does not exist, or the price is unknown.
    """
    script = Path(path)
    if not script.is_file():
        raise UsageError(
            "The script must be a file", received=str(script), fix="give the path of a Python script"
        )
    if price not in ("economy", "full"):
        raise UsageError("The price must be economy or full", received=repr(price), fix="use --price economy")
    for name, target in (("--json", json_path), ("--html", html_path)):
        if target is not None and not Path(target).resolve().parent.is_dir():
            raise UsageError(
                "The folder that --json and --html write into must exist",
                received=name + " " + str(target),
                fix="make the folder, or name another",
            )
    # The script may change its working folder: relative paths are of the folder the command was given in.
    json_path = Path(json_path).resolve() if json_path is not None else None
    html_path = Path(html_path).resolve() if html_path is not None else None
    out, _ = say or sys.stderr, WORDS
    code, visit = watched_run(script, args, price=price, seconds=seconds, say=out)
    from soundfit.doctor.speak import verdict_text

    report: dict[str, Any] = {"healthy": True, "diagnoses": [], "repair": None, "overhead": 0.0}
    broken = visit.watch.stumbled if visit is not None else None
    if broken:
        text = _(
            "soundfit doctor: the examination broke off, so less is known ({error}): please report this."
        )
        print(text.format(error=broken), file=out)
    if visit is not None:
        report = visit.to_dict()
        if fix and not broken:
            from soundfit.doctor.repair import repair

            if (
                json_path is not None
            ):  # what is found stands there while the repair lasts, and if it is stopped
                _write(report, json_path)
            report["repair"] = repair(script, args, visit, told_to=out, _=_)
    if code not in (0, 130):
        print(_("soundfit doctor: the script ended with exit code {code}.").format(code=code), file=out)
    trained = visit is not None and visit.watch.backwards > 0
    print(verdict_text(report, trained=trained, _=_), file=out, flush=True)
    if json_path is not None:
        _write(report, json_path)
    if html_path is not None and visit is not None and visit.trace is not None:
        render(visit, report, Path(html_path), script)
    return code


def _write(report: dict[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def render(visit: Visit, report: dict[str, Any], path: Path, script: Path) -> None:
    """Hand the trace to whoever draws pages; set by the layer above."""
    if PAGE is not None and visit.trace is not None:
        path.write_text(PAGE(visit.trace, report, script.name), encoding="utf-8")


PAGE: Callable[[Any, dict[str, Any], str], str] | None = None
WORDS: Callable[[str], str] = str

"""``soundfit doctor SCRIPT [ARGS…]``. Imports the doctor, and torch with it, only when it runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from soundfit.cli.options import Lang
from soundfit.errors import UsageError

__all__ = ["CONTEXT", "doctor_command", "own_options"]

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
_WITH_VALUE = ("--json", "--html", "--price")


def own_options(args: Sequence[str], source: str) -> tuple[dict[str, str], list[str]]:
    """Divide what stands after the script into the doctor's own options and the script's arguments.

    An option of the doctor's is the doctor's where the script's text never mentions it; the first ``--`` ends
    the doctor's options and is dropped; everything else is the script's, in its order.

    Args:
        args: everything after the script.
        source: the script's text.

    Raises:
        UsageError: an option of the doctor's lacks its value.
    """
    from soundfit.records.said import say

    own: dict[str, str] = {}
    rest: list[str] = []
    todo = list(args)
    while todo:
        word = todo.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            rest += todo
            break
        if word == "--fix" and name not in source:
            own[name] = ""
        elif name in _WITH_VALUE and name not in source:
            if not equals:
                if not todo or todo[0] == "--":
                    raise UsageError(
                        say("{name} needs a value", name=name),
                        received=word,
                        fix=say("write {name} VALUE", name=name),
                    )
                value = todo.pop(0)
            own[name] = value
        else:
            rest.append(word)
    return own, rest


def doctor_command(
    context: typer.Context,
    script: Annotated[
        Path, typer.Argument(metavar="SCRIPT", help="The Python script, run as it is.", show_default=False)
    ],
    fix: Annotated[bool, typer.Option("--fix", help="Try repairs; keep one that is proven better.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the findings to this file.")] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write a page with pictures.")] = None,
    price: Annotated[str, typer.Option(help="economy (few steps watched in full) or full.")] = "economy",
    seconds: Annotated[
        float, typer.Option(help="Soft limit for the examination afterwards, at the pace of a usual machine.")
    ] = 25.0,
    lang: Lang = "en",
) -> None:
    """Watch an unchanged PyTorch script; say what is wrong with its training, why and where.

    Example:  soundfit doctor train.py --html doctor.html

    What stands after SCRIPT is the script's own, but for --json, --html,
    --price and --fix where the script never mentions them (-- ends the doctor's
    options). Standard output and exit code stay the script's.
    """
    from soundfit.doctor import script as runner

    source = script.read_text(encoding="utf-8", errors="replace") if script.is_file() else ""
    own, args = own_options(context.args, source)
    json_path = Path(own["--json"]) if "--json" in own else json_path
    html_path = Path(own["--html"]) if "--html" in own else html_path
    if lang != "en":
        from soundfit.report.words import Words

        runner.WORDS = Words(lang)
    if html_path is not None:
        from soundfit.report.doctor_page import doctor_page

        runner.PAGE = partial(doctor_page, lang=lang)
    code = runner.run_script(
        script,
        args,
        fix=fix or "--fix" in own,
        json_path=json_path,
        html_path=html_path,
        price=own.get("--price", price),
        seconds=seconds,
    )
    raise typer.Exit(code)

"""``soundfit doctor SCRIPT [ARGS…]``. Imports the doctor, and torch with it, only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["CONTEXT", "doctor_command"]

CONTEXT = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}


def doctor_command(
    context: typer.Context,
    script: Annotated[Path, typer.Argument(help="The Python script, run as it is.", show_default=False)],
    fix: Annotated[bool, typer.Option("--fix", help="Try repairs; keep one that is proven better.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the findings to this file.")] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write a page with pictures.")] = None,
    price: Annotated[str, typer.Option(help="economy (few steps watched in full) or full.")] = "economy",
    seconds: Annotated[float, typer.Option(help="Soft limit for the examination afterwards.")] = 25.0,
) -> None:
    """Watch an unchanged PyTorch script; say what is wrong with its training, why and where.

    Everything after SCRIPT belongs to the script. Its standard output and exit code stay its own.
    """
    from soundfit.doctor import script as runner

    if html_path is not None:
        from soundfit.report.doctor_page import doctor_page

        runner.PAGE = doctor_page
    code = runner.run_script(
        script, context.args, fix=fix, json_path=json_path, html_path=html_path, price=price, seconds=seconds
    )
    raise typer.Exit(code)

"""The command ``export``: a run's model as one file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from soundfit.cli.options import Lang, Run

__all__ = ["export_command"]


def export_command(
    run: Run,
    format_name: Annotated[
        str, typer.Option("--format", help="onnx (raw columns in, any ONNX Runtime) or torch (.pt2).")
    ] = "onnx",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="File to write.", show_default="RUN/model.onnx or .pt2"),
    ] = None,
    lang: Lang = "en",
) -> None:
    """Write a run's model as one file, preprocessing included.

    Example:  soundfit export run/ --format onnx -o houses.onnx
    """
    from soundfit.artifact.export import export_run
    from soundfit.report.words import Words

    path = export_run(run, format_name, output)
    _ = Words(lang)
    typer.echo(_("wrote {path} ({size:,} bytes)").format(path=path, size=path.stat().st_size))

"""The command ``serve``: a run's model as a local page and HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

from soundfit.cli.options import Lang, Run

__all__ = ["serve_command"]

_HERE = ("127.0.0.1", "localhost", "::1")


def serve_command(
    run: Run,
    host: Annotated[
        str, typer.Option(help="Address to listen on; only this machine unless you say otherwise.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8000,
    lang: Lang = "en",
) -> None:
    """Serve predictions: a page with a form or a drop zone, files in and out, and an HTTP API (/docs).

    Example:  soundfit serve run/    then open http://127.0.0.1:8000
    """
    import uvicorn

    from soundfit.report.words import Words
    from soundfit.serve.app import make_app
    from soundfit.serve.socket import open_socket

    app = make_app(run, hosts=_HERE if host in _HERE else ("*",), lang=lang)
    listening = open_socket(host, port)
    _ = Words(lang)
    if host not in _HERE:
        warning = _(
            "warning: listening on {host}: whoever reaches this machine can use the model, no password."
        )
        typer.echo(warning.format(host=host), err=True)
    shown = f"[{host}]" if ":" in host else host
    serving = _("serving {run} at {address}   (Ctrl-C ends it)")
    typer.echo(serving.format(run=run, address=f"http://{shown}:{port}"), err=True)
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=30)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        listening.close()

"""App: routes of the local server. Every body is bounded; what can't be read is 422 with a sentence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

import soundfit
from soundfit.artifact import AnyPredictor, load_predictor
from soundfit.artifact.picture_predictor import PicturePredictor
from soundfit.artifact.predictor import Predictor
from soundfit.artifact.sequence_predictor import SequencePredictor
from soundfit.errors import DataError
from soundfit.serve.batcher import Batcher
from soundfit.serve.body import PlainRoute, Refusal, as_json, in_time, read_body, refused
from soundfit.serve.files import add_file_route, predicted_file
from soundfit.serve.model import ServedModel
from soundfit.serve.page import Shown, docs_page, main_page, picture_page, sequence_page, shown_run
from soundfit.serve.pictures import picture_facts, picture_routes
from soundfit.serve.schema import answer_schema, row_schema
from soundfit.serve.sequences import sequence_facts, sequence_routes
from soundfit.workflow.folder import read_run

__all__ = ["make_app"]

MOST_BYTES = 1_000_000
MOST_TEXT = 10_000
# Handing a pass to a thread and back costs some tenths of a millisecond, and more where both want the GIL.
_SECONDS_AT_ONCE = 0.003
_OBJECT = "The body is one JSON object, column to value, however"
_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' data: blob:; frame-ancestors 'none'",
}


def make_app(
    run: str | Path, *, hosts: Sequence[str] = ("127.0.0.1", "localhost", "::1"), lang: str = "en"
) -> FastAPI:
    """Return the application of a run.

    Args:
        run: the run folder.
        hosts: names by which browsers may call it (``*``: any); others are refused, so that no page from
            elsewhere reaches it under a name of its own.
        lang: language of the pages.

    Raises:
        UsageError: no such run, or no such language.
    """
    folder = Path(run)
    read_run(folder)
    predictor = load_predictor(folder)
    shown = shown_run(folder, lang)
    # Small products: a second thread waits more than it works.
    torch.set_num_threads(1)
    reads = "pictures"
    if isinstance(predictor, Predictor):
        model = ServedModel(predictor)
        reads = f"{len(model.columns)} columns"
        page = main_page(model, shown)
        facts = {"columns": [column.to_dict() for column in model.columns]}
    elif isinstance(predictor, SequencePredictor):
        reads = "sequences"
        page = sequence_page(predictor, shown)
        facts = sequence_facts(predictor)
    else:
        assert isinstance(predictor, PicturePredictor)
        page = picture_page(predictor, shown)
        facts = picture_facts(predictor)
    app = FastAPI(
        title=f"soundfit: {predictor.target}",
        version=soundfit.__version__,
        description=f"Predicts {predictor.target} from {reads}.",
        docs_url=None,
        redoc_url=None,
    )
    app.router.route_class = PlainRoute
    # The name of a test client is no host that a browser could send.
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*hosts, "[::1]", "testserver"])
    app.add_exception_handler(Refusal, refused)
    _pages(app, page, shown, predictor, facts)
    if isinstance(predictor, Predictor):
        _predictions(app, model)
    elif isinstance(predictor, SequencePredictor):
        sequence_routes(app, predictor)
    else:
        picture_routes(app, predictor)
    return app


def _pages(app: FastAPI, page: str, shown: Shown, predictor: AnyPredictor, facts: dict[str, Any]) -> None:
    @app.get("/", include_in_schema=False)
    async def index(_: Request) -> Response:
        return HTMLResponse(page, headers=_SAFE)

    @app.get("/docs", include_in_schema=False)
    async def docs(_: Request) -> Response:
        return HTMLResponse(docs_page(app.openapi(), shown.words), headers=_SAFE)

    @app.get("/report", include_in_schema=False)
    async def report(_: Request) -> Response:
        path = shown.folder / "report.html"
        if not path.is_file():
            return PlainTextResponse("This run has no report.html; write it with soundfit report.", 404)
        return FileResponse(path, media_type="text/html")

    @app.get("/health", summary="Whether the server answers", tags=["model"])
    async def health(_: Request) -> Response:
        return as_json({"status": "ok"})

    @app.get("/model", summary="What the model reads and predicts", tags=["model"])
    async def about(_: Request) -> Response:
        return as_json(
            {
                "target": predictor.target,
                "task": predictor.task,
                "classes": list(predictor.classes),
                **facts,
                "members": len(predictor.modules),
                "soundfit": soundfit.__version__,
            }
        )


def _predictions(app: FastAPI, model: ServedModel) -> None:
    batcher = Batcher(model.answers, at_once=model.seconds_a_row() < _SECONDS_AT_ONCE)
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": row_schema(model)}}}}
    answered: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/json": {"schema": answer_schema(model)}}},
        413: {"description": f"more than {MOST_BYTES:,} bytes"},
        422: {"description": "a sentence that names the column"},
    }

    @app.post(
        "/predict", summary="Predict one row", tags=["predictions"], openapi_extra=body, responses=answered
    )
    async def predict(request: Request) -> Response:
        row = _row(await read_body(request, MOST_BYTES))
        return as_json(await in_time(batcher(_encoded(model, row))))

    @app.post(
        "/explain",
        summary="Predict one row and say which columns moved it",
        tags=["predictions"],
        openapi_extra=body,
        responses=answered,
    )
    async def explain(request: Request) -> Response:
        encoded = _encoded(model, _row(await read_body(request, MOST_BYTES)))
        loop = asyncio.get_running_loop()
        found = loop.run_in_executor(batcher.pool, lambda: (model.answers([encoded])[0], model.why(encoded)))
        answer, (reasons, typical, value) = await in_time(found)
        why = [{"column": r.column, "effect": r.effect, "error": r.error} for r in reasons]
        return as_json({**answer, "value": value, "typical": typical, "why": why})

    add_file_route(
        app,
        "/predict/csv",
        summary="Predict the rows of a CSV file",
        media=("text/csv",),
        work=lambda content: predicted_file(model.predictor, content, ".csv"),
        pool=batcher.pool,
    )


def _row(content: bytes) -> dict[str, Any]:
    try:
        row = json.loads(content, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(422, f"{_OBJECT}: {str(error)[:200]}") from None
    if not isinstance(row, dict):
        raise Refusal(422, f"{_OBJECT}: a {type(row).__name__}")
    for name, value in row.items():
        if not isinstance(value, str | int | float | bool | None):
            raise Refusal(
                422, f"Column {name[:80]!r} holds text, a number, true, false or null, not a list or object."
            )
        if isinstance(value, str) and len(value) > MOST_TEXT:
            raise Refusal(422, f"Column {name[:80]!r} holds at most {MOST_TEXT:,} characters.")
    return row


def _no_constant(name: str) -> float:
    raise ValueError(f"JSON has no {name}; send null for a missing value")


def _encoded(model: ServedModel, row: dict[str, Any]) -> Any:
    try:
        return model.encode(row)
    except DataError as error:
        raise Refusal(422, error.paragraph()) from None

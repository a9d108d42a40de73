"""Pictures: the route of a model on pictures. One picture a request, decoded within bounds."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response

from soundfit.artifact.picture_predictor import PicturePredictor
from soundfit.data.picture_decode import BrokenPicture, decode_content
from soundfit.serve.body import Refusal, as_json, in_time, read_body

__all__ = ["MOST_PICTURE_BYTES", "MOST_PIXELS", "picture_answer", "picture_facts", "picture_routes"]

MOST_PICTURE_BYTES = 20_000_000
MOST_PIXELS = 50_000_000
#: What is decoded for strangers. PostScript is not among them: Pillow hands it to another program.
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")


def picture_facts(predictor: PicturePredictor) -> dict[str, Any]:
    """Return what ``GET /model`` says."""
    height, width, channels = predictor.shape
    return {"height": height, "width": width, "channels": channels}


def picture_answer(predictor: PicturePredictor, content: bytes) -> dict[str, Any]:
    """Return the prediction of one picture file.

    Raises:
        Refusal: 422, with what is wrong with the file.
    """
    try:
        decoded = decode_content(content, *predictor.shape, formats=FORMATS, most_pixels=MOST_PIXELS)
    except BrokenPicture as error:
        raise Refusal(422, f"The body is one picture file, however: {error}.") from None
    pixels = decoded.pixels[None]
    if predictor.task == "regression":
        values, bounds = predictor.outputs_with_bounds(pixels)
        answer = {"prediction": float(values[0])}
        return (
            answer if bounds is None else {**answer, "low": float(bounds[0][0]), "high": float(bounds[1][0])}
        )
    output = predictor.outputs(pixels)[0]
    labels = [c.item() if isinstance(c, np.generic) else c for c in predictor.classes]
    return {
        "prediction": labels[int(output.argmax())],
        "probabilities": dict(zip(map(str, labels), output.tolist(), strict=True)),
    }


def picture_routes(app: FastAPI, predictor: PicturePredictor) -> None:
    """Add ``POST /predict``."""
    # One thread: pictures in memory never add up, and the event loop goes on reading.
    pool = ThreadPoolExecutor(1, thread_name_prefix="model")
    number = {"type": "number"}
    answer: dict[str, Any] = {"prediction": number}
    if predictor.interval is not None:
        answer |= {"low": number, "high": number}
    if predictor.task == "classification":
        answer = {"prediction": {}, "probabilities": {"type": "object", "additionalProperties": number}}
    body = {"image/*": {"schema": {"type": "string", "format": "binary"}}}

    @app.post(
        "/predict",
        summary="Predict one picture: the body is the file (curl --data-binary @picture.png …)",
        tags=["predictions"],
        openapi_extra={"requestBody": {"required": True, "content": body}},
        responses={
            200: {"content": {"application/json": {"schema": {"type": "object", "properties": answer}}}},
            413: {"description": f"more than {MOST_PICTURE_BYTES:,} bytes"},
            422: {"description": "a sentence that says why the file is no picture"},
        },
    )
    async def predict(request: Request) -> Response:
        content = await read_body(request, MOST_PICTURE_BYTES)
        work = asyncio.get_running_loop().run_in_executor(pool, picture_answer, predictor, content)
        return as_json(await in_time(work))

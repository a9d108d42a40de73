"""Body: bounded reading of requests, bounded work, and refusals in words. Knows no model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

__all__ = ["SECONDS", "PlainRoute", "Refusal", "as_json", "in_time", "read_body", "refused"]

SECONDS = 60.0


class PlainRoute(APIRoute):
    """A route whose endpoint takes the request and returns the response: nothing to inject or validate.

    It stands in the OpenAPI description as any other; a request costs half of what FastAPI's own handler
    takes.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint itself."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


class Refusal(Exception):
    """A request that is not answered: a status, and a sentence for who sent it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


async def refused(request: Request, error: Exception) -> Response:
    """Answer a refusal."""
    assert isinstance(error, Refusal)
    return as_json({"detail": error.detail}, error.status)


def as_json(value: Any, status: int = 200) -> Response:
    """Return a JSON answer, 500 where a number in it is not finite: JSON has none such."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        status = 500
        text = json.dumps({"detail": "The model's answer is no finite number: its weights are too large."})
    return Response(text, status, media_type="application/json")


async def in_time(work: Any) -> Any:
    """Await work for at most :data:`SECONDS`."""
    try:
        return await asyncio.wait_for(work, SECONDS)
    except TimeoutError:
        raise Refusal(503, f"The answer took more than {SECONDS:.0f} seconds; send less at once.") from None


async def read_body(request: Request, most: int) -> bytes:
    """Return a body of at most ``most`` bytes that arrives in time."""
    if request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refusal(
            422,
            "The body is the content itself, however: a form. Send the file as it is, "
            "with curl --data-binary @FILE instead of -F.",
        )
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > most:
        raise Refusal(413, f"A body has at most {most:,} bytes, however: {int(told):,}.")
    parts, size = [], 0
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise Refusal(413, f"A body has at most {most:,} bytes.")
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {SECONDS:.0f} seconds.") from None
    return b"".join(parts)

"""Batcher: requests that wait together are answered in one pass through the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Batcher"]

_MOST = 256
_MOST_AT_ONCE = 32


class Batcher:
    """Collects what arrives while the model works; nothing ever waits for company.

    Args:
        answer: items to their answers.
        at_once: work in the event loop itself, between two reads: for passes that take less time than
            handing them to a thread and back.
    """

    def __init__(self, answer: Callable[[Sequence[Any]], Sequence[Any]], *, at_once: bool = False) -> None:
        self.answer = answer
        self.at_once = at_once
        self.waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self.working = False
        self.task: asyncio.Task[None] | None = None  # held, or the loop may drop it
        # One thread: the event loop goes on reading requests, and passes never compete for a core.
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def __call__(self, item: Any) -> Any:
        """Return the answer to one item."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self.waiting.append((item, future))
        if not self.working:
            self.working = True
            if self.at_once:
                # After what else has arrived in this turn of the loop.
                loop.call_soon(self._pass, loop)
            else:
                self.task = loop.create_task(self._work())
        return await future

    def _pass(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self.waiting = self.waiting[:_MOST_AT_ONCE], self.waiting[_MOST_AT_ONCE:]
        try:
            _settle(batch, self.answer([item for item, _ in batch]))
        except Exception as error:
            _fail(batch, error)
        self.working = bool(self.waiting)
        if self.working:
            loop.call_soon(self._pass, loop)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self.waiting:
                batch, self.waiting = self.waiting[:_MOST], self.waiting[_MOST:]
                try:
                    _settle(
                        batch,
                        await loop.run_in_executor(self.pool, self.answer, [item for item, _ in batch]),
                    )
                except Exception as error:
                    _fail(batch, error)
        finally:
            self.working = False


def _settle(batch: Sequence[tuple[Any, asyncio.Future[Any]]], answers: Sequence[Any]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if not future.done():
            future.set_result(answer)


def _fail(batch: Sequence[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)

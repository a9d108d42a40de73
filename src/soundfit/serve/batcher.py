"""Batcher: requests that wait together are answered in one pass through the model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["Batcher"]

_MOST = 256


class Batcher:
    """Collects what arrives while the model works; nothing ever waits for company."""

    def __init__(self, answer: Callable[[Sequence[Any]], Sequence[Any]]) -> None:
        self.answer = answer
        self.waiting: list[tuple[Any, asyncio.Future[Any]]] = []
        self.working: asyncio.Task[None] | None = None
        # One thread: the event loop goes on reading requests, and passes never compete for a core.
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def __call__(self, item: Any) -> Any:
        """Return the answer to one item."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self.waiting.append((item, future))
        if self.working is None:
            self.working = loop.create_task(self._work())
        return await future

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self.waiting:
                batch, self.waiting = self.waiting[:_MOST], self.waiting[_MOST:]
                items = [item for item, _ in batch]
                try:
                    answers = await loop.run_in_executor(self.pool, self.answer, items)
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
        finally:
            self.working = None

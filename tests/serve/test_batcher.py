"""Items that wait together share a pass; a failure reaches all of its pass and nobody else."""

from __future__ import annotations

import asyncio

import pytest

from soundfit.serve.batcher import Batcher


def _ask(batcher, items):
    async def gather():
        return await asyncio.gather(*(batcher(item) for item in items), return_exceptions=True)

    return asyncio.run(gather())


@pytest.mark.parametrize("at_once", [True, False])
def test_each_item_gets_its_own_answer(at_once):
    passes = []

    def squares(items):
        passes.append(len(items))
        return [item * item for item in items]

    batcher = Batcher(squares, at_once=at_once)
    assert _ask(batcher, range(300)) == [i * i for i in range(300)]
    assert sum(passes) == 300
    assert len(passes) < 20
    # And once more, in another loop.
    assert _ask(batcher, [7]) == [49]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_failure_is_told_and_work_goes_on(at_once):
    def answer(items):
        if 0 in items:
            raise ValueError("no zeros")
        return [1 / item for item in items]

    batcher = Batcher(answer, at_once=at_once)
    assert all(isinstance(a, ValueError) for a in _ask(batcher, [0, 0]))
    assert _ask(batcher, [2, 4]) == [0.5, 0.25]

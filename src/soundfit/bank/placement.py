"""Placement: pieces of a concatenation are computed where they belong, and the concatenation goes.

A bank's gradients come parameter by parameter and are wanted as one matrix (M, P): each is written into its
columns at once. Knows nothing of members or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch

from soundfit.bank.recorder import Op, Recording, Ref, map_refs, refs_in

__all__ = ["Whole", "placed"]

aten = torch.ops.aten


class Whole:
    """A concatenation that nobody computes: where its pieces go.

    ``start`` fills memory of its own with the pieces that never change; nothing else may use that memory.
    """

    def __init__(self, out: Ref, constants: Sequence[tuple[Ref, Ref]]) -> None:
        self.out, self.constants = out, list(constants)

    def renewals(self) -> list[Op]:
        """Return operations that write the constant pieces."""
        return [
            Op(
                aten.copy_.default,
                (place, source),
                {},
                (place,),
                frozenset((place.storage, source.storage)),
                frozenset((place.storage,)),
            )
            for place, source in self.constants
        ]

    def start(self, recording: Recording, memory: torch.UntypedStorage) -> None:
        """Write the constant pieces, and zeros elsewhere, into the memory."""
        self.out.on(memory).zero_()
        for place, source in self.constants:
            place.on(memory).copy_(source.on(recording.storages[source.storage]))


def placed(recording: Recording, ops: list[Op]) -> tuple[list[Op], dict[int, Whole]]:
    """Return the operations without concatenations along columns, and the wholes by their storage."""
    wholes: dict[int, Whole] = {}
    for op in list(ops):
        found = _moves(recording, ops, op)
        if found is None:
            continue
        whole, moves = found
        storage = op.outs[0].storage
        # Who changes the whole later may spoil what never changes by itself: it is written anew each time.
        renewed = whole.renewals() if sum(storage in o.writes for o in ops) > 1 else []
        ops = [
            new for other in ops for new in (renewed if other is op else [_moved_op(other, moves, storage)])
        ]
        wholes[storage] = whole
    return ops, wholes


def _moves(recording: Recording, ops: Sequence[Op], op: Op) -> tuple[Whole, dict[Ref, Ref]] | None:
    """Return where each tensor of the pieces goes; None where some piece has to stay what it is."""
    if op.func is not aten.cat.default or len(op.args) != 2 or op.args[1] not in (1, -1):
        return None
    out, pieces = op.outs[0], list(refs_in(op.args[0]))
    if len(out.size) != 2 or out.stride != (out.size[1], 1) or out.size[0] < 2:
        return None
    if out.offset or out.storage not in recording.internal:
        return None
    if len({p.storage for p in pieces}) < len(pieces):
        return None
    outputs = {r.storage for r in recording.outputs}
    moves: dict[Ref, Ref] = {}
    constants: list[tuple[Ref, Ref]] = []
    columns = [0, *accumulate(p.size[1] for p in pieces)]
    for piece, column in zip(pieces, columns, strict=False):
        n = piece.size[1]
        place = Ref(out.storage, out.dtype, piece.size, out.stride, column)
        if not any(piece.storage in o.writes for o in ops):
            if piece.storage not in recording.internal:
                return None
            constants.append((place, piece))
            continue
        used = {r for o in ops for r in _all_refs(o) if r.storage == piece.storage}
        if piece.storage not in recording.internal or piece.storage in outputs:
            return None
        if piece.stride != (n, 1) or piece.offset or piece.dtype != out.dtype:
            return None
        for ref in used:
            target = _in_columns(ref, piece, place)
            if target is None:
                return None
            moves[ref] = target
    return Whole(out, constants), moves


def _in_columns(ref: Ref, piece: Ref, place: Ref) -> Ref | None:
    """Return the view of the whole's columns that ``ref`` is of the piece (M, n); None if there is none."""
    m, n = piece.size
    over_members = [
        i
        for i, (size, stride) in enumerate(zip(ref.size, ref.stride, strict=True))
        if size == m and stride == n
    ]
    # A row of one element: its axis of members is the first that fits.
    if not over_members or ref.dtype != piece.dtype:
        return None
    first = over_members[0]
    inner = [
        (s, t) for i, (s, t) in enumerate(zip(ref.size, ref.stride, strict=True)) if i != first and s > 1
    ]
    if ref.offset + sum((size - 1) * stride for size, stride in inner) >= n:
        return None
    strides = tuple(place.stride[0] if i == first else t for i, t in enumerate(ref.stride))
    return Ref(place.storage, ref.dtype, ref.size, strides, place.offset + ref.offset)


def _all_refs(op: Op) -> list[Ref]:
    return list(refs_in([op.args, list(op.kwargs.values()), op.outs]))


def _moved_op(op: Op, moves: dict[Ref, Ref], whole: int) -> Op:
    gone = {r.storage for r in moves}
    if not (op.reads | op.writes) & gone:
        return op

    def moved(ref: Ref) -> Ref:
        return moves.get(ref, ref)

    reads, writes = (
        frozenset(whole if s in gone else s for s in storages) for storages in (op.reads, op.writes)
    )
    kwargs = {k: map_refs(v, moved) for k, v in op.kwargs.items()}
    return Op(op.func, map_refs(op.args, moved), kwargs, tuple(map_refs(op.outs, moved)), reads, writes)

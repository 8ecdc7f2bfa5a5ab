"""Best-fit packing of texts of many lengths into rows of one length."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Put items into rows of at most `capacity`: the longest first, each where it leaves least.

    Best-fit decreasing needs at most 11/9 of the fewest rows possible plus one. Equal lengths keep
    their order, so the result depends on `lengths` only.

    Returns:
        The items of each row, by index, in the order they were put in.

    Raises:
        ValueError: an item is longer than a row.
    """
    if any(length > capacity for length in lengths):
        raise ValueError(f"an item of {max(lengths)} does not fit into rows of {capacity}")
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}  # room left -> rows
    rooms: list[int] = []  # its keys, sorted
    for item in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[item]
        place = bisect_left(rooms, length)
        if place < len(rooms):
            room = rooms[place]
            row = open_rows[room].pop()
            if not open_rows[room]:
                del open_rows[room]
                rooms.pop(place)
        else:
            room = capacity
            row = len(rows)
            rows.append([])
        rows[row].append(item)
        left = room - length
        if left not in open_rows:
            open_rows[left] = []
            insort(rooms, left)
        open_rows[left].append(row)
    return rows

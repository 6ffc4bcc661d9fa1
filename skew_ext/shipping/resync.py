"""Finding the records behind a damaged one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skew_ext.serving.record import ALIGNMENT, FRAME, read_frame

if TYPE_CHECKING:
    from mmap import mmap

    from skew_ext.serving.record import Frame

_WORD = 4
_LENGTH, _SEQUENCE_LOW, _SEQUENCE_HIGH, _ROWS, _KEY = 0, 2, 3, 4, 5
"""Where a frame's parts stand, in words of four bytes."""
_WINDOW = 16 << 10
_CHECKED_TIMES = 64


class Resync:
    """Finds the next intact frame of one segment, in time linear in the segment's size.

    A place is looked at more closely only if it has the segment's key and a sequence after the last one read, and all
    closer looks in vain together cover no more than some times the segment's bytes: past that, the rest is given up as
    damaged.
    """

    def __init__(self, segment: mmap | bytes, key: int) -> None:
        self._segment = segment
        self._key = key
        self._budget = _CHECKED_TIMES * len(segment)

    def frame(self, position: int) -> Frame | None:
        """Return the frame at a position as `read_frame` does, and note what a damaged one cost."""
        frame = read_frame(self._segment, position, self._key)
        if frame is not None and frame.payload is None:
            self._budget -= min(FRAME.unpack_from(self._segment, position)[0], len(self._segment))
        return frame

    def next_frame(self, position: int, sequence: int) -> int:
        """Return where the next intact frame after `position` starts, of a sequence from `sequence` on; or the end."""
        size = len(self._segment)
        start = position + ALIGNMENT
        while start + FRAME.size <= size:
            for place in self._candidates(start, sequence):
                if self._budget <= 0:
                    return size
                frame = self.frame(place)
                if frame is not None and frame.payload is not None:
                    return place
            start += _WINDOW
        return size

    def _candidates(self, start: int, sequence: int) -> list[int]:
        """Return the places of one window that can be a frame by its head."""
        segment = self._segment
        count = min(_WINDOW // ALIGNMENT, (len(segment) - FRAME.size - start) // ALIGNMENT + 1)
        # Copied: a view would keep the mapping from being closed.
        data = segment[start : start + (count - 1) * ALIGNMENT + FRAME.size]
        words = np.frombuffer(data, dtype="<u4", count=len(data) // _WORD)

        def part(place: int) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
            return words[place :: ALIGNMENT // _WORD][:count]

        numbers = part(_SEQUENCE_LOW).astype(np.uint64) | part(_SEQUENCE_HIGH).astype(np.uint64) << np.uint64(32)
        places = start + ALIGNMENT * np.arange(count)
        fits = (part(_LENGTH) > 0) & (part(_LENGTH) <= len(segment) - places) & (part(_KEY) == self._key)
        fits &= numbers >= np.uint64(sequence)
        if not self._key:  # of an earlier version, where zeros say little
            fits &= part(_ROWS) > 0
        return [int(place) for place in places[fits]]

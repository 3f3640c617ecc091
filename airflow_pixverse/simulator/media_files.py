"""
The files behind the URLs of results: small and real, and filled up to any size without being held in memory.

What fills a file is different at every position and for every job, so that a download that was resumed at the
wrong place, or that is of another job, has another hash.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

# What a file of each kind can be filled up to: its formats count in 32 bits.
MIN_BYTES = 2048
MAX_BYTES = 4_000_000_000
# A prime: what is at one position is found again only after an odd number of bytes.
FILLER_BYTES = 65_521

MP4 = Path(__file__).with_name("sample.mp4").read_bytes()
# One pixel; the header says that there are chunks besides the picture.
WEBP = b"VP8X\x0a\0\0\0\x10\0\0\0" + b"\0" * 6
WEBP += b"VP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"
# The header of 24 ms of MPEG-1 layer III, 32 kbit/s, 48 kHz, mono; without data in it, they are silent.
MP3_HEADER = b"\xff\xfb\x14\xc0" + b"\0" * 17
MP3_FRAME_BYTES = 96
MP3_FRAMES = 683


class Parts(NamedTuple):
    """How a file begins, what fills it from there on, again and again, and how large it is."""

    head: bytes
    filler: bytes
    size: int


def _mp4(number: int, size: int) -> Parts:
    mark = _mark(number)
    rest = size - len(MP4) if size else 8 + len(mark)
    return Parts(MP4 + struct.pack(">I4s", rest, b"free") + mark, _noise(number), len(MP4) + rest)


def _webp(number: int, size: int) -> Parts:
    mark = _mark(number)
    size = size or 12 + len(WEBP) + 8 + len(mark)
    # Chunks have even lengths; what is left over is ignored behind the end.
    riff = (size - 8) & ~1
    chunk = riff - 4 - len(WEBP) - 8
    head = struct.pack("<4sI4s", b"RIFF", riff, b"WEBP") + WEBP + struct.pack("<4sI", b"FILL", chunk) + mark
    return Parts(head, _noise(number), size)


def _mp3(number: int, size: int) -> Parts:
    mark = _mark(number)
    title = struct.pack(">4sIHB", b"TIT2", 1 + len(mark), 0, 3) + mark
    least = 10 + len(title)
    frames = (size - least) // MP3_FRAME_BYTES if size else 10
    size = size or least + frames * MP3_FRAME_BYTES
    padded = size - 10 - frames * MP3_FRAME_BYTES
    tag = b"ID3\x04\0\0" + bytes([0, 0, padded >> 7, padded & 0x7F])
    return Parts(tag + title.ljust(padded, b"\0"), _silence(number), size)


def _mark(number: int) -> bytes:
    """Return a text of an even length, which tells apart even files that are not filled."""
    return f"job {number}".ljust(16).encode()


def _noise(number: int) -> bytes:
    return random.Random(number).randbytes(FILLER_BYTES)  # noqa: S311


def _silence(number: int) -> bytes:
    noise = random.Random(number)  # noqa: S311
    rest = MP3_FRAME_BYTES - len(MP3_HEADER)
    # Below 0x80, so that nothing in there looks like the header of a frame.
    return b"".join(
        MP3_HEADER + bytes(byte & 0x7F for byte in noise.randbytes(rest)) for _ in range(MP3_FRAMES)
    )


class Format(NamedTuple):
    """The content type of files with a suffix, and how they are made."""

    content_type: str
    make: Callable[[int, int], Parts]


FORMATS: Mapping[str, Format] = {
    "mp4": Format("video/mp4", _mp4),
    "webp": Format("image/webp", _webp),
    "mp3": Format("audio/mpeg", _mp3),
}


class MediaFile:
    """
    A file that is made while it is read.

    :param number: of the job
    :param suffix: one of :data:`FORMATS`
    :param size: how many bytes it has; ``None`` for as few as possible
    """

    def __init__(self, number: int, suffix: str, size: int | None = None) -> None:
        self.content_type, make = FORMATS[suffix]
        self._head, self._filler, self.size = make(number, size or 0)
        self.etag = f'"{number}-{self.size}"'

    @cached_property
    def sha256(self) -> str:
        """What the whole file hashes to."""
        digest = hashlib.sha256()
        for piece in self.read(0, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield what is from one position up to another."""
        while start < stop:
            piece = self._from(start)[: stop - start]
            yield piece
            start += len(piece)

    def _from(self, start: int) -> bytes:
        """Return what is from this position on, as much as is at hand."""
        if start < len(self._head):
            return self._head[start:]
        place = (start - len(self._head)) % len(self._filler)
        return self._filler[place:]

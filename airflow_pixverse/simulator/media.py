"""
The files behind the URLs of results, and the signatures of these URLs.

The files are small and real, and can be filled up to any size without being held in memory. The filling
differs at every position and for every job. So a download that was resumed at the wrong place, or that is of
another job, has another hash.
"""

import hashlib
import hmac
import random
import secrets
import struct
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from airflow_pixverse.simulator.errors import LinkExpiredError

# A file of each kind can be filled up to this size: its formats count in 32 bits.
MIN_BYTES = 2048
MAX_BYTES = 4_000_000_000
# A prime, so that the filling repeats only after an odd number of bytes.
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
    """The beginning of a file, the filling that repeats from there on, and the size."""

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
    # Chunks have even lengths; readers ignore an odd byte behind the end.
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
    """Return a text of an even length, which tells files apart that are not filled."""
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


# The content type of files with a suffix, and the function that makes them.
FORMATS: Mapping[str, tuple[str, Callable[[int, int], Parts]]] = {
    "mp4": ("video/mp4", _mp4),
    "webp": ("image/webp", _webp),
    "mp3": ("audio/mpeg", _mp3),
}


class MediaFile:
    """
    A file that is made while it is read.

    :param number: of the job
    :param suffix: one of :data:`FORMATS`
    :param size: how many bytes it has; None for as few as possible
    """

    def __init__(self, number: int, suffix: str, size: int | None = None) -> None:
        self.content_type, make = FORMATS[suffix]
        self._head, self._filler, self.size = make(number, size or 0)
        self.etag = f'"{number}-{self.size}"'

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the whole file."""
        digest = hashlib.sha256()
        for piece in self.read(0, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes from one position up to another."""
        while start < stop:
            if start < len(self._head):
                piece = self._head[start:stop]
            else:
                place = (start - len(self._head)) % len(self._filler)
                piece = self._filler[place : place + stop - start]
            yield piece
            start += len(piece)


class Links:
    """Signs paths, and checks signed ones."""

    def __init__(self) -> None:
        self.seconds: float | None = None
        """For how long a link can be used; None for forever, and then links are not signed."""
        self._key = secrets.token_bytes(16)

    def query(self, path: str, now: float) -> str:
        """Return the query of a link to ``path``; empty while links last forever."""
        if self.seconds is None:
            return ""
        expires = f"{now + self.seconds:.3f}"
        return f"?expires={expires}&signature={self._signature(path, expires)}"

    def check(self, path: str, query: Mapping[str, str], now: float) -> None:
        """
        Check that the link can be used; without a signature, it can while links last forever.

        :raises LinkExpiredError: when it cannot be used
        """
        if self.seconds is None and "signature" not in query:
            return
        expires = query.get("expires", "")
        presented, right = query.get("signature", ""), self._signature(path, expires)
        if not hmac.compare_digest(presented.encode(), right.encode()) or float(expires) <= now:
            raise LinkExpiredError("The link has expired, or was never given out")

    def expire(self) -> None:
        """Let all links expire that were signed until now."""
        self._key = secrets.token_bytes(16)

    def _signature(self, path: str, expires: str) -> str:
        return hmac.new(self._key, f"{path} {expires}".encode(), hashlib.sha256).hexdigest()

"""Check the file or folder of certificates that a connection names, before any call depends on it."""

from __future__ import annotations

import os
import re
import ssl
import stat
from itertools import islice
from pathlib import Path

# The bundles that systems ship have less than a tenth of it.
_MAX_FILE = 10 * 1024 * 1024
_MAX_FOLDER_ENTRIES = 10_000
# OpenSSL looks a certificate up by the hash of its subject, and reads no other file of a folder.
_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def checked_ca_bundle(path: str) -> str:
    """
    Return the path of a certificate file, or of a folder of certificates, that TLS can be verified with.

    :param path: a PEM file, or a folder that ``openssl rehash`` has prepared.
    :raises ValueError: it cannot be used for that; the message does not repeat the path.
    """
    if not path.isprintable():
        raise ValueError("must be the path of a file or folder")
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            _check_folder(path)
        elif stat.S_ISREG(status.st_mode):
            _check_file(path, status.st_size)
        else:  # a device or a pipe may never end
            raise ValueError("must be a regular file or a folder")
    except OSError as error:  # ssl.SSLError is one, too
        if isinstance(error, ssl.SSLError):
            raise ValueError("holds no valid certificate") from None
        raise ValueError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    return path


def _check_file(path: str, size: int) -> None:
    # Files of size 0 may still be endless, as some under /proc are.
    if not 0 < size <= _MAX_FILE:
        raise ValueError(f"must be a file of 1 to {_MAX_FILE} bytes")
    if not _count_certificates(path):
        raise ValueError("holds no certificate")


def _check_folder(path: str) -> None:
    with os.scandir(path) as entries:
        hashed = (
            entry
            for entry in islice(entries, _MAX_FOLDER_ENTRIES)
            if _HASHED_NAME.fullmatch(entry.name)
            and entry.is_file()
            and 0 < entry.stat().st_size <= _MAX_FILE
        )
        if not any(_is_certificate(entry.path) for entry in hashed):
            raise ValueError("holds no certificate under its hashed name; `openssl rehash` makes such names")


def _is_certificate(path: str) -> bool:
    try:
        return _count_certificates(path) > 0
    except OSError:
        return False


def _count_certificates(path: str) -> int:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(path)
    return context.cert_store_stats()["x509"]

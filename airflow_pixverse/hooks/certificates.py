"""Check of the file or folder of certificates that a connection names, before any call depends on it."""

import re
import ssl
from pathlib import Path

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
    bundle = Path(path)
    try:
        bundle.stat()
        if bundle.is_dir():
            if not any(_HASHED_NAME.fullmatch(file.name) and _is_valid(file) for file in bundle.iterdir()):
                raise ValueError(
                    "holds no certificate under its hashed name; `openssl rehash` makes such names"
                )
        elif bundle.is_file():
            ssl.create_default_context(cafile=path)
        else:  # a device or a pipe may never end
            raise ValueError("must be a regular file or a folder")
    except ssl.SSLError:
        raise ValueError("holds no valid certificate") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror or type(error).__name__}") from None
    return path


def _is_valid(file: Path) -> bool:
    try:
        return file.is_file() and bool(ssl.create_default_context(cafile=file))
    except OSError:  # ssl.SSLError is one too
        return False

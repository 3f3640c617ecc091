"""Connections for the hook, defined in the environment."""

import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_pixverse.hooks import lookup

TOKEN = "user:42-t0ps3cret"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    """Nobody waits before a missing connection is looked for again."""
    monkeypatch.setattr(lookup, "SECOND_LOOK_AFTER", 0)


@pytest.fixture
def connection(monkeypatch):
    """A function that defines the connection ``pixverse_default``."""

    def define(uri=None, **fields):
        fields = {"conn_type": "pixverse", "password": TOKEN, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_PIXVERSE_DEFAULT", uri or json.dumps(fields))

    return define


@dataclass
class TlsService:
    """A service without accounts, over https, whose certificate nobody else has signed."""

    url: str
    certificate: str


@pytest.fixture
def tls_service(tmp_path) -> Iterator[TlsService]:
    """A running :class:`TlsService`."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_bytes(_self_signed())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"executing": [], "available": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield TlsService(f"https://127.0.0.1:{server.server_port}", str(certificate))
        server.shutdown()


def _self_signed() -> bytes:
    """A private key and its certificate for 127.0.0.1, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem + certificate.public_bytes(serialization.Encoding.PEM)

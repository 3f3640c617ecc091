"""A server on loopback that answers byte by byte as a test says, and a certificate for it."""

import datetime as dt
import ipaddress
import select
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PAUSE = 0.02  # between two bytes of a drip; well below any timeout of a client


def answer(
    body: bytes = b"{}", status: str = "200 OK", headers: str = "", content_type: str = "application/json"
) -> bytes:
    """Return a whole HTTP answer."""
    length = f"Content-Length: {len(body)}\r\nContent-Type: {content_type}\r\n"
    return f"HTTP/1.1 {status}\r\n{length}{headers}\r\n".encode() + body


class RawServer:
    """
    Serves connections with a function of a test: it reads requests and sends bytes.

    ``requests`` holds the heads (and bodies) it has read, each with the number of its connection. A test may
    wait for ``hung_up``, which is set as soon as a client has closed its end while it was served.

    :param serve: called with the server and each connection.
    :param tls: context to wrap the connections with.
    """

    def __init__(self, serve, tls: ssl.SSLContext | None = None):
        self._serve = serve
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.connections = 0
        self.requests: list[tuple[int, bytes]] = []
        self.hung_up = threading.Event()
        self._open: list[socket.socket] = []

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info):
        self._listener.close()
        for connection in self._open:
            connection.close()

    def read_request(self, connection) -> bytes:
        """Read a request with its body; nothing when the client has hung up."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (part := connection.recv(65536)):
                return b""
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
        while missing > 0:
            part = connection.recv(missing)
            data += part
            missing -= len(part)
        self.requests.append((self.connections, data))
        return data

    def drip(self, connection, unit: bytes) -> None:
        """Send ``unit`` again and again until the client hangs up."""
        while True:
            readable, _, _ = select.select([connection], [], [], PAUSE)
            try:
                if readable and not connection.recv(65536):
                    break
                connection.sendall(unit)
            except OSError:
                break
        self.hung_up.set()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                continue  # a test took all file descriptors away
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
            self._serve(self, connection)
        except OSError:
            self.hung_up.set()
        finally:
            connection.close()


def always(data: bytes):
    """Return what answers each request with ``data``."""

    def serve(server, connection):
        while server.read_request(connection):
            connection.sendall(data)

    return serve


def once(data: bytes):
    """Return what answers one request with ``data``, and then closes the connection."""

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(data)

    return serve


def dripping(begin: bytes, unit: bytes):
    """Return what answers a request with ``begin``, and then ``unit`` again and again; empty for silence."""

    def serve(server, connection):
        server.read_request(connection)
        connection.sendall(begin)
        server.drip(connection, unit)

    return serve


def tls_context(folder, name: str) -> tuple[ssl.SSLContext, str]:
    """Return the context of a server with a self-signed certificate for ``name``, and that file."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    try:
        general_name = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        general_name = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([general_name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, str(path)

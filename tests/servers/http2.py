"""An HTTP/2 server on the `h2` package, with TLS and ALPN, that answers every path with the same body."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Self

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import RequestReceived


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext] | None:
    """TLS contexts of a server and a client that trusts it, for 127.0.0.1; None without the openssl program."""
    if shutil.which("openssl") is None:
        return None
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    return server, ssl.create_default_context(cafile=str(certificate))


class Http2Server:
    """Counts connections and the streams that were open at once."""

    def __init__(self, body: bytes, tls: ssl.SSLContext) -> None:
        tls.set_alpn_protocols(["h2"])
        self._body, self._tls = body, tls
        self.num_connections = self.num_requests = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.num_connections += 1
        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError):
            writer.write(connection.data_to_send())
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, RequestReceived):
                        self._answer(connection, event)
                writer.write(connection.data_to_send())
                await writer.drain()
        self._tasks.discard(task)
        writer.close()

    def _answer(self, connection: H2Connection, event: RequestReceived) -> None:
        self.num_requests += 1
        path = dict(event.headers or ()).get(b":path", b"")
        if path in (b"/robots.txt", b"/.well-known/tdmrep.json"):
            connection.send_headers(event.stream_id, [(":status", "404")], end_stream=True)
            return
        headers = [(":status", "200"), ("content-type", "image/jpeg"), ("content-length", str(len(self._body)))]
        connection.send_headers(event.stream_id, headers)
        connection.send_data(event.stream_id, self._body, end_stream=True)

"""What `kubectl logs` asks of a kubelet, answered from texts.

GET /containerLogs/NAMESPACE/POD/CONTAINER?previous=true&tailLines=N.
"""

from __future__ import annotations

import http.server
import ssl
import threading
import urllib.parse
from pathlib import Path
from types import TracebackType


class Kubelet:
    """Serves `logs`: (pod, container, previous) → text.

    The certificate is the API server's, which does not look at it.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self.logs: dict[tuple[str, str, bool], str] = {}
        self.asked: list[str] = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def __enter__(self) -> Kubelet:  # noqa: PYI034 — Self is in the standard library from Python 3.11 on only
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, target: str) -> tuple[int, str]:
        """Status and text for a request."""
        url = urllib.parse.urlparse(target)
        query = urllib.parse.parse_qs(url.query)
        parts = url.path.strip("/").split("/")
        self.asked.append(target)
        if len(parts) != 4 or parts[0] != "containerLogs":
            return 404, "not found\n"
        _, _, pod, container = parts
        previous = query.get("previous") == ["true"]
        text = self.logs.get((pod, container, previous))
        if text is None:
            kind = "previous terminated container" if previous else "container"
            return 400, f'{kind} "{container}" in pod "{pod}" not found\n'
        if "tailLines" in query:
            text = "".join(text.splitlines(keepends=True)[-int(query["tailLines"][0]) :])
        return 200, text

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        kubelet = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                status, text = kubelet.answer(self.path)
                body = text.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

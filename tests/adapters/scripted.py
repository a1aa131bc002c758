"""An HTTP server on a real socket that answers as told, for answers that no well-behaved exchange gives."""

import json
import socket
import threading
from collections import deque
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from dcabot.adapters.config import Config, load

CUT = b"<cut>"  # close the connection without an answer
HANG = b"<hang>"  # never answer
CHUNK = 65536


def config_for(url: str, **more: str) -> Config:
    environ = {
        "APCA_API_KEY_ID": "PKTEST",
        "APCA_API_SECRET_KEY": "secret-of-the-test",
        "APCA_API_BASE_URL": url,
        "APCA_API_DATA_URL": url,
        "APCA_API_STREAM_URL": url.replace("http", "ws") + "/v1beta3/crypto/us",
        **more,
    }
    return load({"exchange"}, environ)


def answer(status: int, body: object = None, **headers: str) -> bytes:
    """An HTTP answer; a body that is not bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Scripted:
    """Answers requests in turn; the last answer is given again and again. `requests` tells what came in."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = deque(answers)
        self.requests: list[tuple[str, str, dict[str, str], object]] = []
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> "Scripted":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        received = b""
        try:
            while True:
                while b"\r\n\r\n" not in received:
                    received += (part := connection.recv(CHUNK))
                    if not part:
                        return
                head, _, received = received.partition(b"\r\n\r\n")
                length = next((int(v) for n, v in self._headers(head) if n == "content-length"), 0)
                while len(received) < length:
                    received += connection.recv(CHUNK)
                body, received = received[:length], received[length:]
                self._note(head, body)
                reply = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
                if reply == CUT:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                if reply != HANG:
                    connection.sendall(reply)
        except OSError:
            return

    def _headers(self, head: bytes) -> list[tuple[str, str]]:
        lines = head.decode().split("\r\n")[1:]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]

    def _note(self, head: bytes, body: bytes) -> None:
        verb, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append((verb, parts.path, query, json.loads(body) if body else None))

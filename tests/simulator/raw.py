"""Raw websockets to a simulator: what the SDK cannot say or would not show."""

import json
import socket
from typing import Any

import msgpack
from websockets.sync.client import ClientConnection, connect

from dcabot.simulator import Simulator
from tests.programs import PATIENCE


def trading(alpaca: Simulator, **options: Any) -> ClientConnection:
    return connect(alpaca.stream_url, compression=None, proxy=None, close_timeout=0.1, **options)


def data(alpaca: Simulator, is_msgpack: bool = False, **headers: str) -> ClientConnection:
    sent = {"Content-Type": "application/msgpack"} if is_msgpack else {}
    return connect(
        alpaca.data_stream_url, compression=None, proxy=None, close_timeout=0.1, additional_headers={**sent, **headers}
    )


def say(stream: ClientConnection, **message: Any) -> None:
    stream.send(json.dumps(message))


def hear(stream: ClientConnection, seconds: float = PATIENCE) -> Any:
    """The next frame's content."""
    frame = stream.recv(seconds)
    if isinstance(frame, bytes):
        try:
            return json.loads(frame)
        except ValueError:
            return msgpack.unpackb(frame)
    return json.loads(frame)


def log_in(alpaca: Simulator, stream: ClientConnection) -> Any:
    """Log in with the right keys; on the data stream after the greeting. The answer."""
    say(stream, action="auth", key=alpaca.key, secret=alpaca.secret)
    return hear(stream)


def vanish(stream: ClientConnection) -> None:
    """End the TCP connection without a closing handshake."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    stream.socket.shutdown(socket.SHUT_RDWR)
    stream.close_timeout = 0

"""A NAT, or a balancer, between a program and a server: it forgets connections, as those do that idled for long.

with Relay(("127.0.0.1", 3306)) as relay:
    ... connect to relay.port
    relay.forget()      # what is open is never answered again, and nobody is told; what is opened from now on works
"""

import contextlib
import socket
import threading
from types import TracebackType


class Relay:
    """Hands bytes on, until it forgets. With `resets` it hangs up at the next byte instead."""

    def __init__(self, target: tuple[str, int] | str, resets: bool = False) -> None:
        self._target, self._resets = target, resets
        self._forgotten: list[threading.Event] = []
        self._lines: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self.connections = 0

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for line in self._lines:
            line.close()

    def forget(self) -> None:
        """All that is open now."""
        for forgotten in self._forgotten:
            forgotten.set()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            far = self._connect()
            self._lines += [near, far]
            forgotten = threading.Event()
            self._forgotten.append(forgotten)
            for source, sink in ((near, far), (far, near)):
                thread = threading.Thread(target=self._hand_on, args=(source, sink, forgotten), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _connect(self) -> socket.socket:
        if isinstance(self._target, tuple):
            return socket.create_connection(self._target)
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._target)
        return line

    def _hand_on(self, source: socket.socket, sink: socket.socket, forgotten: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                if not forgotten.is_set():
                    sink.sendall(part)
                elif self._resets:
                    break
            if forgotten.is_set() and not self._resets:
                return  # not even the end is told
        for line in (source, sink):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

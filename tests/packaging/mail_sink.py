"""A mail server that keeps what it is given, in files. Runs on a bare Debian, so with Python's own library alone.

mail_sink.py PORT FOLDER                           without encryption and without a login
mail_sink.py ... --tls starttls|implicit --certificate FILE --login USER PASSWORD --address ADDRESS

Each mail begins with a line `X-Session: ehlo starttls auth`: what the client had said before it.
"""

import argparse
import base64
import contextlib
import socketserver
import ssl
import time
from pathlib import Path


class Conversation(socketserver.StreamRequestHandler):
    """One session of SMTP."""

    server: "Sink"

    def handle(self) -> None:
        # A client that does not trust us says so itself.
        with contextlib.suppress(OSError):
            self.converse()

    def converse(self) -> None:
        self.said: list[str] = []
        if self.server.options.tls == "implicit":
            self.encrypt()
        self.say("220 sink")
        while line := self.rfile.readline().decode(errors="replace").strip():
            word, _, rest = line.partition(" ")
            self.said.append(word.lower())
            if word.upper() == "QUIT":
                self.say("221 bye")
                return
            self.answer(word.upper(), rest)

    def answer(self, word: str, rest: str) -> None:
        if word == "EHLO":
            extensions = ["STARTTLS"] if self.server.options.tls == "starttls" and not self.encrypted() else []
            # Too open-hearted on purpose: a client that sends its password in the clear is found out.
            extensions += ["AUTH PLAIN"] if self.server.options.login else []
            lines = ["sink", *extensions]
            self.say("\r\n".join([*(f"250-{line}" for line in lines[:-1]), f"250 {lines[-1]}"]))
        elif word == "STARTTLS":
            self.say("220 go on")
            self.encrypt()
        elif word == "AUTH":
            given = base64.b64decode(rest.partition(" ")[2]).decode().split("\0")[1:]
            self.say("235 welcome" if given == self.server.options.login else f"535 no, not with {rest}")
        elif word == "DATA":
            self.say("354 go on")
            self.keep()
            self.say("250 kept")
        else:
            self.say("250 well")

    def encrypted(self) -> bool:
        return isinstance(self.connection, ssl.SSLSocket)

    def encrypt(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.server.options.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)

    def keep(self) -> None:
        """A file for each mail, whole when it has its name."""
        lines = [f"X-Session: {' '.join(self.said)}\n".encode()]
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.replace(b"\r\n", b"\n"))
        folder = self.server.options.folder
        draft = folder / "draft"
        draft.write_bytes(b"".join(lines))
        draft.rename(folder / f"{time.time_ns()}.eml")

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


class Sink(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        super().__init__((options.address, options.port), Conversation)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("port", type=int)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--address", default="127.0.0.1")
    arguments.add_argument("--tls", choices=["starttls", "implicit"])
    arguments.add_argument("--certificate")
    arguments.add_argument("--login", nargs=2)
    given = arguments.parse_args()
    with Sink(given) as server:
        given.folder.mkdir(exist_ok=True)
        server.serve_forever()

"""A mail server that keeps what it is given: mail_sink.py PORT FOLDER. Runs on a bare Debian, so the library alone."""

import socketserver
import sys
import time
from pathlib import Path


class Conversation(socketserver.StreamRequestHandler):
    """One session of SMTP, without a login and without encryption."""

    def handle(self) -> None:
        self.say("220 sink")
        while line := self.rfile.readline().decode(errors="replace").strip():
            word = line.split(" ")[0].upper()
            if word == "QUIT":
                self.say("221 bye")
                return
            if word == "DATA":
                self.say("354 go on")
                self.keep()
            self.say("250 sink" if word in ("EHLO", "HELO") else "250 well")

    def keep(self) -> None:
        """A file for each mail, whole when it has its name."""
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.replace(b"\r\n", b"\n"))
        folder = Path(sys.argv[2])
        draft = folder / "draft"
        draft.write_bytes(b"".join(lines))
        draft.rename(folder / f"{time.time_ns()}.eml")

    def say(self, words: str) -> None:
        self.wfile.write(f"{words}\r\n".encode())


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(exist_ok=True)
    with socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Conversation) as server:
        server.serve_forever()

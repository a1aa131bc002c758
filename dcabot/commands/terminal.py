"""What a command writes: whatever others put into its words, no terminal obeys it."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from dcabot.core.foreign import plain_lines


class Harmless:
    """A stream that escapes what is written to it."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        self.stream.write(plain_lines(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def harmless(out: TextIO, err: TextIO) -> Iterator[None]:
    """Both streams of a program, while the block runs."""
    with redirect_stdout(cast(TextIO, Harmless(out))), redirect_stderr(cast(TextIO, Harmless(err))):
        yield


def beneath(stream: TextIO) -> TextIO:
    """The stream itself, for who writes colours, and escapes the words by itself."""
    return stream.stream if isinstance(stream, Harmless) else stream

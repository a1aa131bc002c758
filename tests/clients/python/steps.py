"""Words that the scripts share. It knows the standard library only: each environment is another."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Found = TypeVar("Found")
KEY = os.environ["APCA_API_KEY_ID"]
SECRET = os.environ["APCA_API_SECRET_KEY"]
URL = os.environ["APCA_API_BASE_URL"]
STREAM_URL = URL.replace("http", "ws")


def until(look: Callable[[], Found], what: str, seconds: float = 60) -> Found:
    """The answer of `look`, once it is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s in vain for {what}")


@contextmanager
def refused(error: type[Exception], words: str) -> Iterator[None]:
    """Something that Alpaca refuses with these words, which the client tells as this error."""
    try:
        yield
    except error as found:
        assert words in str(found), f"refused otherwise than with {words!r}: {found!r}"
        return
    raise AssertionError(f"not refused with {words!r}")


@contextmanager
def cannot(what: str, error: type[Exception], words: str) -> Iterator[None]:
    """Something that the client cannot do at the real Alpaca either: docs/simulator.md says why."""
    with refused(error, words):
        yield


def end() -> None:
    print("told to the end", flush=True)

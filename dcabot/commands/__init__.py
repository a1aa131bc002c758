"""The preamble that every program shares: logging, the way to the database and the exchange, and exit codes.

Exit codes: 0 done; 1 it failed; 2 wrong usage; 75 the exchange or the database could not be reached; 78 the
configuration is wrong; 130 Ctrl-C; 141 whoever read the output has gone. This file has the only `except Exception`
of the package.
"""

import argparse
import logging
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from typing import Any, NoReturn, TextIO

from dcabot.core.foreign import plain, plain_lines

DONE, FAILED, USAGE, UNREACHABLE, MISCONFIGURED, INTERRUPTED = 0, 1, 2, 75, 78, 130
UNREAD = 141  # as a shell reports a program that a closed pipe ended
UNHEALTHY = "unhealthy"  # how the sentence of a daemon begins that cannot trade
NEEDS_PERSON = "needs a person"  # so begins a line of the checker's log that the alert is about
STARTING = "starting"  # how the sentence of a daemon begins that waits for the exchange before it trades

log = logging.getLogger("dcabot")


def guard(command: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command: expected trouble becomes one line on stderr and its exit code."""
    try:
        code = _outcome(command, argv)
        sys.stdout.flush()  # a reader who has gone is noticed here, not when Python exits
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BrokenPipeError as error:
        unread = [_is_unread(stream) for stream in (sys.stdout, sys.stderr)]
        code = UNREAD if any(unread) else _by_name(error)
    try:
        sys.stderr.flush()
    except BrokenPipeError:
        _is_unread(sys.stderr)  # the exit code stays: systemd acts on it
    return code


def _outcome(command: Callable[[list[str]], int], argv: list[str]) -> int:
    from dcabot.adapters.config import ConfigError
    from dcabot.adapters.database import DatabaseBusy, DatabaseMisconfigured, DatabaseUnreachable

    try:
        return _interruptible(command, argv)
    except SystemExit as stop:  # argparse's way to end, after --help too
        return stop.code if isinstance(stop.code, int) else USAGE
    except ConfigError as error:
        return _say(error, MISCONFIGURED)
    except DatabaseMisconfigured as error:
        return _say(error, MISCONFIGURED)
    except (DatabaseUnreachable, DatabaseBusy) as error:
        return _say(error, UNREACHABLE)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001 - the one place; whatever comes here ends the program
        return _by_name(error)


def _interruptible(command: Callable[[list[str]], int], argv: list[str]) -> int:
    """Run a command: an error that a Ctrl-C had on the way is that Ctrl-C."""
    try:
        return command(argv)
    except Exception as error:
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        raise


def was_interrupted(error: BaseException | None) -> bool:
    """True for a Ctrl-C, and for an error that was met while one was on its way out.

    What is tidied up then, such as an answer that a session still owes, may fail in its place.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _is_unread(stream: TextIO) -> bool:
    """Whether nobody is left at the other end. If so, what Python writes there at exit goes nowhere, without a word."""
    ends = select.poll()
    ends.register(stream.fileno(), 0)
    is_gone = bool(ends.poll(0))
    if is_gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return is_gone


def _by_name(error: Exception) -> int:
    """Errors of the exchange and of the books, without importing a library for commands that do not need it."""
    broker = sys.modules.get("dcabot.adapters.broker")
    if broker is not None and isinstance(error, broker.ExchangeUnreachable):
        return _say(f"Alpaca could not be asked: {error}; `dcabot check` looks for the cause", UNREACHABLE)
    if broker is not None and isinstance(error, broker.ExchangeDenied):
        return _say(error, MISCONFIGURED)
    store = sys.modules.get("dcabot.adapters.store")
    if store is not None and isinstance(error, store.RowFault):
        return _say(error, FAILED)
    log.critical("stopped by an error that nobody expected", exc_info=error)
    return FAILED


def _say(error: Exception | str, code: int) -> int:
    with suppress(BrokenPipeError):
        for line in str(error).splitlines():
            print(f"dcabot: {line}", file=sys.stderr)
    return code


def _say_usage(sentence: str) -> None:
    with suppress(BrokenPipeError):  # not every Python's argparse does that for us
        print(sentence, file=sys.stderr)


class Lines(logging.Formatter):
    """One line for each event, whatever others wrote into it; a traceback has its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = plain(record.message)
        return super().formatMessage(record)

    def formatException(self, error: Any) -> str:
        return plain_lines(super().formatException(error))


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, instead of below a screenful of usage."""

    def error(self, message: str) -> NoReturn:
        _say_usage(f"{self.prog}: {message}; `{self.prog} --help` tells more")
        sys.exit(USAGE)


def parser(name: str, what: str, logs: bool = False) -> argparse.ArgumentParser:
    """An argument parser with the options that every command has, and those of one that writes a log."""
    made = Parser(prog=f"dcabot {name}", description=what)
    made.add_argument("--env-file", metavar="FILE", help="read settings from FILE instead of ./.env or /etc/dcabot")
    if logs:
        made.add_argument("--verbose", action="store_true", help="log more")
    return made


def start_logging(verbose: bool = False) -> None:
    """Log on stderr; under systemd the journal adds the time itself."""
    form = "%(levelname)s %(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(levelname)s %(message)s"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(form))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    # What our lines do not show need not be found out; an order waits for its line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None
    # Each of their lines is about one request; ours say what it was for.
    for chatty in ("urllib3", "websockets", "peewee", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.CRITICAL)


def counted(number: int, noun: str) -> str:
    """So many of them: 1 asset, 2 assets."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def utc_now() -> datetime:
    return datetime.now(timezone.utc)

"""What one check found; where something is wrong, what to do about it belongs to it."""

from dataclasses import dataclass
from enum import Enum

from dcabot.commands import FAILED, MISCONFIGURED, UNREACHABLE


class Verdict(Enum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """`code` is the exit code that this finding asks for when it failed."""

    name: str
    verdict: Verdict
    words: str
    remedy: str = ""
    code: int = FAILED


def ok(name: str, words: str) -> Finding:
    return Finding(name, Verdict.OK, words)


def warning(name: str, words: str, remedy: str) -> Finding:
    return Finding(name, Verdict.WARNING, words, remedy)


def skipped(name: str, why: str) -> Finding:
    return Finding(name, Verdict.SKIPPED, why)


def failed(name: str, words: str, remedy: str, code: int = FAILED) -> Finding:
    return Finding(name, Verdict.FAILED, words, remedy, code)


def misconfigured(name: str, words: str, remedy: str) -> Finding:
    return failed(name, words, remedy, MISCONFIGURED)


def unreachable(name: str, words: str, remedy: str) -> Finding:
    return failed(name, words, remedy, UNREACHABLE)

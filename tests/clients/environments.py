"""Environments for other people's clients: one each, pinned with hashes, below `.clients/`.

Neither the daemon's environment nor the tests' own ever sees what a client brings along. Node comes
as a Python package, so one pinned version serves every Debian: that of Debian 12 is too old for one
of the SDKs.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.programs import ROOT

LOCKS = Path(__file__).with_name("locks")
CACHE = ROOT / ".clients"
BUILD_TOOLS = ROOT / "requirements-build.txt"
NPM = ("ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")


def python_of(client: str) -> Path:
    """The Python for this client's script; its environment is made first if it is not there."""
    lock = LOCKS / f"{client}.txt"
    folder = CACHE / client
    python = folder / "bin" / "python"
    if _is_ready(folder, lock, BUILD_TOOLS):
        return python
    _empty(folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    # The build tools come from their own lock, for the packages that have no wheel.
    _pip(python, "-r", str(BUILD_TOOLS))
    _pip(python, "--no-build-isolation", "--use-pep517", "-r", str(lock))
    _say_ready(folder, lock, BUILD_TOOLS)
    return python


def node_of(client: str) -> tuple[Path, Path]:
    """Node, and the folder with this client's packages, where its script must lie."""
    python = python_of("node")
    node = python.with_name("node")
    lock = LOCKS / client / "package-lock.json"
    folder = CACHE / client
    if not _is_ready(folder, lock):
        _empty(folder)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(LOCKS / client / name, folder / name)
        path = f"{node.parent}:{os.environ['PATH']}"
        _nicely([str(node.with_name("npm")), *NPM], cwd=folder, env={**os.environ, "PATH": path})
        _say_ready(folder, lock)
    return node, folder


def _pip(python: Path, *arguments: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    # A lock is complete, so nothing is resolved again.
    command = [*pip, "install", "-qq", "--no-input", "--no-deps", "--require-hashes", *arguments]
    _nicely(command, cwd=ROOT, env=dict(os.environ))


def _nicely(command: list[str], cwd: Path, env: dict[str, str]) -> None:
    """Some of them bring hundreds of packages; the machine is not theirs alone."""
    subprocess.run(["nice", *command], cwd=cwd, env=env, stdin=subprocess.DEVNULL, check=True)


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _is_ready(folder: Path, *locks: Path) -> bool:
    stamp = folder / ".ready"
    return stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == _fingerprint(locks)


def _say_ready(folder: Path, *locks: Path) -> None:
    (folder / ".ready").write_text(json.dumps(_fingerprint(locks)), encoding="utf-8")


def _fingerprint(locks: tuple[Path, ...]) -> list[str]:
    return [sys.version, *(hashlib.sha256(lock.read_bytes()).hexdigest() for lock in locks)]

"""Completion as the build makes it, and the real shells that are asked what they offer."""

import subprocess
import sys
from importlib import util
from pathlib import Path
from types import ModuleType

from tests.needs import needed

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "packaging/make_completion.py"

# What bash does when Tab is pressed after these words.
BASH = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_shtab_dcabot
printf '%s\\n' "${COMPREPLY[@]}"
"""
# zsh lists completions in its line editor alone, so it runs on a terminal of its own.
ZSH = """
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner "PROMPT=; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D"
zpty -w inner "bindkey '^I' list-choices; bindkey '^X' accept-line; LISTMAX=1000; print REA''DY"
zpty -r inner seen '*READY*'
zpty -w -n inner "$2"$'\\t'
zpty -r inner seen "*$3*"
print -r -- "$seen"
"""


def maker() -> ModuleType:
    """The script that the build runs, as a module."""
    spec = util.spec_from_file_location("make_completion", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def bash(file: Path, *words: str) -> list[str]:
    """The words that bash offers for the last of these."""
    return _lines(["bash", "-c", BASH, "bash", str(file), "dcabot", *words], file.parent)


def fish(file: Path, line: str) -> list[str]:
    """The words that fish offers at the end of a line."""
    asked = 'source $argv[1]; complete -C "$argv[2]"'
    lines = _lines([needed("fish"), "--no-config", "-c", asked, str(file), line], file.parent)
    return [line.partition("\t")[0] for line in lines]


def zsh(file: Path, line: str, last: str) -> str:
    """All that zsh writes when it completes a line, until the word that comes last."""
    command = [needed("zsh"), "-f", "-c", ZSH, "zsh", str(file.parent), line, last]
    return "\n".join(_lines(command, file.parent))


def accepted(shell: str, file: Path) -> None:
    """The shell reads the file without a complaint."""
    program = shell if shell == "bash" else needed(shell)
    assert _lines([program, "-n", str(file)], file.parent) == []


def made(folder: Path) -> None:
    """The script as `debian/rules` runs it."""
    environment = {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-B", SCRIPT, folder], check=True, env=environment, cwd=folder)


def _lines(command: list[str], folder: Path) -> list[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    environment["TERM"] = "dumb"
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=environment,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()

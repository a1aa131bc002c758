"""Completion of `dcabot` for bash, zsh and fish, made from the parsers of its commands.

make_completion.py FOLDER          the package's build calls it with debian/dcabot/usr/share
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import shtab

from dcabot import __version__
from dcabot.__main__ import COMMANDS

# The folders where Debian's shells look.
PLACES = {
    "bash": "bash-completion/completions/dcabot",
    "zsh": "zsh/vendor-completions/_dcabot",
    "fish": "fish/vendor_completions.d/dcabot.fish",
}
CARETAKERS = ("order-manager", "cooldown-manager", "consistency-checker")
UNITS = " ".join(["dcabot.service", *(f"dcabot-{name}.service" for name in CARETAKERS)])
# A parser says by an argument's placeholder what the argument is.
COMPLETED = {
    "FILE": shtab.FILE,
    "FOLDER": shtab.DIRECTORY,
    "DIR": shtab.DIRECTORY,
    "UNIT": {
        "bash": "_dcabot_units",
        "zsh": f"({UNITS})",
        "fish": UNITS,
        "preamble": {"bash": f'_dcabot_units() {{ compgen -W "{UNITS}" -- "$1"; }}\n'},
    },
}


def main() -> None:
    folder = Path(sys.argv[1])
    for shell, place in PLACES.items():
        file = folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script(shell), encoding="utf-8")


def script(shell: str) -> str:
    """The completion for one shell."""
    return shtab.complete(whole_program(), shell).rstrip("\n") + "\n"


def whole_program() -> argparse.ArgumentParser:
    """One parser with every command; the program itself imports a command only when it runs."""
    program = argparse.ArgumentParser(prog="dcabot")
    told = "show the version"
    program.add_argument("-V", "--version", action="version", version=__version__, help=told)
    commands = program.add_subparsers(metavar="COMMAND")
    for name, (module, told) in COMMANDS.items():
        parser = import_module(f"dcabot.commands.{module}").make_parser()
        mark(parser)
        # Its own --help comes along; a second one would be a conflict.
        commands.add_parser(name, help=told, description=told, parents=[parser], add_help=False)
    return program


def mark(parser: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are files, folders or units."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                mark(inner)
        elif action.metavar in COMPLETED:
            action.complete = COMPLETED[action.metavar]  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()

"""`dcabot COMMAND`: one console script; each command is a module of `dcabot.commands` with `main(argv) -> int`."""

import sys
from importlib import import_module

from dcabot import __version__
from dcabot.commands import DONE, INTERRUPTED, USAGE, guard
from dcabot.commands.terminal import harmless

COMMANDS = {
    "run": ("daemon", "the daemon, in the foreground, log on stderr"),
    "order-manager": ("order_manager", "one pass: cancel stale buys, treat untracked orders"),
    "cooldown-manager": ("cooldown_manager", "one pass: end cooldowns, give new assets their cycle"),
    "consistency-checker": ("consistency_checker", "one pass: make the book agree with Alpaca"),
    "alert": ("alert", "tell by e-mail that a unit failed; systemd starts it"),
    "check": ("check", "preflight: settings, keys, account, database, assets, units; one line each"),
    "status": ("status", "healthy or not, what each asset does, and what comes next"),
    "report": ("report", "finished cycles and what they brought"),
    "cycle": ("cycle", "one cycle: show every order and fill, close it now, release its position or adopt it again"),
    "backtest": ("backtest", "what settings would have done with past prices"),
    "asset": ("asset", "what is traded: add, list, show, set, enable, disable, remove"),
    "db": ("db", "`db init` creates the schema or brings it up to date; `db move-account`"),
    "simulator": ("simulator", "the local Alpaca, on loopback"),
    "demo": ("demo", "a whole cycle against the simulator, in about a minute"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    with harmless(sys.stdout, sys.stderr):
        try:
            return guard(_run, sys.argv[1:] if argv is None else argv)
        except KeyboardInterrupt:  # an import takes long enough for a Ctrl-C
            return INTERRUPTED


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        return _list_commands(words)
    if words[0] in ("-V", "--version"):
        print(f"dcabot {__version__}")
        return DONE
    if words[0] not in COMMANDS:
        print(f"dcabot: unknown command {words[0]!r}; `dcabot --help` lists them", file=sys.stderr)
        return USAGE
    # Imported only when asked for: the simulator's web server has no business in the daemon's memory.
    module = import_module(f"dcabot.commands.{COMMANDS[words[0]][0]}")
    return int(module.main(words[1:]))


def _list_commands(words: list[str]) -> int:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {what}" for name, (_, what) in COMMANDS.items()]
    print("\n".join(["usage: dcabot COMMAND ...", "", "A DCA trading bot for crypto on Alpaca.", "", *lines]))
    return DONE if words else USAGE


if __name__ == "__main__":
    sys.exit(main())

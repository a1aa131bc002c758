"""The simulation plays the daemon's lanes again, without asyncio: what must be the same in both is compared here."""

import ast
from pathlib import Path

from dcabot.adapters.config import load
from dcabot.commands import daemon as real
from tests.simulation import daemon as played

# What the real one does at once, and where the simulation has it.
LANES = {
    "_consume": "_consume",
    "_wake_consumer": "_look",  # nobody watches whether the consumer lives
    "_sweep_for_ever": "_sweep_for_ever",
    "_refresh_for_ever": "_refresh_for_ever",
    "_stay_alone": "_pulse",  # without the row that `dcabot status` reads
    "_tell_health": "",  # systemd is not here
}
NOT_PLAYED = {"say"}  # about quotes that cannot be read: there is no wire
FOR_THE_LAWS = {"swept_at"}


def test_the_real_daemon_does_at_once_what_the_simulation_plays() -> None:
    tree = ast.parse(Path(real.__file__).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    gathered = next(call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "gather")
    names = {
        one.func.attr for one in gathered.args if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute)
    }
    assert names == set(LANES)
    assert all(hasattr(played.Daemon, name) for name in LANES.values() if name)


def test_both_daemons_ask_the_same_of_the_trader() -> None:
    assert _asked_of_the_trader(real.__file__) - NOT_PLAYED == _asked_of_the_trader(played.__file__) - FOR_THE_LAWS


def test_the_settings_that_are_played_are_the_defaults() -> None:
    config = load(set(), {}, None)
    played_as = (played.REFRESH_SECONDS, played.QUOTE_MAX_AGE.total_seconds(), played.DATA_TIMEOUT_SECONDS)
    assert played_as == (config.asset_refresh_seconds, config.quote_max_age_seconds, config.data_timeout_seconds)


def _asked_of_the_trader(file: str) -> set[str]:
    """Every attribute of `self.trader` that is read or set."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "trader"
    }

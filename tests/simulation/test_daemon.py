"""The played daemon's settings: it reads no environment, so the defaults are said again."""

from dcabot.adapters.config import load
from dcabot.commands.paces import HEALTH_SECONDS
from tests.simulation import daemon as played


def test_played_settings_are_the_defaults() -> None:
    config = load(set(), {}, None)
    assert config.asset_refresh_seconds == played.REFRESH_SECONDS
    assert config.quote_max_age_seconds == played.QUOTE_MAX_AGE.total_seconds()
    assert config.data_timeout_seconds == played.DATA_TIMEOUT_SECONDS
    assert played.TELL_HEALTH_SECONDS == HEALTH_SECONDS

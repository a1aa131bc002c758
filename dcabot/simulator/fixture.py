"""The fixture where dcabot is not installed: `pytest_plugins = ["dcabot.simulator.fixture"]`."""

from dcabot.pytest_plugin import alpaca

__all__ = ["alpaca"]

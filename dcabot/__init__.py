"""dcabot: a dollar-cost-averaging bot for crypto on Alpaca."""

__version__ = "1.1.0"

"""Backtests: the code that trades, in process, in the time of the events.

`bot` is one asset with the daemon's strategy, lifecycle and ledger at the venue of `dcabot.core.matching`;
`path` says how a candle becomes quotes; `walk` leads the bot along them; `figures` says what came of it.
Nothing here decides anything about trading, and nothing here is a float that decides.
"""

"""The pure core: what the bot decides, as functions of values.

What may live here: the standard library's values and arithmetic. What may not: a clock, a socket,
a log, a database, a float. Time, prices and orders come in as arguments; decisions go out as values.
`tests/test_floors.py` holds this rule.
"""

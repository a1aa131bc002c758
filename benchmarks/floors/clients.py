"""A process that imports the three libraries that a caretaker cannot do without, and ends."""

import alpaca.trading.client
import peewee
import pymysql

print(alpaca.trading.client.TradingClient.__name__, peewee.Model.__name__, pymysql.Connection.__name__)

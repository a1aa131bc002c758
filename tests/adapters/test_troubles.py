"""The daemon's troubles in the database: what is written is read, and nothing else stands there."""

from datetime import datetime, timedelta, timezone

from dcabot.adapters.database import Database
from dcabot.adapters.store import Beat, Store
from dcabot.core.telling import Told
from dcabot.core.troubles import Kind, Trouble

NOW = datetime(2026, 11, 30, 3, 0, 1, 250000, timezone.utc)
BEAT = Beat(NOW, NOW, None, None, "unhealthy")
SALE = Trouble(Kind.SALE, "BTC/USD", NOW - timedelta(minutes=3), "not sold", "cancel your order")
KEYS = Trouble(Kind.KEYS, "", NOW, "the keys are refused")


def test_troubles_are_read_as_they_were_written(door: Database) -> None:
    store = Store(door, lambda: NOW)
    told = {SALE.name: Told(NOW, 2)}
    store.write_beat(BEAT, [SALE, KEYS], told)
    assert (store.read_troubles(), store.read_told()) == ([SALE, KEYS], told)


def test_what_is_over_is_gone_and_silence_changes_nothing(door: Database) -> None:
    store = Store(door, lambda: NOW)
    store.write_beat(BEAT, [SALE, KEYS])
    store.write_beat(BEAT, [KEYS])
    store.write_beat(BEAT)
    assert store.read_troubles() == [KEYS]
    store.write_beat(BEAT, [])
    assert store.read_troubles() == []


def test_a_long_sentence_is_cut(door: Database) -> None:
    store = Store(door, lambda: NOW)
    store.write_beat(BEAT, [Trouble(Kind.KEYS, "x" * 60, NOW, "é" * 600, "ü" * 300)])
    (trouble,) = store.read_troubles()
    texts = (trouble.asset, trouble.sentence, trouble.remedy)
    assert [len(text) for text in texts] == [50, 500, 255]

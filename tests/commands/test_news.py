"""An upgrade: its first start says once what changes, and which assets still sell at market."""

from dcabot.simulator import Simulator
from tests.commands.conftest import Start
from tests.programs import Books

NEW = "new in dcabot 1.1"


def test_upgrade_says_once_what_changes(small_books: Books, alpaca: Simulator, start: Start) -> None:
    small_books.add_asset()
    with start(small_books) as daemon:
        daemon.until(lambda: daemon.said("base order filled"), "a trade")
        daemon.stop()
    assert NEW not in daemon.log(), "a new installation has no before"
    small_books.execute("DELETE FROM dca_notes WHERE name LIKE 'started %'")
    with start(small_books) as upgraded:
        upgraded.until_ready()
        upgraded.stop()
    assert NEW in upgraded.log()
    assert "dcabot asset set BTC/USD --take-profit-order limit" in upgraded.log()
    with start(small_books) as later:
        later.until_ready()
        later.stop()
    assert NEW not in later.log()

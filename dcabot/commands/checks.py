"""The checks of `dcabot check`. Each runs even when others have failed, unless it needs what they found."""

import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from dcabot.adapters import journal, mail, notes
from dcabot.adapters.config import Config, Survey, Venue
from dcabot.adapters.database import DatabaseError, DatabaseMisconfigured, connect
from dcabot.adapters.migrations import pending
from dcabot.adapters.privileges import denied
from dcabot.adapters.rows import Book
from dcabot.adapters.store import Store
from dcabot.commands import utc_now
from dcabot.commands.console import price, span, usd
from dcabot.commands.finding import Finding, failed, misconfigured, ok, skipped, unreachable, warning
from dcabot.commands.market import Market, usual
from dcabot.commands.wiring import another_account
from dcabot.core.ladder import still_to_spend
from dcabot.core.model import Asset, Cycle, Instrument, TakeProfitOrder
from dcabot.core.money import ZERO
from dcabot.core.rules import faults, low_profit
from dcabot.core.snapshot import Account, ExchangeDenied, ExchangeError
from dcabot.core.states import OVER
from dcabot.core.troubles import SKEW_MAX

if TYPE_CHECKING:  # its SDK costs a tenth of a second, which a check without keys need not pay
    from dcabot.adapters.broker import Broker

SKEW_ODD = timedelta(seconds=2)
QUOTE_OLD = timedelta(minutes=10)  # BTC/USD is quoted every second
SYSTEMD = Path("/run/systemd/system")  # exists while systemd runs the machine; sd_booted(3)
DAEMON = "dcabot.service"
CARETAKERS = ("dcabot-order-manager", "dcabot-cooldown-manager", "dcabot-consistency-checker")
SAMPLE = "BTC/USD"


@dataclass(slots=True)
class World:
    """What earlier checks found, for those that need it; None where there is nothing to go by."""

    config: Config
    account: Account | None = None
    instruments: dict[str, Instrument] | None = None
    book: Book | None = None
    taken: list[tuple[Asset, Cycle | None]] = field(default_factory=list)


# The settings.


def settings(found: Survey) -> Iterator[Finding]:
    for problem in found.problems:
        yield misconfigured("settings", problem, "man dcabot.env tells what belongs there; so does .env.example")
    if not found.problems:
        places = " and ".join(str(file) for file in found.files)
        yield ok("settings", f"complete, from {places or 'the environment alone; there is no environment file'}")
    for name in found.strangers:
        yield warning("settings", f"{name} is set and means nothing to dcabot", "a slip of the pen? man dcabot.env")
    for note in found.config.notes:
        yield warning("settings", note, "man dcabot.env")
    yield from (_rights(file) for file in found.files)
    if found.config.base_url:
        yield _venue(found.config)


def _venue(config: Config) -> Finding:
    name = f"{config.venue.value.upper()}"
    if config.venue is Venue.UNKNOWN:
        words = f"{name}: {config.base_url} is not Alpaca's; your keys go there, and perhaps your money"
        return warning("venue", words, "is APCA_API_BASE_URL right? https://paper-api.alpaca.markets is Alpaca's paper")
    real = "REAL MONEY" if config.venue is Venue.LIVE else "no real money"
    return ok("venue", f"{name} ({real}): {config.base_url}")


def _rights(file: Path) -> Finding:
    """It holds the keys: whoever reads it can trade."""
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & stat.S_IRWXO:
        return misconfigured("file", f"{file} is open to every user of this machine ({mode:o})", f"chmod 600 {file}")
    if mode & stat.S_IWGRP:
        return warning("file", f"{file} can be changed by its group ({mode:o})", f"chmod 600 {file}")
    return ok("file", f"{file}: its permissions keep others out ({mode:o})")


# The exchange.


def exchange(world: World) -> Iterator[Finding]:
    config = world.config
    if not (config.key_id and config.secret_key and config.base_url):
        yield from (skipped(name, "the settings of Alpaca are incomplete") for name in ("keys", "account", "clock"))
        return
    from dcabot.adapters.broker import Broker

    broker = Broker(config, utc_now)
    try:
        yield from _ask_exchange(broker, world)
    finally:
        broker.close()


def _ask_exchange(broker: "Broker", world: World) -> Iterator[Finding]:
    url = world.config.base_url
    try:
        world.account = account = broker.account()
    except ExchangeDenied as error:
        yield misconfigured("keys", str(error), f"take the key and the secret that belong to {url}; paper has its own")
    except ExchangeError as error:
        yield unreachable("keys", f"{url} could not be asked: {error}", "is the network up, and is the address right?")
    else:
        yield ok("keys", f"accepted by {url}")
        if account.obstacle:
            yield misconfigured("account", account.obstacle, "Alpaca's dashboard says why, and what can be done")
        else:
            yield ok("account", f"active, may trade crypto; {usd(account.buying_power)} USD to spend")
    if world.account is None:
        yield from (skipped(name, "Alpaca gave no answer") for name in ("account", "clock", "prices"))
        return
    yield _clock(broker)
    yield _prices(broker, world)


def _clock(broker: "Broker") -> Finding:
    remedy = "timedatectl set-ntp true"
    try:
        skew = broker.clock_skew()
    except ExchangeError as error:
        return unreachable("clock", f"Alpaca's clock could not be read: {error}", "look again in a minute")
    words = f"this machine is {span(abs(skew))} {'behind' if skew > timedelta() else 'ahead of'} Alpaca"
    if abs(skew) > SKEW_MAX:
        return misconfigured("clock", f"{words}: quotes look too old or too new to act on", remedy)
    return warning("clock", words, remedy) if abs(skew) > SKEW_ODD else ok("clock", "agrees with Alpaca's")


def _prices(broker: "Broker", world: World) -> Finding:
    url = world.config.base_url
    try:
        world.instruments = {one.symbol: one for one in broker.instruments().rows}
    except ExchangeError as error:
        return unreachable("pairs", f"{url} did not list its pairs: {error}", "look again in a minute")
    url = world.config.data_url
    try:
        symbol = SAMPLE if SAMPLE in world.instruments else next(iter(world.instruments), SAMPLE)
        quotes = broker.latest_quotes([symbol]).rows
    except ExchangeDenied as error:
        return misconfigured("prices", f"{url}: {error}", "is APCA_API_DATA_URL the data host of these keys?")
    except ExchangeError as error:
        return unreachable("prices", f"{url} could not be asked: {error}", "is APCA_API_DATA_URL right?")
    later = "nothing is traded until Alpaca has fresh prices; look again in a few minutes"
    if not quotes:
        return warning("prices", f"{url} has no quote of {symbol}", later)
    age = utc_now() - quotes[0].at
    words = f"{symbol} {price(quotes[0].bid)}/{price(quotes[0].ask)}, {span(age)} old"
    return warning("prices", words, later) if age > QUOTE_OLD else ok("prices", words)


# The database.


def books(world: World) -> Iterator[Finding]:
    place = world.config.database
    if place is None:
        yield from (skipped(name, "no database is configured") for name in ("database", "schema", "rights"))
        return
    database = connect(place)
    try:
        database.ping()
        yield ok("database", f"{place} answers")
        missing = pending(place)
        if missing:
            yield misconfigured("schema", f"lacks {', '.join(missing)}", "dcabot db init")
            yield skipped("rights", "the schema comes first")
            return
        yield ok("schema", "up to date")
        if world.account and (fault := another_account(notes.account_number(database), world.account.number)):
            yield misconfigured("account", fault, "which of the two is meant?")
        yield from _privileges(denied(database))
        world.book = Store(database, utc_now).read_book()
    except DatabaseMisconfigured as error:
        yield misconfigured("database", str(error), _database_remedy(str(error)))
    except DatabaseError as error:
        server = "does the server run? systemctl status mariadb"
        yield unreachable("database", str(error), server if place.engine == "mysql" else "who else works on this file?")
    finally:
        database.close_all()


def _database_remedy(said: str) -> str:
    if "Access denied" in said and "using password" in said:
        return "is DB_PASSWORD (or DB_USER) right? In DB_URL, user and password are written percent-encoded"
    return "are the DB_* settings right? `dcabot db init` makes the tables in a database that is there"


def _privileges(refusals: list[str]) -> Iterator[Finding]:
    grant = "GRANT SELECT, INSERT, UPDATE, DELETE to this user on the database"
    for refusal in refusals:
        yield misconfigured("rights", refusal, grant if "denied" in refusal else "ask the server's administrator")
    if not refusals:
        yield ok("rights", "may read, add and change rows in every table")


# The assets.


def assets(world: World) -> Iterator[Finding]:
    if world.book is None:
        yield skipped("assets", "the database gave no answer")
        return
    for symbol, fault in world.book.faults.items():
        yield failed("asset", f"{symbol} is suspended: {fault}", "the row was edited by hand? Put it right with SQL")
    world.taken = [(entry.asset, entry.cycle) for entry in world.book.entries if entry.cycle.status not in OVER]
    world.taken += [(asset, None) for asset in world.book.idle]
    if not world.taken and not world.book.faults:
        yield warning("assets", "none yet", "dcabot asset add BTC/USD --base-order-amount 20 --safety-order-amount 20")
    known = sorted((asset for asset, _ in world.taken), key=lambda asset: asset.symbol)
    for asset in known:
        yield _asset(asset, world.instruments)
        if doubt := low_profit(asset):
            yield warning("asset", f"{asset.symbol}: {doubt}", _remedy(asset.symbol))
    market = [one.symbol for one in known if one.take_profit_order is TakeProfitOrder.MARKET]
    if market:
        yield warning(
            "sales",
            f"sold at the market, for what that pays: {', '.join(market)}",
            f"dcabot asset set {market[0]} --take-profit-order limit",
        )


def _asset(asset: Asset, instruments: dict[str, Instrument] | None) -> Finding:
    known = {asset.symbol: usual(asset.symbol)} if instruments is None else instruments
    found = "; ".join(faults(asset, known.get(asset.symbol)))
    if found and asset.enabled:
        return misconfigured("asset", f"{asset.symbol} cannot trade: {found}", _remedy(asset.symbol))
    if found:
        return warning("asset", f"{asset.symbol} is disabled and could not trade: {found}", _remedy(asset.symbol))
    if doubts := "; ".join(Market(instruments or {}, {}).tight(asset)):
        return warning("asset", f"{asset.symbol} would hardly ever buy: {doubts}", _remedy(asset.symbol))
    unseen = "" if instruments is not None else " (Alpaca was not asked)"
    return ok("asset", f"{asset.symbol} {'can trade' if asset.enabled else 'is disabled'}{unseen}")


def _remedy(symbol: str) -> str:
    return f"`dcabot asset set {symbol}` changes it, `dcabot asset disable {symbol}` leaves it out"


def funds(world: World) -> Finding:
    """Whether every ladder can be climbed down to its end at once, as in a crash of the market."""
    if world.account is None or world.book is None:
        return skipped("funds", "Alpaca or the database gave no answer")
    needed = sum((still_to_spend(asset, cycle) for asset, cycle in world.taken), ZERO)
    have = world.account.buying_power
    words = f"the buys to come can cost {usd(needed)} USD, the account has {usd(have)}"
    if needed > have:
        return warning(
            "funds", f"{words}: the last ones would wait for money", "add money, or make the ladders shorter"
        )
    return ok("funds", words)


# The machine.


def units() -> Iterator[Finding]:
    if not SYSTEMD.is_dir():
        yield skipped("units", "this machine does not run systemd")
        return
    yield _unit(DAEMON)
    for name in CARETAKERS:
        yield _unit(f"{name}.timer")
        if journal.unit_state(f"{name}.service").get("ActiveState") == "failed":
            yield failed("unit", f"{name}.service failed at its last run", f"journalctl -u {name}")


def _unit(name: str) -> Finding:
    state = journal.unit_state(name)
    if state.get("LoadState") != "loaded":
        words = f"{name} is not installed: {state.get('LoadState') or 'systemd gave no answer'}"
        return warning("unit", words, "the package brings it; without it, you start the programs yourself")
    active, enabled = state.get("ActiveState", ""), state.get("UnitFileState", "")
    words = f"{name} is {active}, {enabled or 'neither enabled nor disabled'}"
    if active == "failed":
        return failed("unit", words, f"journalctl -u {name}; then systemctl restart {name}")
    if active not in ("active", "activating", "reloading"):
        return warning("unit", words, f"systemctl enable --now {name}")
    if enabled == "disabled":
        return warning("unit", f"{words}: it will not come back after a reboot", f"systemctl enable {name}")
    return ok("unit", words)


def mailing(found: Survey, send: bool) -> Finding:
    settings = found.config.mail
    if settings is None:
        return warning("mail", "alerts are lines in the journal, nobody is mailed", "set ALERT_EMAIL_*; man dcabot.env")
    place = f"{settings.server}:{settings.port}"
    if not send:
        return ok("mail", f"alerts go to {settings.receiver} through {place}; not tried, --send-mail tries it")
    try:
        mail.send(settings, f"dcabot on {socket.gethostname()}: a test of its alerts", "Alerts of dcabot reach you.\n")
    except mail.MailError as error:
        return unreachable("mail", str(error), "compare ALERT_EMAIL_* with what your provider says")
    return ok("mail", f"a test mail to {settings.receiver} was accepted by {place}")

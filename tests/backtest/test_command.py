"""`dcabot backtest` as an operator types it: settings and prices from everywhere, every output, every refusal."""

import csv
import io
import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dcabot.commands.backtest import DEPENDENT, main
from dcabot.simulator.bars import Bar
from dcabot.simulator.clock import ns_of
from tests.backtest.prices import random_candles, write
from tests.builders import START
from tests.programs import alpaca_for_tests, run_program, sqlite_books

AMOUNTS = ["--base-order-amount", "50", "--safety-order-amount", "25"]
Type = Callable[..., tuple[int, str, str]]


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A file of 900 minutes, about a thousand dollars a coin."""
    path = tmp_path / "prices.csv"
    write(path, random_candles(4, 900, swing=8))
    return path


def columns(made: Any) -> tuple[Any, ...]:
    return made.open, made.high, made.low, made.close


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Type:
    """What a command answers: its code, its output, its errors."""
    monkeypatch.chdir(tmp_path)
    for name in ("DB_URL", "DCABOT_ENV_FILE", "APCA_API_DATA_URL"):
        monkeypatch.delenv(name, raising=False)

    def type_(*words: object) -> tuple[int, str, str]:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return type_


def document(typed: Type, *words: object) -> dict[str, Any]:
    code, out, err = typed(*words, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_table_for_people(typed: Type, prices: Path) -> None:
    code, out, _ = typed("--prices", prices, *AMOUNTS, "--cycles", "--fills")

    assert code == 0
    for words in (
        "BTC/USD, 2025-12-02 00:00 to 2025-12-02 15:00 UTC, 900 candles of 60 s",
        "cycles completed",
        "deepest drawdown",
        "no safety order left",
        "buy and hold instead",
        "Assumed: a candle: open, high, low, close",
        "low-first instead of high-first",
        "take_profit",
    ):
        assert words in out


def test_json_and_csv_hold_the_same_figures(typed: Type, prices: Path) -> None:
    whole = document(typed, "--prices", prices, *AMOUNTS, "--cycles", "--fills")
    lines = {
        form: list(csv.DictReader(io.StringIO(typed("--prices", prices, *AMOUNTS, "--csv", *form)[1])))
        for form in ((), ("--cycles",), ("--fills",))
    }

    (row,) = lines[()]
    assert {name: row[name] for name in ("profit", "fingerprint")} == {
        name: whole["result"][name] for name in ("profit", "fingerprint")
    }
    assert row["base_order_amount"] == whole["settings"]["base_order_amount"] == "50"
    assert [one["profit"] for one in lines["--cycles",]] == [one["profit"] or "" for one in whole["cycles"]]
    assert [one["price"] for one in lines["--fills",]] == [one["price"] for one in whole["fills"]]
    assert whole["result"]["cycles"] == len([one for one in whole["cycles"] if one["status"] != "open"]) > 0
    assert {one["choice"] for one in whole["influence"]} >= {"no spread", "only four prices of each candle"}


def test_settings_from_a_file_and_flags_go_before_it(typed: Type, prices: Path, tmp_path: Path) -> None:
    file = tmp_path / "settings.ini"
    file.write_text("[BTC/USD]\nbase_order_amount = 50\nsafety_order_amount = 25\ntake_profit_percent = 2.5\n")

    plain = document(typed, "--prices", prices, "--settings", file)["settings"]
    changed = document(typed, "--prices", prices, "--settings", file, "--take-profit-percent", "0.9")["settings"]

    assert (plain["take_profit_percent"], plain["max_safety_orders"]) == ("2.5", "5")
    assert (changed["take_profit_percent"], changed["base_order_amount"]) == ("0.9", "50")


def test_settings_from_the_database(typed: Type, prices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    books = sqlite_books(tmp_path)
    books.add_asset(base_order_amount="77", cooldown_period=42)
    monkeypatch.setenv("DB_URL", books.environment["DB_URL"])

    found = document(typed, "--prices", prices, "--database")["settings"]

    assert (found["base_order_amount"], found["cooldown_period"]) == ("77", "42")
    assert typed("ETH/USD", "--prices", prices, "--database")[0] == 2


def test_a_small_sqlite_file_is_enough_for_settings(prices: Path, tmp_path: Path) -> None:
    """No server, no keys: made, filled and asked by the program alone."""
    variables = {"DB_URL": f"sqlite:///{tmp_path / 'settings.db'}"}
    ask = ("backtest", "--prices", str(prices), "--database", "--json")
    unmade = run_program(tmp_path, variables, *ask)
    steps = [
        run_program(tmp_path, variables, "db", "init"),
        run_program(tmp_path, variables, "asset", "add", "BTC/USD", *AMOUNTS, "--cooldown-period", "17"),
        run_program(tmp_path, variables, *ask),
    ]

    assert (unmade.returncode, "unable to open database file" in unmade.stderr) == (78, True)
    assert [one.returncode for one in steps] == [0, 0, 0], [one.stderr for one in steps]
    assert json.loads(steps[-1].stdout)["settings"]["cooldown_period"] == "17"


def test_every_choice_changes_what_it_should(typed: Type, prices: Path) -> None:
    def result(*words: str) -> dict[str, Any]:
        found = document(typed, "--prices", prices, *AMOUNTS, "--fills", *words)
        return {**found["result"], "assumptions": found["assumptions"], "fills": found["fills"]}

    base = result()
    assert result()["fingerprint"] == base["fingerprint"]
    for words in (["--high-low", "low-first"], ["--four-prices"], ["--spread", "0.5"], ["--slippage", "0.2"]):
        assert result(*words)["fingerprint"] != base["fingerprint"], words
    cheap = result("--fee-tier", "8")
    assert float(cheap["fees"]) < float(base["fees"]) / 2
    assert result("--cash", "60")["note"].startswith("an order of 25 USD waits for money")
    assert result("--price-step", "1")["fills"][0]["price"].isdigit()
    assert all(len(one["quantity"].partition(".")[2]) <= 4 for one in result("--quantity-step", "0.0001")["fills"])


def test_candles_are_fetched_from_alpaca_and_kept(typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with alpaca_for_tests(symbols=["BTC/USD"]) as alpaca:
        made, begin = random_candles(4, 300, swing=8), START - timedelta(days=30)
        rows = zip(*([made.price(one) for one in column.tolist()] for column in columns(made)), strict=True)
        bars = [Bar(ns_of(begin + timedelta(minutes=number)), *row) for number, row in enumerate(rows)]
        alpaca.server.tape.load("BTC/USD", bars)
        monkeypatch.setenv("APCA_API_DATA_URL", alpaca.url)
        words = ["--fetch", "--from", "2025-12-02", "--to", "2025-12-03", "--cache", tmp_path / "cache", *AMOUNTS]
        first = document(typed, *words, "--allow-gaps")
        assert first["result"]["candles"] == 300
        alpaca.faults.refuse_connections()
        assert document(typed, *words, "--allow-gaps") == first
        assert typed("ETH/USD", "--fetch", "--from", "2025-12-02", *AMOUNTS, "--allow-gaps")[0] == 75


def test_a_cache_that_cannot_be_used_is_named(typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--fetch", "--from", "2025-12-02", "--to", "2025-12-03", *AMOUNTS, "--cache"]
    file, month = tmp_path / "file", tmp_path / "BTC-USD" / "1Min" / "2025-12.part"
    file.touch()
    month.parent.mkdir(parents=True)
    month.write_text("timestamp,open,high,low,close\nnonsense\n")

    assert typed(*words, file)[::2] == (1, f"dcabot backtest: --cache {file}/BTC-USD/1Min: Not a directory\n")
    code, _, err = typed(*words, tmp_path)
    assert (code, "its last line is no candle: 'nonsense'; delete the file" in err) == (1, True)
    assert str(month) in err


REFUSED = [
    (AMOUNTS, "where are the prices?"),
    (["--prices", "PRICES"], "nobody's guess: --base-order-amount, --safety-order-amount"),
    (["--prices", "PRICES", "--fetch", *AMOUNTS], "not both"),
    (["--fetch", *AMOUNTS], "--fetch needs --from"),
    (["--fetch", "--from", "0001-01-01", *AMOUNTS], "Alpaca's candles are from 2021-01-01 until now"),
    (["--fetch", "--from", "9999-01-01", *AMOUNTS], "Alpaca's candles are from 2021-01-01 until now"),
    (["--fetch", "--from", "2025-02-01", "--to", "2025-01-01", *AMOUNTS], "is not before"),
    (["--prices", "PRICES", "--from", "yesterday", *AMOUNTS], "is no day"),
    (["--prices", "PRICES", *AMOUNTS, "--take-profit-percent", "0.1"], "does not cover the round-trip fee"),
    (["--prices", "PRICES", "--base-order-amount", "5", "--safety-order-amount", "20"], "below Alpaca's minimum"),
    (["--prices", "PRICES", *AMOUNTS, "--csv", "--cycles", "--fills"], "--csv is one table"),
    (["--prices", "PRICES", *AMOUNTS, "--html", "PRICES"], "would overwrite the prices"),
    (["--prices", "PRICES", *AMOUNTS, "--html", "no/such/folder.html"], "No such file or directory"),
    (["BTC/EUR", "--prices", "PRICES", *AMOUNTS], "only pairs quoted in USD"),
    (["--prices", "PRICES", *AMOUNTS, "--spread", "-1"], "--spread -1 must be at least 0"),
    (["--prices", "PRICES", *AMOUNTS, "--cash", "0"], "--cash 0 must be above 0"),
    (["--prices", "PRICES", *AMOUNTS, "--price-step", "0"], "--price-step 0 must be above 0"),
    (["--prices", "PRICES", *AMOUNTS, "--price-step", "500"], "is too coarse for a price of"),
    (["--prices", "PRICES", "--settings", "nothing.ini"], "nothing.ini: No such file"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "colour=1,2"], "no COLUMN=VALUES"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=2:1:1"], "does not go up"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "cooldown-period=1.5"], "whole numbers"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=0.1"], "none of these settings can work"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=1", "--fills"], "are of one backtest"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=1", "--held-out", "100"], "below 100 percent"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=1", "--held-out", "99.95"], "without candles"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=1", "--held-out", "-5"], "must be above 0"),
    (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=1", "--jobs", "99999"], "is more than 1000"),
    *(
        (["--prices", "PRICES", *AMOUNTS, *words], f"{words[0]} does nothing without {other}")
        for words, other in (
            (["--timeframe", "1Min"], "--fetch"),
            (["--cache", "folder"], "--fetch"),
            (["--random", "3"], "--sweep"),
            (["--held-out", "30"], "--sweep"),
            (["--jobs", "1"], "--sweep"),
            (["--top", "20"], "--sweep"),
            (["--seed", "0"], "--random"),
            (["--seed", "0", "--sweep", "take-profit-percent=1"], "--random"),
        )
    ),
    *(
        (["--prices", "PRICES", *AMOUNTS, "--sweep", "take-profit-percent=1,2", *words], said)
        for words, said in (
            (["--take-profit-percent", "3"], "--take-profit-percent 3 would be ignored: --sweep tries others"),
            (["--sweep", "take_profit_percent=3"], "--sweep take-profit-percent is there twice"),
            (["--sweep", "cooldown-period=60,60.0"], "--sweep cooldown-period tries a value twice"),
            (["--top", "5", "--json"], "--top is of the table; --json and --csv have every one"),
            (["--top", "5", "--csv"], "--top is of the table"),
        )
    ),
    (["--prices", "PRICES", "--base-order-amount", "10", "--safety-order-amount", "20"], "can fall below Alpaca's"),
    (["--prices", "PRICES", "--base-order-amount", "20", "--safety-order-amount", "10"], "can fall below Alpaca's"),
    (["--prices", "PRICES", *AMOUNTS, "--quantity-step", "99999"], "base_order_amount 50 can fall below"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_wrong_use_is_refused_with_a_sentence(typed: Type, prices: Path, words: list[str], said: str) -> None:
    code, out, err = typed(*(prices if word == "PRICES" else word for word in words))

    assert (code, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("base_order_amount = 50\n", "no section headers"),
        ("[ETH/USD]\n", r"no section [BTC/USD]"),
        ("[BTC/USD]\ncolour = red\n", "has no setting colour"),
        ("[BTC/USD]\nbase_order_amount = much\n", "'much' is no number"),
        ("[BTC/USD]\nbase_order_amount = 5 %\n", "'5 %' is no number"),
    ],
)
def test_a_settings_file_that_cannot_be_used_is_named(
    typed: Type, prices: Path, tmp_path: Path, words: str, said: str
) -> None:
    (tmp_path / "s.ini").write_text(words)

    code, _, err = typed("--prices", prices, "--settings", "s.ini")

    assert code == 2
    assert said in err


def test_several_files_are_one_history_however_they_are_named(typed: Type, prices: Path, tmp_path: Path) -> None:
    head, *lines = prices.read_text().splitlines()
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_text("\n".join([head, *lines[:400]]))
    second.write_text("\n".join([head, *lines[400:]]))

    whole = document(typed, "--prices", prices, *AMOUNTS)
    assert document(typed, "--prices", first, second, *AMOUNTS) == whole
    assert document(typed, "--prices", first, "--prices", second, *AMOUNTS) == whole


def test_bad_prices_end_it_with_line_and_value(typed: Type, prices: Path) -> None:
    lines = prices.read_text().splitlines()
    lines[41] = lines[41].replace(",", ",-", 1)
    prices.write_text("\n".join(lines))

    code, out, err = typed("--prices", prices, *AMOUNTS)

    assert (code, out) == (1, "")
    assert "prices.csv, line 42: open is -" in err


HOSTILE = ("nan", "1e400", "-5", "1,5", "x")
WANT_WORDS = ("--env-file", "--settings", "--prices", "--cache", "--html")  # any word may be a file's name


def test_nonsense_for_any_flag_is_refused_with_a_sentence(
    typed: Type, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    told = typed("--help")[1]
    flags = set(re.findall(r"^  (--[a-z-]+) [^ ]", told, re.MULTILINE)) - set(WANT_WORDS)
    assert len(flags) > 20
    for flag in flags:
        other = {**DEPENDENT, "seed": "sweep"}.get(flag[2:].replace("-", "_"))
        words = ["--sweep", "take-profit-percent=1"] if other == "sweep" else []
        for nonsense in HOSTILE:
            code, out, err = typed("--prices", prices, *AMOUNTS, *words, f"{flag}={nonsense}")
            assert (code, out) == (2, ""), (flag, nonsense, err)
            assert flag in err or flag[2:].replace("-", "_") in err, (flag, nonsense, err)
            assert "Traceback" not in err
            assert len(err.splitlines()) == 1

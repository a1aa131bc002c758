"""`dcabot simulator`: its process, its options, its end."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import pytest
import requests

from dcabot.core.venue import Policy
from dcabot.simulator import Settings, Timing, WalkShape
from tests.programs import PATIENCE, until
from tests.simulator.conftest import make_alpaca

ROOT = Path(__file__).parents[2]


@contextmanager
def command(*arguments: str) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """`dcabot simulator` in a process of its own, and the variables it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "dcabot", "simulator", "--port", "0", *arguments],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip() for _ in range(7)]
            yield process, dict(line.split("=", 1) for line in lines if not line.startswith("#"))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_where_it_is_and_ends_on_a_signal(number: int) -> None:
    with command() as (process, variables):
        assert set(variables) == {
            "APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "APCA_API_BASE_URL", "APCA_API_DATA_URL",
            "APCA_DATA_BASE_URL", "APCA_API_STREAM_URL",
        }  # fmt: skip
        url = variables["APCA_API_BASE_URL"]
        headers = {
            "APCA-API-KEY-ID": variables["APCA_API_KEY_ID"],
            "APCA-API-SECRET-KEY": variables["APCA_API_SECRET_KEY"],
        }
        assert requests.get(f"{url}/v2/account", headers=headers, timeout=PATIENCE).status_code == 200
        quoted = requests.get(f"{url}/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD", timeout=PATIENCE).json()
        assert quoted["quotes"]["BTC/USD"]["bp"] > 0  # the walk goes by itself
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_any_number_of_signals_end_it_once_and_cleanly() -> None:
    with command() as (process, _):
        for _ in range(20):
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_every_option_of_python_is_one_of_the_command() -> None:
    text = subprocess.run(
        [sys.executable, "-m", "dcabot", "simulator", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    options = set(re.findall(r"--([a-z-]+)", text))
    switches = set(re.findall(r"\w+", text.rpartition("may be repeated:")[2]))
    shared = {"refresh_seconds": "refresh", "paper": "live", "policy": "set", "timing": "set"}
    python_only = {"tiers"}  # a table
    for holder in (Settings, Policy, Timing, WalkShape):
        for field in fields(holder):
            option = shared.get(field.name, field.name.replace("_", "-"))
            assert option in options or field.name in switches | python_only, field.name
    names = [field.name for holder in (Settings, Policy, Timing) for field in fields(holder)]
    assert len(names) == len(set(names)), "a switch is named by its name alone"


def test_switches_are_set_by_their_names() -> None:
    switches = ["key=MINE", "duplicate_id_code=42210000", "data_rate_limit=none", "fee_delay=3600", "one_connection=no"]
    arguments = [word for switch in switches for word in ("--set", switch)]
    with command("--speed", "0", "--start", "2026-01-31T12:00:00", "--wide-chance", "1", *arguments) as (_, variables):
        assert variables["APCA_API_KEY_ID"] == "MINE"
        url, headers = variables["APCA_API_BASE_URL"], {"APCA-API-KEY-ID": "MINE"}
        headers["APCA-API-SECRET-KEY"] = variables["APCA_API_SECRET_KEY"]
        clock = requests.get(f"{url}/v2/clock", headers=headers, timeout=PATIENCE).json()
        assert clock["timestamp"].startswith("2026-01-31T07:00:00")
        body = {"symbol": "BTC/USD", "qty": "0.001", "side": "buy", "type": "limit", "limit_price": "50000"}
        body |= {"time_in_force": "gtc", "client_order_id": "mine"}
        answers = [requests.post(f"{url}/v2/orders", json=body, headers=headers, timeout=PATIENCE) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 422]
        assert answers[1].json()["code"] == 42210000
        quote = requests.get(f"{url}/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD", timeout=PATIENCE).json()
        assert quote["quotes"]["BTC/USD"]["ap"] / quote["quotes"]["BTC/USD"]["bp"] > 1.009


def test_the_command_takes_its_prices_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.txt"
    file.write_text("0 BTC/USD 100 101\n")
    with command("--prices", str(file), "--symbols", "BTC/USD") as (_, variables):
        url = f"{variables['APCA_API_DATA_URL']}/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD"
        assert requests.get(url, timeout=PATIENCE).json()["quotes"]["BTC/USD"]["ap"] == 101


def test_the_command_mirrors_another_and_says_what_happens() -> None:
    with make_alpaca() as upstream:
        upstream.set_quote("BTC/USD", "60000", "60010")
        with command("--mirror", upstream.url, "--symbols", "BTC/USD,SOL/USD") as (process, variables):
            url = f"{variables['APCA_API_DATA_URL']}/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD"
            until(lambda: requests.get(url, timeout=PATIENCE).json()["quotes"], "a price")
            upstream.faults.hold()  # nobody waits for this question at the end
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            assert process.stderr is not None
            log = process.stderr.read()
    assert f"INFO mirror: prices come from {upstream.url}, by its REST API, every second" in log
    assert "WARNING mirror: SOL/USD: " in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--prices", "/no/such/file"], 1, "No such file"),
        (["--cash", "much"], 2, "not a number: much"),
        (["--cash", "nan"], 2, "not a number: nan"),
        (["--port", "x"], 2, "invalid int value"),
        (["--port", "99999"], 1, "port"),
        (["--speed", "-1"], 2, "less than 0"),
        (["--walk", "1", "--no-prices"], 2, "not allowed with"),
        (["--symbols", "BTCUSD"], 1, "BTCUSD"),
        (["--mirror", "--walk", "1"], 2, "not allowed with argument --mirror"),
        (["--candles", "BTC/USD=x", "--mirror"], 2, "not allowed with argument --candles"),
        (["--mirror", "http://127.0.0.1:9", "--speed", "2"], 1, "leave out speed beside it"),
        (["--mirror", "nonsense"], 78, "--mirror must be a URL like https://host"),
        (["--mirror", "--quote-max-age", "0"], 1, "above 0"),
        (["--quote-max-age", "5"], 1, "with --mirror only"),
        (["--partial-fills", "2"], 1, "between 0 and 1"),
        (["--candles", "BTC/USD=/no/such/file"], 1, "No such file"),
        (["--candles", "nonsense"], 2, "SYMBOL=FILE"),
        (["--host", "192.0.2.1", "--port", "0"], 1, "assign"),
        (["--cash", " 1 "], 2, "not a number"),
        (["--speed", "1e999999"], 2, "too much"),
        (["--start", "soon"], 2, "not a time like"),
        (["--start", "0001-01-01"], 1, "between 1971 and 2500"),
        (["--set", "tells_pending_cancel"], 2, "NAME=VALUE"),
        (["--set", "tiers=1"], 2, "NAME=VALUE"),
        (["--set", "tells_pending_cancel=perhaps"], 2, "not yes or no"),
        (["--set", "gtc_days=1e999999"], 2, "not a whole number"),
        (["--set", "data_error_close=7"], 1, "close code"),
    ],
)
def test_wrong_usage_is_one_clear_line(arguments: list[str], code: int, message: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dcabot", "simulator", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_prices_that_go_wrong_later_end_the_command(tmp_path: Path) -> None:
    file = tmp_path / "candles.csv"
    file.write_text("time,open,high,low,close\n1640995200,1,1,1,1\n1640995260,0,0,0,0\n")
    with command("--candles", f"BTC/USD={file}", "--speed", "600") as (process, _):
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None
        assert "candles.csv, line 3: impossible prices" in process.stderr.read()


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "dcabot", "simulator", "--port", port],
            cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE,
        )  # fmt: skip
    assert done.returncode == 1
    assert "in use" in done.stderr


def test_the_help_tells_the_default_of_every_number_of_a_walk() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dcabot", "simulator", "--help"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=300, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    for field in fields(WalkShape):
        assert re.search(rf"--{field.name.replace('_', '-')} [A-Z_]+\s[^(]*\(default: {field.default}\)", done.stdout)

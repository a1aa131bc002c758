"""Every command in the pages is run by a test: here, or where this file says. A new one fails until it is, too."""

import gzip
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from dcabot.simulator.bars import Bar
from dcabot.simulator.clock import ns_of
from tests import servers
from tests.needs import needed
from tests.programs import PATIENCE, ROOT, alpaca_for_tests, environment, sqlite_books, until

PAGES = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "benchmarks/README.md", "packaging/README.md")
STORY = "tests/packaging/test_machine.py"
# Whole sections that are run as they stand.
SECTIONS = {
    ("README.md", "From a checkout, without systemd"): "test_a_checkout_works_as_described",
    ("README.md", "The local Alpaca"): "test_the_simulator_starts_as_described",
    ("docs/simulator.md", "The command"): "test_the_simulator_starts_as_described",
    ("README.md", "A dry run on live prices"): "test_a_dry_run_works_as_described",
    ("docs/simulator.md", "A dry run on live prices"): "test_a_dry_run_works_as_described",
    ("docs/simulator.md", "In your tests"): "test_it_is_installed_as_described",
    ("docs/backtest.md", "Backtests"): "test_the_backtests_run_as_described",
    ("docs/backtest.md", "Settings"): "test_the_backtests_run_as_described",
    ("CONTRIBUTING.md", "Dependencies"): "test_the_locks_are_refreshed_as_described",
}
# One command each that runs elsewhere, at a price or in other words: the file, and the words to find in it.
ELSEWHERE = {
    "./demo": (".ci/run", "packaging/bare-debian root ./demo"),
    "./test": (".ci/run", "packaging/bare-debian user ./test"),
    "systemctl status dcabot": (STORY, "systemctl status --no-pager dcabot"),
    "journalctl -u dcabot --since today": ("tests/packaging/test_machine_versions.py", 'documented("Watch")'),
    ".venv/bin/python -m benchmarks": ("tests/test_benchmarks.py", '"name", BENCHMARKS'),
    ".venv/bin/python -m benchmarks quote-to-order size": ("tests/test_benchmarks.py", '"name", BENCHMARKS'),
    ".venv/bin/python -m benchmarks --quick": ("tests/test_benchmarks.py", '"name", BENCHMARKS'),
}
NOT_COMMANDS = ("python", "mermaid", "text")  # languages; the first is run by tests/simulator/test_example.py
PROGRAMS = ("dcabot", "$", "python", "./")  # what a command in an indented block begins with


@dataclass(frozen=True)
class Command:
    page: str
    heading: str
    line: str


def pages() -> list[str]:
    return [*PAGES, *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]


def commands(page: str) -> list[Command]:
    """The commands of fenced and of indented blocks, without their comments, continued lines joined."""
    found: list[Command] = []
    heading, fence = "", None
    for line in re.sub(r"\\\n\s*", "", (ROOT / page).read_text(encoding="utf-8")).splitlines():
        if line.startswith("```"):
            fence = None if fence is not None else line.removeprefix("```")
        elif fence is None and line.startswith("#"):
            heading = line.lstrip("# ")
        else:
            shown = line.strip() if fence is not None or line.startswith("    ") else ""
            is_command = fence not in NOT_COMMANDS if fence is not None else shown.startswith(PROGRAMS)
            words = re.sub(r"(^|\s+)#.*", "", shown).removeprefix("$ ")
            if is_command and words:
                found.append(Command(page, heading, words))
    return found


def on(page: str, heading: str) -> list[str]:
    found = [one.line for one in commands(page) if one.heading == heading]
    assert found, f"{page} has no commands under {heading!r}"
    return found


def run_by_the_story() -> set[str]:
    """The commands of the README's sections that the packaging story runs as written."""
    files = (ROOT / STORY).parent.glob("test_machine*.py")
    story = "".join(file.read_text(encoding="utf-8") for file in files)
    headings = set(re.findall(r'documented\("([^"]+)"', story))
    return {one.line for one in commands("README.md") if one.heading in headings}


def run_by_the_operators_page() -> set[str]:
    from tests import test_operator_page as page

    taken = {" ".join(words) for words in page.commands() if words[0] not in page.MACHINE}
    return {one.line for one in commands("docs/operator.md") if one.line in taken}


@pytest.mark.parametrize("page", pages())
def test_every_command_of_a_page_is_run_by_a_test(page: str) -> None:
    known = {*ELSEWHERE, *run_by_the_story(), *run_by_the_operators_page()}
    nowhere = [one for one in commands(page) if (page, one.heading) not in SECTIONS and one.line not in known]
    assert not nowhere, "run them in a test, and say in this file where"


def test_what_is_said_to_run_elsewhere_runs_there_and_is_still_documented() -> None:
    documented = {one.line for page in pages() for one in commands(page)}
    for line, (file, words) in ELSEWHERE.items():
        assert line in documented, f"{line}: no page has it any more"
        assert words in (ROOT / file).read_text(encoding="utf-8"), f"{file} no longer has {words}, for {line}"


def test_the_parser_sees_commands_in_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_documentation.ROOT", tmp_path)
    (tmp_path / "a.md").write_text(
        "# A\n```sh\nnew one  # why\n# only why\n```\n## B\n\n    dcabot \\\n      two\n    [three]\n"
        "```python\nx = 1\n```\n"
    )
    assert commands("a.md") == [Command("a.md", "A", "new one"), Command("a.md", "B", "dcabot two")]


# What is run here.


def shell(line: str, folder: Path, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        ["bash", "-euc", line], cwd=folder, env=variables, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done


@contextmanager
def started(line: str, folder: Path, variables: dict[str, str], until_said: str) -> Iterator[str]:
    """A command that does not end by itself, once it has said this; then Ctrl-C, which must end it well."""
    with subprocess.Popen(
        ["bash", "-euc", f"exec {line}"],
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = ""
        while until_said not in said:
            new = process.stdout.readline()
            assert new, said
            said += new
        try:
            yield said
        finally:
            process.send_signal(signal.SIGINT)
            rest = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == 0, said + rest


def with_dcabot(folder: Path) -> None:
    """`.venv/bin/dcabot` and `dcabot` in the folder, as ./demo and the package make them."""
    program = folder / ".venv" / "bin" / "dcabot"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m dcabot "$@"\n')
    program.chmod(0o755)


@pytest.mark.slow
def test_a_checkout_works_as_described(tmp_path: Path, mariadb_server: servers.MariaDB) -> None:
    with_dcabot(tmp_path)
    client = tmp_path / "bin" / "mariadb"  # as root's, whose server listens where the system's does
    client.parent.mkdir()
    client.write_text(
        f'#!/bin/sh\nexec {needed("mariadb")} --no-defaults --socket={mariadb_server.socket} -u root "$@"\n'
    )
    client.chmod(0o755)
    (tmp_path / ".env.example").write_bytes((ROOT / ".env.example").read_bytes())
    variables = environment(tmp_path, PATH=f"{client.parent}:{os.environ['PATH']}")
    with alpaca_for_tests() as alpaca:
        alpaca.set_quote("BTC/USD", "60000", "60010")
        for line in on("README.md", "From a checkout, without systemd"):
            if line.endswith("dcabot run"):
                with started(line, tmp_path, variables, "ready:"):
                    until(alpaca.orders, "a base order")
                continue
            shell(line, tmp_path, variables)
            if line.endswith(".env"):
                fill_in(tmp_path / ".env", {**alpaca.env(), "DB_SOCKET": str(mariadb_server.socket)})
        mariadb_server.execute("DROP DATABASE dca_bot_db", "DROP USER your_db_user@localhost")
        assert [one["symbol"] for one in alpaca.orders()] == ["BTC/USD"]


def fill_in(file: Path, values: dict[str, str]) -> None:
    """As an editor would: these lines; a socket in the place of a host."""
    names = {*values, "DB_HOST", "DB_PORT"}
    kept = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in names]
    file.write_text("\n".join([*kept, *(f'{name}="{value}"' for name, value in values.items()), ""]))


@pytest.mark.slow
def test_it_is_installed_as_described(tmp_path: Path) -> None:
    """What is built and what is needed beside it, pytest too, comes from this environment: no test asks a registry."""
    found = on("docs/simulator.md", "In your tests")
    lines = [one for one in found if "dcabot simulator" not in one and not one.endswith("pip install pytest")]
    source = tmp_path / "dcabot"
    for name in ("dcabot", "sql"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    git = [needed("git"), "-c", "user.name=t", "-c", "user.email=t@t.example", "-C", str(source)]
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "as it is"]):
        subprocess.run([*git, *words], check=True)
    for number, line in enumerate(lines):
        # PIP_NO_BUILD_ISOLATION=0 is how pip's environment says --no-build-isolation
        there = str(tmp_path / f"installed-{number}")
        settings = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_TARGET": there}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        variables = {**environment(tmp_path, settings, PATH=path), "PYTHONPATH": ""}
        shell(line.replace("URL-OF-THIS-REPOSITORY", f"file://{source}"), tmp_path, variables)
        told = shell("python -m dcabot simulator --help", tmp_path / there, {**variables, "PYTHONPATH": there})
        assert told.stdout.startswith("usage: dcabot simulator")
        assert (Path(there) / "dcabot" / "simulator" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("page", "heading"),
    [("README.md", "The local Alpaca"), ("docs/simulator.md", "The command")],
)
def test_the_simulator_starts_as_described(tmp_path: Path, page: str, heading: str) -> None:
    with_dcabot(tmp_path)
    (line,) = (one for one in on(page, heading) if "dcabot simulator" in one)
    asked = f"{line.replace('--port 8080 ', '')} --port 0"  # theirs may be taken here
    variables = environment(tmp_path, PATH=f"{tmp_path}/.venv/bin:{os.environ['PATH']}")
    with started(asked, tmp_path, variables, "# control") as said:
        names = re.findall(r"^(\w+)=", said, re.MULTILINE)
    text = (ROOT / page).read_text(encoding="utf-8")
    assert all(name in text or "APCA_*" in text for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/simulator.md"])
def test_a_dry_run_works_as_described(tmp_path: Path, page: str) -> None:
    """With a simulator as the Alpaca that is mirrored; in a test nobody asks Alpaca."""
    with_dcabot(tmp_path)
    there, *here = on(page, "A dry run on live prices")
    variables = environment(tmp_path, PATH=f"{tmp_path}/.venv/bin:{os.environ['PATH']}")
    with alpaca_for_tests() as upstream:
        upstream.set_quote("BTC/USD", "60000", "60010")
        asked = there.replace("--mirror", f"--mirror {upstream.url}").partition(" | tee")[0]
        asked = f"{asked.replace('--port 8080 ', '')} --port 0"  # theirs may be taken here
        with started(asked, tmp_path, variables, "# control") as said:
            lines = re.findall(r"^\w+=.*", said, re.MULTILINE)
            (tmp_path / "dry-run.env").write_text("\n".join([*lines, ""]))
            url = lines[2].partition("=")[2]
            until(lambda: "60010" in latest(url), "a mirrored price")
            block = "\n".join(here)
            if not here:
                return
            before, _, last = block.rpartition("\n")
            exported = re.findall(r"export (\w+)=(\S+)", before)
            shell(before, tmp_path, variables)
            with started(last, tmp_path, {**variables, **dict(exported)}, "base order filled"):
                pass
        assert upstream.orders() == []


def latest(url: str) -> str:
    path = "/v1beta3/crypto/us/latest/quotes?symbols=BTC/USD"
    with urllib.request.urlopen(url + path, timeout=PATIENCE) as answer:
        return str(answer.read())


@pytest.mark.slow
def test_the_backtests_run_as_described(tmp_path: Path) -> None:
    with_dcabot(tmp_path)
    books = sqlite_books(tmp_path)
    for name, price in {"btc-2022-01.csv.gz": 40_000, "btc.csv": 40_000, "eth.csv": 3_000}.items():
        opened = gzip.open if name.endswith(".gz") else open
        with opened(tmp_path / name, "wt") as file:
            file.writelines(["time,open,high,low,close\n", *rows(price)])
    (tmp_path / "mine.ini").write_text("[ETH/USD]\nbase_order_amount = 50\nsafety_order_amount = 25\n")
    with alpaca_for_tests(symbols=["BTC/USD"]) as alpaca:
        begin = datetime(2024, 1, 1, tzinfo=timezone.utc)
        alpaca.server.tape.load("BTC/USD", list(bars(begin, datetime(2024, 7, 1, tzinfo=timezone.utc))))
        path = f"{tmp_path}/.venv/bin:{os.environ['PATH']}"
        variables = environment(tmp_path, books.environment, PATH=path, APCA_API_DATA_URL=alpaca.url)
        for line in (*on("docs/backtest.md", "Settings"), *on("docs/backtest.md", "Backtests")):  # the former adds it
            assert shell(line, tmp_path, variables).stdout
    assert (tmp_path / "result.html").exists()


def rows(price: int) -> Iterator[str]:
    """A day of minutes, down and up again."""
    for minute in range(1440):
        now = price - price * abs(minute % 240 - 120) // 2400
        yield f"{1640995200 + 60 * minute},{now},{now + 1},{now - 1},{now}\n"


def bars(begin: datetime, end: datetime) -> Iterator[Bar]:
    for minute in range((end - begin) // timedelta(minutes=1)):
        now = 40_000 - abs(minute % 240 - 120) * 16
        yield Bar(ns_of(begin + timedelta(minutes=minute)), *(Decimal(one) for one in (now, now + 1, now - 1, now)))


def test_the_locks_are_refreshed_as_described(tmp_path: Path) -> None:
    """With a stand-in for uv: which packages there are is the registry's business, and no test asks it."""
    (tmp_path / "setup.cfg").touch()
    stand_in = tmp_path / "bin" / "uv"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\necho "$*" >>asked\nwhile [ "$1" != -o ]; do shift; done\n: >"$2"\n')
    stand_in.chmod(0o755)
    block = "\n".join(on("CONTRIBUTING.md", "Dependencies"))
    shell(block, tmp_path, environment(tmp_path, PATH=f"{stand_in.parent}:{os.environ['PATH']}"))
    locks = {file.name for file in ROOT.glob("requirements*.txt")}
    assert {file.name for file in tmp_path.glob("requirements*.txt")} == locks
    asked = (tmp_path / "asked").read_text().splitlines()
    assert all("--universal --python-version 3.10 --generate-hashes" in line for line in asked)


def test_demo_hands_its_options_on(tmp_path: Path) -> None:
    """The script alone, with a stand-in for the environment that it makes; the story itself is test_demo.py's."""
    for name in (
        "demo",
        "packaging/venv.sh",
        "setup.cfg",
        "pyproject.toml",
        "requirements.txt",
        "requirements-build.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "$*" >>asked\n')
    python.chmod(0o755)
    (line,) = (one.line for one in commands("README.md") if one.line == "./demo")
    shell(f"bash {line} --plain", tmp_path, environment(tmp_path))
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[-1] == "-m dcabot demo --plain"
    assert any("--require-hashes" in one and "requirements.txt" in one for one in asked)

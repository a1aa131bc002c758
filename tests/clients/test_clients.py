"""Other people's programs against `dcabot simulator`: each script does what its users do first.

A script stops at the first thing that is not as expected, with the client's own traceback. What the
client cannot do at the real Alpaca either stands in it as `cannot(...)`, and in docs/simulator.md
with the reason.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest
import requests

from tests.clients import environments
from tests.programs import ROOT

HERE = Path(__file__).parent
# Each script and its environment.
PYTHON = {
    "ccxt_rest": "ccxt",
    "ccxt_streams": "ccxt",
    "crypto_notebook": "notebook",
    "legacy_sdk": "legacy",
    "mcp_server": "mcp",
}
NODE = {"sdk3": "javascript3", "sdk4": "javascript4"}
TIME_LIMIT = 300.0  # for a script; a hanging one is told by its name


def tell(command: list[str], printed: dict[str, str], home: Path) -> None:
    """Run the script with nothing but the printed variables; then look at the account's orders."""
    variables = {"PATH": "/usr/bin:/bin", "HOME": str(home), "NO_PROXY": "127.0.0.1", **printed}
    done = subprocess.run(
        command,
        cwd=home,
        env=variables,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-20_000:]}"
    # A script that ends early, for want of anything to wait for, is no success.
    assert done.stdout.splitlines()[-1:] == ["told to the end"], done.stdout[-20_000:]
    endings = {(order["side"], order["status"]) for order in orders(printed)}
    assert {("buy", "filled"), ("sell", "filled"), ("buy", "canceled")} <= endings


def orders(printed: dict[str, str]) -> list[dict[str, str]]:
    keys = {
        "APCA-API-KEY-ID": printed["APCA_API_KEY_ID"],
        "APCA-API-SECRET-KEY": printed["APCA_API_SECRET_KEY"],
    }
    url = printed["APCA_API_BASE_URL"]
    answer = requests.get(f"{url}/v2/orders?status=all&limit=500", headers=keys, timeout=30)
    found: list[dict[str, str]] = answer.json()
    return found


@pytest.mark.parametrize("script", PYTHON)
def test_python(script: str, printed: dict[str, str], tmp_path: Path) -> None:
    python = environments.python_of(PYTHON[script])
    tell([str(python), str(HERE / "python" / f"{script}.py")], printed, tmp_path)


@pytest.mark.parametrize("script", NODE)
def test_javascript(script: str, printed: dict[str, str], tmp_path: Path) -> None:
    node, folder = environments.node_of(NODE[script])
    for file in (HERE / "javascript").glob("*.mjs"):
        (folder / file.name).write_bytes(file.read_bytes())
    tell([str(node), str(folder / f"{script}.mjs")], printed, tmp_path)


def test_each_script_is_run() -> None:
    helpers = {"steps"}
    assert {file.stem for file in (HERE / "python").glob("*.py")} - helpers == set(PYTHON)
    assert {file.stem for file in (HERE / "javascript").glob("*.mjs")} - helpers == set(NODE)


def test_the_page_lists_what_cannot_be() -> None:
    """The table in docs/simulator.md has what the scripts see refused, and nothing else."""
    page = (ROOT / "docs/simulator.md").read_text(encoding="utf-8")
    section = page.split("\n## Other people's clients\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^|]+)` \| ([^|]+) \|$", section, re.MULTILINE)
    scripts = [*(HERE / "python").glob("*.py"), *(HERE / "javascript").glob("*.mjs")]
    stated = {
        (file.stem, what)
        for file in scripts
        for what in re.findall(r'cannot\(\s*"([^"]+)"', file.read_text(encoding="utf-8"))
    }
    assert {(script, what) for script, what, _ in rows} == stated
    assert all(reason.strip() for _, _, reason in rows)


@pytest.mark.parametrize(
    "lock", sorted(environments.LOCKS.glob("*.txt")), ids=lambda lock: lock.stem
)
def test_each_pin_of_pip_has_hashes(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    pins = re.findall(r"^[^\s#].*(?:\n[ ]+--hash=sha256:\w{64}.*)*", text, re.MULTILINE)
    assert pins
    assert all("==" in pin and "--hash=" in pin for pin in pins)
    assert "http" not in re.sub(r"[\w-]*http[\w-]*==|#.*", "", text)


@pytest.mark.parametrize(
    "lock", sorted(environments.LOCKS.glob("*/*-lock.json")), ids=lambda lock: lock.parent.name
)
def test_each_pin_of_npm_has_a_hash(lock: Path) -> None:
    packages = json.loads(lock.read_text(encoding="utf-8"))["packages"]
    pins = {name: package for name, package in packages.items() if name}
    assert pins
    assert all(package["integrity"].startswith("sha512-") for package in pins.values())
    assert not any("resolved" in package for package in pins.values())

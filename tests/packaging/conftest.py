"""The package and the booted Debian that it is tried on: one of each, for all of the story."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import machine as machines
from tests.packaging.machine import Machine
from tests.packaging.story import ROOT, SUITE


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The story is told when it is asked for, and where a Debian can be booted; otherwise one sentence says why not."""
    story = [item for item in items if "machine" in getattr(item, "fixturenames", ())]
    reason = why_not(config) if story else ""
    for item in story:
        item.add_marker(pytest.mark.slow)
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


def why_not(config: pytest.Config) -> str:
    if not config.getoption("--packaging"):
        return "the package is tried on a booted Debian by ./test --packaging, which takes some minutes; CI does it too"
    missing = machines.missing()
    return f"the package is not built, nor tried on a booted Debian: {missing}" if missing else ""


@pytest.fixture(scope="session")
def deb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package: the one that DCABOT_DEB names, or one built now from what is committed."""
    if given := os.environ.get("DCABOT_DEB"):
        return Path(given)
    made = tmp_path_factory.mktemp("deb") / "dcabot.deb"
    subprocess.run([ROOT / "packaging/build-deb", "--suite", SUITE, "--output", made], check=True)
    return made


@pytest.fixture(scope="session")
def machine(deb: Path) -> Iterator[Machine]:
    with Machine(SUITE) as made:
        (made.root / "root/dcabot.deb").write_bytes(deb.read_bytes())
        yield made

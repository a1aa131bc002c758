"""The package and the booted Debian that it is tried on: one of each, for all of the story."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging import machine as machines
from tests.packaging.machine import Machine
from tests.packaging.story import ROOT, SUITE


@pytest.fixture(scope="session")
def deb(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package: the one that DCABOT_DEB names, or one built now from what is committed."""
    if not pytestconfig.getoption("--packaging"):
        pytest.skip("takes some minutes: ./test --packaging")
    if reason := machines.missing():
        pytest.skip(f"the package is not tried on a booted Debian: {reason}")
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

"""What systemd hears, on a real notify socket."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dcabot.adapters.systemd import Systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The service manager's end of the socket."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listener


@pytest.fixture
def systemd(manager: socket.socket) -> Iterator[Systemd]:
    systemd = Systemd(os.environ)
    yield systemd
    systemd.close()


def heard(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode("ascii").split("\n")


def test_every_state_is_told(systemd: Systemd, manager: socket.socket) -> None:
    systemd.ready("trading 3 assets")
    assert heard(manager) == ["READY=1", "STATUS=trading 3 assets"]
    systemd.watchdog()
    assert heard(manager) == ["WATCHDOG=1"]
    systemd.status("waiting\nfor the exchange")
    assert heard(manager) == ["STATUS=waiting for the exchange"]
    systemd.extend_timeout(30)
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=30000000"]
    systemd.stopping("stopping")
    assert heard(manager) == ["STOPPING=1", "STATUS=stopping"]


def test_a_reload_carries_the_monotonic_time(systemd: Systemd, manager: socket.socket) -> None:
    systemd.reloading()
    reloading, time = heard(manager)
    assert reloading == "RELOADING=1"
    assert time.startswith("MONOTONIC_USEC=") and int(time.partition("=")[2]) > 0


def test_a_status_outside_latin_1_is_told_all_the_same(systemd: Systemd, manager: socket.socket) -> None:
    systemd.status("price → 5 €")
    assert heard(manager) == ["STATUS=price ? 5 ?"]


def test_without_systemd_nothing_happens() -> None:
    systemd = Systemd({})
    systemd.ready("")
    systemd.watchdog()
    systemd.stopping("")
    systemd.close()
    assert systemd.watchdog_seconds is None


def test_a_socket_that_is_gone_stops_nothing(systemd: Systemd, manager: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "notify").unlink()
    manager.close()
    systemd.watchdog()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdogs_time_is_the_service_managers(environ: dict[str, str], expected: float | None) -> None:
    assert Systemd(environ).watchdog_seconds == expected

"""A booted Debian to try the package on: systemd-nspawn on a root of its own, in a network that ends at its loopback.

The root is made once a week by mmdebstrap and kept; it has the packages of MariaDB, of a mail server and of autopkgtest
lying ready, so that `apt install ./dcabot.deb` works as it does at an administrator's, without the network.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tests import needs

CACHE = Path(os.environ.get("DCABOT_BUILD_CACHE", "/var/cache/dcabot-build"))
WEEK_SECONDS = 7 * 24 * 3600
# What a small Debian server has; and what lies ready: what the package asks for on top, and what the story needs.
INCLUDED = "systemd,systemd-sysv,dbus,procps,iproute2,ca-certificates,python3,apt-utils,kmod"
LYING_READY = (
    "apt-get install -y --download-only --install-recommends mariadb-server mariadb-client",
    "apt-get install -y --download-only --no-install-recommends exim4-daemon-light autopkgtest dpkg-dev",
)
# apt would take away what lay ready once it is installed; the story installs more than once. Nobody
# answers it, and nobody is there to be asked again.
APT = 'APT::Get::Assume-Yes "true";\nBinary::apt::APT::Keep-Downloaded-Packages "true";\nAcquire::Retries "0";\n'
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
T = TypeVar("T")


def until(look: Callable[[], T], what: str, seconds: float = 120.0) -> T:
    """What `look` finds, once it finds something. As in tests/programs.py, which needs the program; this does not."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.1)
    return found


def missing() -> str:
    """What keeps a machine from booting here, as a sentence; empty when nothing does."""
    if os.geteuid() != 0:
        return "only root may boot a container"
    absent = [package for program, package in needs.FOR_PACKAGING.items() if not needs.found(program)]
    if absent:
        return f"not installed: {', '.join(absent)}"
    # What nspawn does first; in many a container root may not.
    trial = ["unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]
    done = subprocess.run(trial, capture_output=True, text=True, check=False)
    return f"root may not make namespaces here: {done.stderr.strip()}" if done.returncode else ""


def base(suite: str) -> Path:
    """The packed root, made when there is none that is young enough and holds the same."""
    contents = hashlib.sha256(repr((INCLUDED, LYING_READY)).encode()).hexdigest()[:8]
    tar = CACHE / f"machine-{suite}-{contents}.tar"
    if not tar.exists() or time.time() - tar.stat().st_mtime > WEEK_SECONDS:
        CACHE.mkdir(parents=True, exist_ok=True)
        draft = CACHE / f"machine-{suite}-{contents}.{os.getpid()}.tar"
        ready = [f'--customize-hook=chroot "$1" {command}' for command in LYING_READY]
        how = ["--quiet", "--mode=root", "--variant=minbase", f"--include={INCLUDED}", "--skip=cleanup/apt", *ready]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        made = subprocess.run(
            ["mmdebstrap", *how, suite, draft], capture_output=True, text=True, check=False, env=environment
        )
        if made.returncode:
            draft.unlink(missing_ok=True)
            raise RuntimeError(f"no Debian could be made for the machine: {made.stderr[-2000:]}")
        for old in CACHE.glob(f"machine-{suite}*.tar"):
            if old != draft:
                old.unlink()
        draft.replace(tar)
    return tar


class Machine:
    """One Debian. `with Machine("bookworm") as machine: machine.run("systemctl status")`."""

    def __init__(self, suite: str) -> None:
        self.root = Path(tempfile.mkdtemp(prefix=f"machine-{suite}-", dir=CACHE))
        subprocess.run(["tar", "-C", self.root, "-xf", base(suite)], check=True)
        # Filled at the first boot, as on a fresh installation; the host's name must not depend on this host.
        (self.root / "etc/machine-id").write_text("")
        (self.root / "etc/hostname").write_text("trader\n")
        (self.root / "var/log/journal").mkdir(exist_ok=True)
        (self.root / "etc/apt/apt.conf.d/story").write_text(APT)
        # A network that outlives a reboot, so that the exchange can stay while the machine is away.
        self.network = self.root.name
        subprocess.run(["ip", "netns", "add", self.network], check=True)
        subprocess.run(["ip", "-n", self.network, "link", "set", "lo", "up"], check=True)
        self._beside: list[subprocess.Popen[bytes]] = []
        self._nspawn: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Machine":
        try:
            self.boot()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.power_off()
        self.stop_beside()
        subprocess.run(["ip", "netns", "delete", self.network], check=False)
        shutil.rmtree(self.root, ignore_errors=True)
        (self.root.parent / f".#{self.root.name}.lck").unlink(missing_ok=True)  # nspawn's

    def beside(self, log: Path, *command: str) -> None:
        """Run a program of this host in the machine's network, until the machine is gone."""
        with log.open("wb") as file:
            enter = ["ip", "netns", "exec", self.network]
            self._beside.append(subprocess.Popen([*enter, *command], stdin=subprocess.DEVNULL, stdout=file))

    def stop_beside(self) -> None:
        for process in self._beside:
            process.kill()
            process.wait()
        self._beside.clear()

    def boot(self) -> None:
        network = f"--network-namespace-path=/run/netns/{self.network}"
        how = ["--register=no", "--keep-unit", network, "--console=pipe", "--quiet", "--boot"]
        with (self.root.parent / f"{self.root.name}.console").open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["systemd-nspawn", f"--directory={self.root}", "--hostname=trader", *how],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        until(self._has_booted, "the machine to boot")

    def power_off(self) -> None:
        """As pulling the plug would; `reboot` is the gentle way."""
        if self._nspawn is not None:
            # The first process in there takes all others along; nspawn alone would leave them behind.
            with contextlib.suppress(IndexError, ProcessLookupError, FileNotFoundError):
                os.kill(self._leader(), signal.SIGKILL)
            try:
                self._nspawn.wait(10)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait()
            self._nspawn = None
        (self.root.parent / f"{self.root.name}.console").unlink(missing_ok=True)

    def reboot(self) -> None:
        """Every service is stopped in order, and then started again."""
        if self._nspawn is None:
            raise RuntimeError("the machine is off")
        os.kill(self._leader(), signal.SIGRTMIN + 4)  # systemd's own signal for powering off
        self._nspawn.wait(90)
        self.boot()

    def run(self, command: str, *, check: bool = True, seconds: float = 180.0) -> str:
        """What a command says, run as root by a shell inside. A failure is an AssertionError with its words."""
        done = self.attempt(command, seconds=seconds)
        assert not check or done.returncode == 0, f"{command}\n{done.returncode}: {done.stdout}"
        return done.stdout

    def attempt(self, command: str, *, seconds: float = 180.0) -> "subprocess.CompletedProcess[str]":
        """As `run`, with the exit code."""
        enter = ["nsenter", "--target", str(self._leader()), "--all", "--wd", "env", "-i"]
        settings = [f"PATH={PATH}", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"]
        return subprocess.run(
            [*enter, *settings, "sh", "-c", f"cd /root\n{command}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run(f"systemctl show --value -p {name} '{unit}'").strip()

    def journal(self, unit: str = "dcabot.service", *options: str) -> str:
        return self.run(f"journalctl --no-pager -u '{unit}' {' '.join(options)}")

    def sql(self, statement: str, database: str = "dcabot") -> list[list[str]]:
        """As the administrator of the machine's MariaDB."""
        file = self.root / "root/statement.sql"
        file.write_text(statement)
        answer = self.run(f"mariadb --batch --skip-column-names {database} </root/statement.sql")
        return [line.split("\t") for line in answer.splitlines()]

    def call(self, path: str, body: object = None) -> Any:
        """Ask the simulator inside; a body is POSTed."""
        (self.root / "root/body.json").write_text(json.dumps(body))
        program = (
            "import json, urllib.request as u; body = open('/root/body.json', 'rb').read();"
            f"r = u.Request('http://127.0.0.1:8080{path}', None if body == b'null' else body);"
            "print(u.urlopen(r, timeout=10).read().decode())"
        )
        return json.loads(self.run(f'python3 -c "{program}"') or "null")

    def _leader(self) -> int:
        """systemd in there, as this host sees it."""
        if self._nspawn is None:
            raise RuntimeError("the machine is off")
        pid = self._nspawn.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])

    def _has_booted(self) -> bool:
        if self._nspawn is None or self._nspawn.poll() is not None:
            raise AssertionError(f"the machine did not boot: {self._console()}")
        try:
            state = self.attempt("systemctl is-system-running", seconds=10)
        except (IndexError, ValueError, OSError, subprocess.TimeoutExpired):
            return False
        return state.stdout.strip() in ("running", "degraded", "starting")

    def _console(self) -> str:
        return (self.root.parent / f"{self.root.name}.console").read_text(errors="replace")[-2000:]

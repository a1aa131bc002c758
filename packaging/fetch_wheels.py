"""Fetch what a lock file names, hash by hash, for the Python of another system than this one.

    fetch_wheels.py LOCK PYTHON ARCHITECTURE FOLDER          fetch_wheels.py requirements.txt 3.13 x86_64 wheels/

pip alone cannot: with --python-version it still judges `python_full_version < '3.11'` by the Python it runs on.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pip._vendor.packaging.requirements import Requirement

# What a wheel may ask of the C library; Debian 12 has 2.36.
MANYLINUX = ["manylinux1", "manylinux2010", "manylinux2014", *(f"manylinux_2_{minor}" for minor in range(5, 36))]


def main() -> None:
    lock, python, machine, folder = sys.argv[1:]
    wheels, sources = [], []
    for line in lines_for(Path(lock).read_text(), python, machine):
        # sdnotify is published as source only; it is built where the package is built.
        (sources if line.startswith("sdnotify==") else wheels).append(line)
    platforms = [f"--platform={name}_{machine}" for name in reversed(MANYLINUX)]
    download(wheels, folder, "--only-binary=:all:", f"--python-version={python}", "--implementation=cp", *platforms)
    if sources:
        download(sources, folder, "--no-binary=:all:", "--no-build-isolation")


def lines_for(lock: str, python: str, machine: str) -> Iterator[str]:
    """The requirements that hold there, without their markers and with their hashes."""
    there = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for line in lock.replace("\\\n", " ").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *hashes = line.split(" --hash=")
        requirement = Requirement(name.strip())
        if requirement.marker is None or requirement.marker.evaluate(there):
            requirement.marker = None
            yield " ".join([str(requirement), *(f"--hash={value.strip()}" for value in hashes)])


def download(lines: list[str], folder: str, *options: str) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join([*lines, ""]))
        file.flush()
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "-qq", "--require-hashes"]
        subprocess.run([*pip, "--no-deps", f"--dest={folder}", *options, "-r", file.name], check=True)


if __name__ == "__main__":
    main()

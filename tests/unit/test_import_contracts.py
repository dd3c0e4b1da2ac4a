"""Every import contract can break: a violation planted in a copy of the tree must be found, and by that contract."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PACKAGES = ("app", "events", "projections", "clients")

#: Contract id -> file that gets a forbidden import, the import.
PLANTED = {
    "houses": ("projections/base.py", "import app.ledger"),
    "app": ("app/jobs/decider.py", "import app.workers"),
    "slices": ("app/jobs/decider.py", "import app.jobs.graphql"),
    "deciders": ("app/jobs/decider.py", "import time"),
    "facts": ("events/base.py", "import psycopg"),
    "stores": ("projections/base.py", "import events.store"),
    "clients": ("clients/api.py", "import events.base"),
    "servers": ("app/jobs/decider.py", "import app.embedded.errors"),
}


def lint(folder: Path, contract: str) -> tuple[int, str]:
    """Check one contract in a tree; exit status and output."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--config", "pyproject.toml", "--no-cache", "--contract", contract],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return result.returncode, result.stdout + result.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and the contracts."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copy(CHECKOUT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(CHECKOUT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    # A slice may not have wires yet; the contract inside slices needs one to be violated.
    wires = folder / "app/jobs/graphql.py"
    if not wires.exists():
        wires.write_text('"""Planted."""\n', encoding="utf-8")
    return folder


def contract_ids() -> set[str]:
    configuration = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"] for contract in configuration["tool"]["importlinter"]["contracts"]}


def test_every_contract_has_a_planted_violation() -> None:
    assert contract_ids() == set(PLANTED)


@pytest.mark.parametrize("contract", sorted(PLANTED))
def test_a_planted_violation_breaks_its_contract(tree: Path, contract: str) -> None:
    status, output = lint(tree, contract)
    assert status == 0, output
    name, line = PLANTED[contract]
    file = tree / name
    clean = file.read_text(encoding="utf-8")
    try:
        file.write_text(f"{clean}\n{line}\n", encoding="utf-8")
        status, output = lint(tree, contract)
    finally:
        file.write_text(clean, encoding="utf-8")
    assert status == 1, output
    assert "0 kept, 1 broken" in output

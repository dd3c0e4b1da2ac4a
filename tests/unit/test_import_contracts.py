"""Every import contract can break: a violation planted in a copy of the tree must be found, and by that contract."""

import re
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


def lint(folder: Path) -> tuple[int, str]:
    """Check all contracts of a tree; exit status and output."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run(
        [sys.executable, "-c", command, "--config", "pyproject.toml", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return result.returncode, result.stdout + result.stderr


def found_by(output: str) -> dict[str, str]:
    """What each broken contract says, by its name."""
    parts = re.split(r"^(.+)\n-{3,}$", output.partition("Broken contracts")[2], flags=re.MULTILINE)
    return {name.strip(): text for name, text in zip(parts[1::2], parts[2::2], strict=True)}


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


@pytest.fixture(scope="module")
def broken(tree: Path) -> dict[str, str]:
    """What is found once all violations are planted in a tree that was clean."""
    status, output = lint(tree)
    assert status == 0, output
    for name, line in PLANTED.values():
        with (tree / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    status, output = lint(tree)
    assert status == 1, output
    return found_by(output)


def contracts() -> dict[str, str]:
    """Names by id."""
    configuration = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    return {each["id"]: each["name"] for each in configuration["tool"]["importlinter"]["contracts"]}


def test_every_contract_has_a_planted_violation() -> None:
    assert set(contracts()) == set(PLANTED)


@pytest.mark.parametrize("contract", sorted(PLANTED))
def test_a_planted_violation_breaks_its_contract(broken: dict[str, str], contract: str) -> None:
    name, line = PLANTED[contract]
    importer = name.removesuffix(".py").replace("/", ".")
    said = broken[contracts()[contract]]
    assert f"{importer} -> {line.removeprefix('import ')} " in said, said

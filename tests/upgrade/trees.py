"""Older programs to upgrade from: the released one out of the history, and this one with another projection.

Look next: `tests/upgrade/test_upgrade.py`.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.acceptance.processes import CHECKOUT

#: the last released version: its tag and, for clones without tags, its commit
RELEASED = ("v0.1.0", "14ca83d")
_PARTS = ("app", "events", "projections", "clients", "alembic")


def released(folder: Path) -> Path | str:
    """The tree of the released version, or why it is not to be had."""
    reason = "git is not installed"
    for revision in RELEASED:
        try:
            archive = subprocess.run(
                ["git", "-C", str(CHECKOUT), "archive", "--format=tar", revision, *_PARTS],
                capture_output=True,
                check=False,
            )
        except OSError:
            break
        if archive.returncode == 0:
            with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
                tar.extractall(folder, filter="data")
            return folder
        reason = archive.stderr.decode(errors="replace").strip()
    return f"the released version ({' or '.join(RELEASED)}) is not in this checkout's history: {reason}"


def with_a_column_more(folder: Path) -> Path:
    """This program as it might have been before: `accounts` one version lower, with a column that was removed since."""
    for part in _PARTS:
        shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    module = folder / "projections" / "accounts.py"
    text = module.read_text(encoding="utf-8")
    text, columns = re.subn(
        r"(class Account\(.*?)(\n    @property)", r"\1    shade: int = 7\n\2", text, count=1, flags=re.DOTALL
    )
    text, versions = re.subn(
        r'Projection\("accounts", (\d+),', lambda found: f'Projection("accounts", {int(found[1]) - 1},', text
    )
    assert (columns, versions) == (1, 1), "the patch does not fit any more"
    module.write_text(text, encoding="utf-8")
    return folder


def versions_of(tree: Path) -> dict[str, int]:
    """The versions of a tree's projections."""
    asked = "import json; from projections.registry import VERSIONS; print(json.dumps(VERSIONS))"
    done = subprocess.run([sys.executable, "-c", asked], cwd=tree, capture_output=True, check=True)
    found: dict[str, int] = json.loads(done.stdout)
    return found

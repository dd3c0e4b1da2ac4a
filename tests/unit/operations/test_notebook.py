"""The notebook of docs/notebooks runs from a copy of a log to its end, and what it says is what the log says."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from app.operations.log_tables import write_tables
from app.operations.replay import replay
from tests.research_log import research_log
from tests.unit.operations.test_log_copies import write_copy

DOCS = Path(__file__).parents[3] / "docs"
NOTEBOOK = DOCS / "notebooks/replay.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the notebook reads."""
    made = tmp_path_factory.mktemp("research")
    events = research_log().events
    (made / "copy").mkdir()
    write_copy(made / "copy", events, 100)
    write_tables(0, events, len(events), made / "tables")
    return made


def test_it_replays_joins_and_draws(folder: Path):
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    replayed, state = replay(research_log().events, 10**9)
    assert f"hands: {sum(user.balance for user in replayed.balances)}\n" in said
    rated = [rating for rating in state["ratings"].values() if rating.value is not None]  # type: ignore[attr-defined]
    assert f"ratings beside others: {len(rated)}\n" in said
    correlation = re.search(r"priority and wait: (-?\d\.\d\d)", said)
    assert correlation is not None
    assert float(correlation[1]) < 0, "who has more waits less"
    for name in ("kudos", "agreement", "waits"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name


def test_it_is_kept_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == []

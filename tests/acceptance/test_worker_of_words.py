"""The real worker and the real client where words are made: texts are written, pictures looked at and made larger."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from PIL import Image

from tests.acceptance.horde import Horde, User, unique
from tests.acceptance.processes import Process, run_cli


@contextlib.contextmanager
def worker(horde: Horde, owner: User, log: Path, *more: str) -> Iterator[Process]:
    """`hoard worker` with these options, ended with the test."""
    arguments = ("worker", "--url", horde.url, "--name", unique("words"), *more)
    process = Process(log, *arguments, variables={"HOARD_API_KEY": owner.key})
    try:
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.stop()


def told(horde: Horde, client: User, command: str, *arguments: str) -> dict[str, Any]:
    """What `hoard write` or `hoard interrogate` says in JSON; it must succeed."""
    said = run_cli(
        command, *arguments, "--url", horde.url, "--json", variables={"HOARD_API_KEY": client.key}, timeout=90
    )
    found: dict[str, Any] = json.loads(said)
    assert found["state"] == "DONE"
    return found


def test_i_have_texts_written_with_one_command(horde: Horde, alice: User, bob: User, tmp_path: Path) -> None:
    """The reference worker of kind text and `hoard write`, from the command line to the worker and back."""
    model = unique("scribe")
    before = bob.kudos
    with worker(
        horde, bob, tmp_path / "w.log", "--kind", "text", "--models", model, "--threads", "2"
    ) as serving:
        found = told(
            horde, alice, "write", "The astronomer found a telescope", "--model", model,
            *("--n", "2", "--length", "40", "--whole-sentences"),
        )  # fmt: skip
        first, second = found["texts"]
        assert (first["model"], first["tokens"] <= 40, first["text"] != second["text"]) == (model, True, True)
        assert all("telescope" in each["text"] or "astronomer" in each["text"] for each in (first, second))
        assert serving.stop() == 0
    assert float(found["charged"]) <= float(found["quote"]["total"])
    assert bob.kudos > before
    said = serving.said()
    assert "astronomer" not in said
    assert bob.key not in said


def test_i_have_a_picture_looked_at_with_one_command(
    horde: Horde, alice: User, bob: User, tmp_path: Path
) -> None:
    """The reference worker of kind interrogation and `hoard interrogate`: words, a drawing and a larger picture."""
    source = tmp_path / "flag.png"
    flag = Image.new("RGB", (96, 64), (40, 80, 190))
    flag.paste((240, 140, 30), (0, 0, 24, 64))
    flag.save(source)
    forms = ("CAPTION", "PALETTE", "VECTORIZE", "REALESRGAN_X2PLUS")
    asked = [word for form in forms for word in ("--form", form)]
    with worker(horde, bob, tmp_path / "w.log", "--kind", "interrogation", "--threads", "3") as serving:
        found = told(horde, alice, "interrogate", str(source), *asked, "--out", str(tmp_path / "out"))
        assert serving.stop() == 0
    caption, palette, drawing, larger = found["forms"]
    assert "mostly blue and orange" in caption["result"]["text"]
    assert palette["result"]["colours"] == [
        {"hex": "#2850be", "share": 0.75},
        {"hex": "#f08c1e", "share": 0.25},
    ]
    assert {shape.get("fill") for shape in ET.parse(drawing["path"]).getroot()} == {
        "#2850be",
        "#f08c1e",
    }
    with Image.open(larger["path"]) as opened:
        assert opened.size == (192, 128)
    assert "flag" not in serving.said()

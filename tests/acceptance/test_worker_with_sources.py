"""The real client and the real worker where pictures start from pictures: files go up, links come down, masks hold."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.acceptance.horde import Horde, User, unique
from tests.acceptance.processes import Process, run_cli

BLUE, SIDE = (20, 30, 200), 512


@pytest.fixture
def serving(horde: Horde, bob: User, model: str, tmp_path: Path) -> Iterator[Process]:
    """A worker that draws patterns over sources."""
    arguments = ("worker", "--url", horde.url, "--name", unique("painter"), "--models", model)
    process = Process(tmp_path / "worker.log", *arguments, variables={"HOARD_API_KEY": bob.key})
    yield process
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.stop()


def painted(horde: Horde, alice: User, model: str, out: Path, *options: str) -> Image.Image:
    """The picture that `hoard generate` saved."""
    told = json.loads(
        run_cli(
            *("generate", "a lighthouse", "--model", model, "--url", horde.url, "--out", str(out), "--json"),
            *options,
            variables={"HOARD_API_KEY": alice.key},
            timeout=90,
        )
    )
    assert told["state"] == "DONE"
    with Image.open(told["pictures"][0]["path"]) as opened:
        return opened.convert("RGB")


def near(found: tuple[int, ...], wanted: tuple[int, ...], by: int = 12) -> bool:
    return all(abs(have - want) <= by for have, want in zip(found, wanted, strict=True))


@pytest.mark.usefixtures("serving")
def test_a_picture_from_a_file_and_one_with_a_mask(
    horde: Horde, alice: User, model: str, tmp_path: Path
) -> None:
    """Features 45 and 46 of docs/checklist.md, from the command line to the worker and back."""
    source, mask = tmp_path / "source.png", tmp_path / "mask.png"
    Image.new("RGB", (SIDE, SIDE), BLUE).save(source)
    right = Image.new("L", (SIDE, SIDE), 0)
    right.paste(255, (SIDE // 2, 0, SIDE, SIDE))
    right.save(mask)
    given = ("--source", str(source))

    faint = painted(horde, alice, model, tmp_path, *given, "--strength", "0.01")
    assert near(faint.resize((1, 1)).getpixel((0, 0)), BLUE), "hardly anything was changed"

    half = painted(horde, alice, model, tmp_path, *given, "--mask", str(mask), "--strength", "1")
    left = half.crop((0, 0, SIDE // 2 - 16, SIDE))
    assert all(near(colour, BLUE) for colour in (left.getpixel((8, 8)), left.getpixel((200, 400))))
    drawn = half.crop((SIDE // 2 + 16, 0, SIDE, SIDE))
    assert len(drawn.getcolors(SIDE * SIDE) or ()) > 100, "the rest was painted anew"

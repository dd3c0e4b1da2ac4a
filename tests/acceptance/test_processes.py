"""Processes forked from one that has loaded the program are what `python -m app.cli` would be (`tests/warm.py`)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import warm
from tests.acceptance.horde import Horde
from tests.acceptance.processes import CHECKOUT, environment


def forked(tmp_path: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    """Exit status, output and errors."""
    files = tmp_path / "output", tmp_path / "errors"
    with files[0].open("wb") as output, files[1].open("wb") as errors:
        status = warm.start(arguments, environment(variables), output, errors).wait(30)
    return status, files[0].read_text(), files[1].read_text()


def anew(*arguments: str, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        cwd=CHECKOUT,
        env=environment(variables),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [("serve", "--help"), ("nothing",), ("config", "check"), ("serve",)])
def test_they_say_and_return_the_same(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Among them: a command that is none, and settings that are wrong."""
    variables = {"HOARD_PORT": "no number"}
    assert forked(tmp_path, *arguments, **variables) == anew(*arguments, **variables)


def test_they_have_an_environment_a_session_and_a_folder_of_their_own_and_no_file_of_others(
    horde: Horde,
) -> None:
    pid = horde.process.popen.pid
    process = Path(f"/proc/{pid}")
    assert os.getsid(pid) == pid
    assert (process / "cwd").resolve() == CHECKOUT
    assert (process / "fd" / "1").resolve() == horde.process.log.resolve()
    files = {str(file.readlink()) for file in (process / "fd").iterdir()}
    assert not [file for file in files if file.endswith(".log") and file != str(horde.process.log)]


def test_signals_end_them_and_their_end_is_told(horde: Horde) -> None:
    given = environment(horde.variables)
    with Path(os.devnull).open("wb") as nothing:
        process = warm.start(("relay",), given, nothing, nothing)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.kill()
    assert process.wait(20) == process.poll() == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # nobody else may have got its number

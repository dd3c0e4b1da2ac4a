"""A file system of its own whose room a test takes away and gives back: ENOSPC as the kernel says it.

It is a tmpfs, whose size can be changed while it is in use; only root can make one. Look next:
`tests/chaos/test_disk_full.py`.
"""

import os
import subprocess
from pathlib import Path
from typing import Self

import pytest

#: nothing of it is used until something is written
ROOMY = "20g"


class SmallDisk:
    """A disk in a folder. Use as a context manager; skips the test where none can be made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._mount("-t", "tmpfs", "-o", f"size={ROOMY},mode=700", "tmpfs")
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("only root can make a disk")
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "-l", str(self.folder)], check=True)

    def fill(self) -> None:
        """From now on nobody can write another page."""
        for _ in range(50):
            seen = os.statvfs(self.folder)
            used = (seen.f_blocks - seen.f_bfree) * seen.f_frsize
            try:
                self._mount("-o", f"remount,size={used}")
            except subprocess.CalledProcessError:
                continue  # somebody wrote meanwhile: the size may not be below what is used
            return
        raise AssertionError(f"{self.folder} could not be filled")

    def free(self) -> None:
        """There is room again."""
        self._mount("-o", f"remount,size={ROOMY}")

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.folder)], check=True, capture_output=True)

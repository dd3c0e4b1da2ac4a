"""The machine that figures come from, and what processes on it have used. Reads `/proc`, so Linux only.

Names no host, no user and no path. Look next: `benchmarks.figures`.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK")


def describe(load: float, postgres: str) -> list[str]:
    """Lines on cores, memory, versions and date; `load` is the average of the last minute before the first run."""
    cores = len(os.sched_getaffinity(0))
    memory = int(_field(_PROC / "meminfo", "MemTotal").split()[0]) / 1024**2
    lines = [
        f"{_field(_PROC / 'cpuinfo', 'model name')}, {cores} cores, {memory:.0f} GiB of memory",
        f"Python {platform.python_version()}, PostgreSQL {postgres}, Linux {platform.release().split('-')[0]}",
        f"{datetime.now(UTC):%Y-%m-%d}, load average before the start {load:.2f}",
    ]
    if load > 0.5:
        lines.append("**The machine was not idle: ratios may still hold, absolute figures are too low.**")
    return lines


def _field(file: Path, name: str) -> str:
    for line in file.read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def cpu_seconds(root: int) -> float:
    """CPU time, user and system, of a process and everything it started, whether it still runs or was waited for."""
    return sum(_ticks(pid) for pid in _tree(root)) / _TICK


def _ticks(pid: int) -> int:
    fields = _stat(pid)
    return sum(int(field) for field in fields[11:15]) if fields else 0


def _tree(root: int) -> Iterator[int]:
    parents = {int(path.name): _stat(int(path.name)) for path in _PROC.glob("[0-9]*")}
    children: dict[int, list[int]] = {}
    for pid, fields in parents.items():
        if fields:
            children.setdefault(int(fields[1]), []).append(pid)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])


def _stat(pid: int) -> list[str]:
    """The fields of a process from its state on; none if it has ended."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def resident_memory(pid: int) -> int:
    """The memory that a process has in use, in bytes."""
    return int(_field(_PROC / str(pid) / "status", "VmRSS").split()[0]) * 1024


def peak_memory() -> int:
    """The most memory that this process had at a time, in bytes."""
    return int(_field(_PROC / "self" / "status", "VmHWM").split()[0]) * 1024

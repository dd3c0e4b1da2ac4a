"""Keeps children running and leaves none behind.

A child that ends by itself is reported in one place, started again after a pause that grows, and reported back. Children are
stopped in reverse order of their start. If this process dies, the kernel signals the children (Linux) and the
guardian ends whatever is left (everywhere).
Use it from one thread; children started from the main thread are also tied to it by the kernel.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from app.embedded.errors import CancelledError, EmbeddedError, StartError
from app.embedded.process import Child, ProcessSpec, describe_exit, log_tail

_GUARDIAN: Final = Path(__file__).with_name("guardian.py")
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
#: A child that lived this many seconds starts again with the first pause.
_HEALTHY_AFTER: Final = 60.0
#: A child that nobody waited for is taken to be back once it has lived so many seconds.
_BACK_AFTER: Final = 3.0

Report = Callable[[str], None]


def _never() -> bool:
    return False


@dataclass
class _Slot:
    """A spec and its present child, if it runs; else when to start it again."""

    spec: ProcessSpec
    child: Child | None
    pause: float = _FIRST_PAUSE
    due: float = 0.0
    #: Whether it answers, as the first start asked; None for a child that nobody waited for.
    probe: Callable[[], bool] | None = None
    #: Since when it has been away, until it was reported back.
    away_since: float | None = None

    def is_back(self) -> bool:
        """Whether its present child does what it is for, as far as can be told."""
        if self.child is None:
            return False
        return self.probe() if self.probe else time.monotonic() - self.child.started_at >= _BACK_AFTER


class Supervisor:
    """A set of children with a guardian. `close` (or leaving the context) ends them all."""

    def __init__(
        self, *, lock_fd: int | None = None, report: Report = print, cancelled: Callable[[], bool] = _never
    ) -> None:
        """Start the guardian, which shares `lock_fd` so that a lock lives as long as the last child.

        `report` gets one text per event worth a terminal; `cancelled` is asked in every wait.
        """
        self._report = report
        self._cancelled = cancelled
        self._slots: dict[str, _Slot] = {}
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARDIAN)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=() if lock_fd is None else (lock_fd,),
            start_new_session=True,
            cwd="/",
        )

    def start(self, spec: ProcessSpec) -> None:
        """Start a child and watch it from now on.

        Raises:
            EmbeddedError: it cannot be executed, or the name is taken.
        """
        if spec.name in self._slots:
            raise EmbeddedError(f"{spec.name} is running already")
        self._slots[spec.name] = _Slot(spec, self._spawn(spec))

    def pid(self, name: str) -> int:
        """The process id of a running child.

        Raises:
            EmbeddedError: it is not running now.
        """
        slot = self._slots.get(name)
        if slot is None or slot.child is None:
            raise EmbeddedError(f"{name} is not running")
        return slot.child.pid

    def lives(self, name: str) -> bool:
        """Whether a child runs now."""
        slot = self._slots.get(name)
        return slot is not None and slot.child is not None and slot.child.poll() is None

    def wait_until(self, name: str, probe: Callable[[], bool], timeout: float) -> None:
        """Wait until `probe` holds while the child lives.

        Raises:
            StartError: it ended, or `timeout` seconds passed.
            CancelledError: a stop was asked for.
        """
        deadline = time.monotonic() + timeout
        self._slots[name].probe = probe
        while not probe():
            if self._cancelled():
                raise CancelledError
            slot = self._slots[name]
            status = slot.child.poll() if slot.child else None
            if slot.child is None or status is not None:
                how = describe_exit(status) if status is not None else "not running"
                raise StartError(f"{name} ended while starting ({how}){self._evidence(slot.spec)}")
            if time.monotonic() > deadline:
                raise StartError(f"{name} is not ready after {timeout:.0f} s{self._evidence(slot.spec)}")
            time.sleep(0.05)

    def run(self, specs: Sequence[ProcessSpec], timeout: float) -> None:
        """Run commands to their end, at the same time. When one fails the others are ended.

        Raises:
            StartError: one failed, or took longer than `timeout` seconds.
            CancelledError: a stop was asked for.
        """
        deadline = time.monotonic() + timeout
        running: list[Child] = []
        try:
            running += (self._spawn(spec) for spec in specs)
            while running:
                for child in [child for child in running if child.wait(0.02)]:
                    running.remove(child)
                    if (status := self._end(child)) != 0:
                        spec = child.spec
                        raise StartError(
                            f"{spec.name} failed ({describe_exit(status)}){self._evidence(spec)}"
                        )
                if self._cancelled():
                    raise CancelledError
                if running and time.monotonic() > deadline:
                    spec = running[0].spec
                    raise StartError(f"{spec.name} is not done after {timeout:.0f} s{self._evidence(spec)}")
        finally:
            for child in running:
                self._end(child)

    def tend(self) -> None:
        """Report children that ended, start again those whose pause is over, report those that are back.

        Call it a few times a second.
        """
        for slot in self._slots.values():
            if slot.child is not None:
                status = slot.child.poll()
                if status is not None:
                    self._lost(slot, slot.child, status)
                elif slot.away_since is not None and slot.is_back():
                    self._report(f"{slot.spec.name} is back after {time.monotonic() - slot.away_since:.0f} s")
                    slot.away_since = None
            elif time.monotonic() >= slot.due:
                self._revive(slot)

    def restart(self, name: str) -> None:
        """Stop a child (or take note of its death) and start it again at once."""
        slot = self._slots[name]
        if slot.child is not None:
            child, slot.child = slot.child, None
            self._end(child)
        slot.child = self._spawn(slot.spec)
        slot.away_since = None

    def stop(self, name: str) -> None:
        """Stop a child for good."""
        slot = self._slots.pop(name)
        if slot.child is not None:
            self._end(slot.child)

    def stop_all(self) -> None:
        """Stop every child, the last started first."""
        for name in reversed(list(self._slots)):
            self.stop(name)

    def close(self) -> None:
        """Stop every child, then the guardian."""
        try:
            self.stop_all()
        finally:
            if self._guardian.stdin:
                with contextlib.suppress(OSError):
                    self._guardian.stdin.close()
            self._guardian.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spawn(self, spec: ProcessSpec) -> Child:
        child = Child(spec)
        self._tell_guardian(f"+ {child.pid} {int(spec.stop_signal)} {spec.grace}")
        return child

    def _end(self, child: Child) -> int:
        status = child.stop()
        self._tell_guardian(f"- {child.pid}")
        return status

    def _tell_guardian(self, line: str) -> None:
        if self._guardian.stdin:
            # A guardian that was killed only costs the safety net, not the run.
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.write(f"{line}\n".encode())
                self._guardian.stdin.flush()

    def _lost(self, slot: _Slot, child: Child, status: int) -> None:
        lived = time.monotonic() - child.started_at
        self._end(child)
        slot.child = None
        slot.away_since = slot.away_since or time.monotonic()
        slot.pause = _FIRST_PAUSE if lived > _HEALTHY_AFTER else slot.pause
        slot.due = time.monotonic() + slot.pause
        self._report(
            f"{slot.spec.name} ended unexpectedly ({describe_exit(status)}); starting it again in {slot.pause:g} s"
            f"{self._evidence(slot.spec)}"
        )
        slot.pause = min(slot.pause * 2, _LONGEST_PAUSE)

    def _revive(self, slot: _Slot) -> None:
        try:
            slot.child = self._spawn(slot.spec)
        except EmbeddedError as error:
            slot.due = time.monotonic() + slot.pause
            slot.pause = min(slot.pause * 2, _LONGEST_PAUSE)
            self._report(f"{slot.spec.name} cannot be started: {error}")

    def _evidence(self, spec: ProcessSpec) -> str:
        tail = log_tail(spec.log)
        return f"; {spec.log} ends with:{tail}" if tail else f"; see {spec.log}"

"""A small process that outlives the supervisor just long enough to leave nothing running.

Started as a script in a session of its own, so it may import only the standard library. It reads lines
`+ PID SIGNAL GRACE` and `- PID` on stdin. End of input means that the supervisor is gone, however it went: every
listed child gets its stop signal, and after its grace (seconds) its whole process group is killed.
It holds the data folder's lock meanwhile, so that a new run waits until the folder is quiet.
"""

import contextlib
import os
import signal
import sys
import time

_TICK = 0.05


def read_children() -> dict[int, tuple[int, float]]:
    """Follow stdin until the supervisor's end; the children alive then, with signal and grace."""
    children: dict[int, tuple[int, float]] = {}
    for line in sys.stdin:
        match line.split():
            case ["+", pid, signum, grace]:
                children[int(pid)] = (int(signum), float(grace))
            case ["-", pid]:
                children.pop(int(pid), None)
            case _:
                pass  # a line cut short by the supervisor's death
    return children


def group_alive(pid: int) -> bool:
    """Whether any process of the group is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def end(children: dict[int, tuple[int, float]]) -> None:
    """Stop all children at once; kill what outlives its grace."""
    for pid, (signum, _) in children.items():
        with contextlib.suppress(OSError):
            os.kill(pid, signum)
    started = time.monotonic()
    while children:
        for pid, (_, grace) in list(children.items()):
            if not group_alive(pid):
                del children[pid]
            elif time.monotonic() - started > grace:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
                del children[pid]
        time.sleep(_TICK)


def main() -> None:
    """Wait for the supervisor's end, then clean up."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(read_children())


if __name__ == "__main__":
    main()

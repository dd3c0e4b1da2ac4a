"""A stop asked for by signal, as an event that everything in a process may wait for.

Handlers only set it, so that no work is torn apart in the middle. Only composition roots call this.
"""

import signal
import threading


def stop_on_signals() -> threading.Event:
    """An event that SIGINT, SIGTERM or SIGHUP sets. Main thread only."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop

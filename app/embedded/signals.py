"""A stop asked for by signal, as a flag that waits can look at.

Handlers only set the flag: raising from a handler could hit the moment between a fork and its bookkeeping.
"""

import signal
import threading


class StopRequest:
    """Set once, by SIGINT, SIGTERM or SIGHUP."""

    def __init__(self) -> None:
        """A request that nobody has made yet."""
        self._event = threading.Event()

    @classmethod
    def on_signals(cls) -> "StopRequest":
        """Install the handlers (main thread only), also where a shell's `&` made SIGINT ignored."""
        request = cls()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, lambda *_: request.set())
        return request

    def set(self) -> None:
        """Ask for the stop."""
        self._event.set()

    def is_set(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the request; whether it was made."""
        return self._event.wait(seconds)

"""How fast the worker asks and how long it waits, all in seconds. Tests use a hastier one."""

import random

import msgspec

from clients.api import Backoff


class Pacing(msgspec.Struct, frozen=True, kw_only=True):
    """The worker's waits."""

    #: Between empty polls: from the first to the last, doubling.
    idle_first: float = 0.5
    idle_last: float = 3.0
    #: Between polls in maintenance, when only the owner's own jobs come.
    maintenance: float = 20.0
    #: After faults in a row, doubling up to this: a broken backend must not burn through the queue.
    fault_last: float = 60.0
    #: The longest time between two extensions, also when this machine's clock is wrong.
    extend_every: float = 60.0
    #: How long a picture is carried to a storage that does not take it.
    carry: float = 600.0
    #: After the signal to stop: time to deliver what is done and to give back the rest.
    grace: float = 20.0
    #: After the signal to stop or to pause: time to hear out a poll that is under way.
    last_poll: float = 1.0
    #: Between two looks at the settings' file.
    reread: float = 1.0
    retry: Backoff = Backoff()

    def idle(self, empty_polls: int) -> float:
        """The wait after so many empty polls in a row (from 1)."""
        full: float = min(self.idle_last, self.idle_first * 2.0 ** min(empty_polls - 1, 30))
        return max(self.idle_first, full * random.uniform(0.7, 1.0))

    def after_faults(self, faults: int) -> float:
        """The wait before taking more, after so many faults in a row."""
        return 0.0 if faults == 0 else min(self.fault_last, 2.0 ** min(faults - 1, 30))


#: What a worker keeps to unless told otherwise.
PACING = Pacing()

"""What the three embedded servers have in common: a spec, a readiness probe, a setup, settings.

Implementations: `postgres`, `valkey`, `seaweed`. Started and watched by `stack`.
"""

from typing import Protocol

from app.embedded.process import ProcessSpec


class Service(Protocol):
    """One embedded server of a data folder."""

    @property
    def name(self) -> str:
        """Name for terminals, logs and `EmbeddedStack.pid`."""

    @property
    def replaced_by(self) -> str:
        """The variable that names a server of the user's own: where it is set, `up` does not start this one."""

    def spec(self) -> ProcessSpec:
        """How to run it; may create what it stands on (a database cluster, a configuration file)."""

    def ready(self) -> bool:
        """Whether it answers now; returns within about two seconds, raises nothing."""

    def set_up(self) -> None:
        """Create roles, databases, buckets that are missing. Called once it is ready; may be repeated."""

    def settings(self) -> dict[str, str]:
        """The `HOARD_*` variables that lead to it."""

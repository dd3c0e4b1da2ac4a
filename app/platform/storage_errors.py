"""How object storage fails, apart from `app.platform.objects`: who only handles it need not load what speaks to it."""

from __future__ import annotations


class StorageError(Exception):
    """An operation on object storage did not come off."""


class StorageUnavailableError(StorageError):
    """Storage does not answer, or not as it should: try again later."""


class ObjectMissingError(StorageError):
    """There is no such object."""

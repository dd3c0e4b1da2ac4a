"""What can go wrong with the embedded stack; every message is meant to be read on a terminal."""


class EmbeddedError(Exception):
    """The embedded stack cannot do what it was asked; the message says what to do about it."""


class FolderInUseError(EmbeddedError):
    """Another live run owns this data folder."""


class StartError(EmbeddedError):
    """A process did not become ready; the message ends with the last lines of its log."""


class CancelledError(EmbeddedError):
    """A stop was asked for while something was still starting."""

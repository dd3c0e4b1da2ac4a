"""The settings that hold while the worker runs: the file's, below those of the command line, below those set by hand.

What was set by hand holds until the worker ends or the file's value of that key changes. The file is read again when
it changes; a file with faults changes nothing. Look next: `settings.py`, `control.py`.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from clients.worker import settings_file
from clients.worker.settings import AT_START, Fault, Settings, SettingsError, checked, from_text

Print = tuple[int, int, int]


class LiveSettings:
    """The present settings of one worker."""

    def __init__(self, path: Path | None, flags: Mapping[str, object]) -> None:
        """Read the file, if there is one. Raises SettingsError with every fault."""
        self._path = path
        self._flags = dict(flags)
        self._by_hand: dict[str, object] = {}
        self._seen = self._fingerprint()
        self._file = {} if path is None else settings_file.read(path)
        #: What holds now.
        self.current = checked({**self._file, **self._flags})

    @property
    def path(self) -> Path | None:
        """The file."""
        return self._path

    def reread(self) -> tuple[str, ...]:
        """Look at the file again if it was touched; what there is to say of it.

        Raises SettingsError if it has faults; then the settings stay what they are.
        """
        seen = self._fingerprint()
        if self._path is None or seen == self._seen:
            return ()
        self._seen = seen
        file = settings_file.read(self._path)
        changed = {key for key in {*file, *self._file} if file.get(key) != self._file.get(key)}
        by_hand = {key: value for key, value in self._by_hand.items() if key not in changed}
        wanted = checked({**file, **self._flags, **by_hand})
        self._file, self._by_hand = file, by_hand
        return self._adopt(wanted)

    def set(self, key: str, text: str, *, save: bool) -> tuple[str, ...]:
        """Change one setting from what somebody typed, in the file too if `save`; what there is to say of it.

        Raises SettingsError; then nothing is changed.
        """
        value = from_text(key, text)
        if key in AT_START and not save:
            raise SettingsError(
                [Fault(key=key, message="cannot change while the worker runs; save it and restart")]
            )
        wanted = checked({**self._file, **self._flags, **self._by_hand, key: value})
        if save:
            if self._path is None:
                raise SettingsError([Fault(key=key, message="the worker has no file to save it in")])
            settings_file.change(self._path, key, value)
            self._file[key] = value
            self._seen = self._fingerprint()
            self._by_hand.pop(key, None)
        else:
            self._by_hand[key] = value
        self._flags.pop(key, None)
        return self._adopt(wanted)

    def _adopt(self, wanted: Settings) -> tuple[str, ...]:
        """Make these the present settings, but for what is settled at the start."""
        said = []
        kept: dict[str, object] = {}
        for field in msgspec.structs.fields(Settings):
            before, after = getattr(self.current, field.name), getattr(wanted, field.name)
            if before == after:
                continue
            if field.name in AT_START:
                said.append(f"{field.name} has changed, which holds from the next start on")
                kept[field.name] = before
            else:
                said.append(f"{field.name} is now {settings_file.literal(() if after is None else after)}")
        self.current = msgspec.structs.replace(wanted, **kept)
        return tuple(said)

    def _fingerprint(self) -> Print | None:
        """What changes when the file does."""
        try:
            found = None if self._path is None else self._path.stat()
        except OSError:
            return None
        return None if found is None else (found.st_mtime_ns, found.st_size, found.st_ino)

"""Pictures that are never shared, known by their hashes only.

Pure. The list is empty as delivered; what stands on it is a matter of operations, not of code. Look next:
`app.sharing.publish`, which asks for every picture.
"""

from typing import Final

import msgspec

from app.sharing.perceptual_hash import distance

#: pictures whose perceptual hashes differ in at most so many of 64 bits look the same
NEAR: Final = 6


class Blocklist(msgspec.Struct, frozen=True):
    """Hashes of known pictures."""

    #: SHA-256 of published files, hexadecimal
    sha256: frozenset[str] = frozenset()
    #: perceptual hashes, hexadecimal
    perceptual: frozenset[str] = frozenset()

    def blocked(self, sha256: str, perceptual_hash: str) -> bool:
        """Whether a picture is on the list, or looks like one that is."""
        if sha256 in self.sha256:
            return True
        return any(distance(perceptual_hash, known) <= NEAR for known in self.perceptual)


EMPTY: Final = Blocklist()

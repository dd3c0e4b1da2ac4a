"""Rules of retries: the same idempotency key once more, with the same parameters or with others."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.town import Town


class Retries(Town):
    """What clients do that heard no answer."""

    @precondition(lambda self: self.promised)
    @rule(ago=st.integers(0, 9), altered=st.sampled_from((False, False, True)))
    def again(self, ago: int, altered: bool) -> None:
        """The `ago`-th last command with a key comes again; the anonymous user's and an operator's have none."""
        key, ask = self.promised[-1 - ago % len(self.promised)]
        if altered:
            key = msgspec.structs.replace(key, fingerprint=bytes(32))
        self.send_again(key, ask)

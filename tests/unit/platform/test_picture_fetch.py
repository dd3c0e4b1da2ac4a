"""What servers say about collecting their pictures, as they say it."""

import pytest

from app.platform.picture_fetch import declines


@pytest.mark.parametrize(
    ("told", "declined"),
    [
        ([], False),
        (["index, follow"], False),
        (["noai"], True),
        (["nofollow, NoImageAI"], True),
        (["all", "noindex"], True),
        (["otherbot: noindex"], False),
        (["hoard: noindex, nofollow"], True),
        (["Hoard:noimageindex"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST"], False),
        (["noindex, unavailable_after: 25 Jun 2030 15:00:00 PST"], True),
    ],
)
def test_what_is_asked_of_everybody_or_of_us_is_heeded(told: list[str], declined: bool):
    assert declines(told) is declined

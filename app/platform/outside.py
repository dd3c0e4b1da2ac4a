"""Which places outside may be asked for something that a client names: URLs by their form, addresses by what they are.

Pure: it resolves no name and opens nothing. Whoever fetches must ask again for every address that a name leads to and
after every redirect, and connect to the very address that was allowed. Look next: `app.platform.guarded`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: characters of a URL
MAX_URL: Final = 2_000
HTTPS_PORT: Final = 443

#: where IPv6 addresses of the public internet are; everything else is local, mapped, translated or not given out
_GLOBAL_V6: Final = ipaddress.IPv6Network("2000::/3")
#: what `is_global` does not keep out, in this or another version of Python: multicast, relays and translators that
#: lead to IPv4 addresses inside (6to4, Teredo, NAT64), segment routing, documentation, and the one public address that
#: a large cloud uses for its own service
_REFUSED: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "100.64.0.0/10",
        "168.63.129.16/32",
        "192.0.0.0/24",
        "192.88.99.0/24",
        "198.18.0.0/15",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
    )
)


class ForbiddenUrlError(Exception):
    """A URL that nothing is fetched from; the message says why and does not repeat it."""


class Outside:
    """The public internet over https at its port, and besides whatever networks the operator opens, over http too."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._opened = tuple(networks)

    @classmethod
    def of(cls, setting: str) -> Outside:
        """The networks of a setting, divided by commas. Raises `ValueError`."""
        return cls(networks_of(setting))

    def url(self, text: str) -> URL:
        """A URL that a client wrote, if its form allows to ask for it.

        Raises:
            ForbiddenUrlError: it has another scheme or port, names a user, is too long, or is no URL; or its host is
                an address that is not allowed.
        """
        if len(text) > MAX_URL:
            message = f"a URL has at most {MAX_URL} characters"
            raise ForbiddenUrlError(message)
        if "\\" in text or any(character.isspace() or not character.isprintable() for character in text):
            raise ForbiddenUrlError("a URL has no spaces, control characters or backslashes")
        try:
            url = URL(text)
            self.check(url)
        except ValueError as error:
            raise ForbiddenUrlError("this is no URL") from error
        return url

    def check(self, url: URL) -> None:
        """Raise `ForbiddenUrlError` for a URL, given or redirected to, that is not to be asked for."""
        schemes = ("https", "http") if self._opened else ("https",)
        if url.scheme not in schemes or not url.raw_host:
            raise ForbiddenUrlError("a URL begins with https:// and names a host")
        if url.raw_user is not None or url.raw_password is not None:
            raise ForbiddenUrlError("a URL names no user and no password")
        if not self._opened and url.port != HTTPS_PORT:
            message = f"the port of a URL is {HTTPS_PORT}"
            raise ForbiddenUrlError(message)
        if (literal := _address(url.raw_host)) is not None and not self.allows(literal, url):
            raise ForbiddenUrlError("the host of a URL is a public one")

    def allows(self, address: str, url: URL) -> bool:
        """Whether a connection to an address may be opened for a URL."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if any(parsed in network for network in self._opened):
            return True
        return url.scheme == "https" and url.port == HTTPS_PORT and is_public(parsed)


def networks_of(setting: str) -> tuple[Network, ...]:
    """Networks divided by commas. Raises `ValueError`."""
    return tuple(ipaddress.ip_network(part.strip()) for part in setting.split(",") if part.strip())


def is_public(address: Address) -> bool:
    """Whether an address is one of a machine on the public internet, and of no other."""
    if isinstance(address, ipaddress.IPv6Address) and (
        address.scope_id is not None or address not in _GLOBAL_V6
    ):
        return False
    if any(address in network for network in _REFUSED):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _address(host: str) -> str | None:
    """The host of a URL if it is an address."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None

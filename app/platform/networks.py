"""Networks that the operator calls unsafe: jobs from their addresses go only to workers that allow such jobs.

Read once when a process starts. Addresses are compared and never kept: only whether one is unsafe enters the log.
Look next: `app.jobs.handlers`.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from app.platform.settings import SettingsError

#: larger files are no lists of networks
MAX_BYTES: Final = 64 * 1024 * 1024

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Networks:
    """A set of networks that is asked for addresses, as quickly with a million of them as with one."""

    def __init__(self, networks: Iterable[_Network] = ()) -> None:
        prefixes: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            prefixes[network.version, shift].add(int(network.network_address) >> shift)
        self._prefixes = dict(prefixes)

    @classmethod
    def load(cls, setting: str | None) -> Networks:
        """The networks of a setting: the path of a file with one in each line, or networks divided by commas.

        Raises:
            SettingsError: the file cannot be read, or something is no network; every fault is listed.
        """
        if setting is None:
            return cls()
        lines = setting.split(",") if _is_list(setting) else _lines(setting)
        networks: list[_Network] = []
        faults: list[str] = []
        for number, line in enumerate(lines, 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError:
                faults.append(
                    _fault(f"item {number} must be a network such as 192.0.2.0/24 or 2001:db8::/32")
                )
        if faults:
            raise SettingsError(tuple(faults))
        return cls(networks)

    def holds(self, address: str) -> bool:
        """Whether an address, or the network that stands for it, is in one of the networks; anything else is in none."""
        if not self._prefixes:
            return False
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0].partition("/")[0])
        except ValueError:
            return False
        if parsed.version == 6 and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        number = int(parsed)
        return any(
            version == parsed.version and number >> shift in known
            for (version, shift), known in self._prefixes.items()
        )


def _is_list(setting: str) -> bool:
    first = setting.partition(",")[0].strip()
    try:
        ipaddress.ip_network(first, strict=False)
    except ValueError:
        return "," in setting and not Path(setting).exists()
    return True


def _lines(path: str) -> list[str]:
    try:
        with Path(path).open("rb") as opened:
            text = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError((_fault(f"cannot be read: {type(error).__name__}"),)) from error
    if len(text) > MAX_BYTES:
        raise SettingsError((_fault(f"must have at most {MAX_BYTES} bytes"),))
    return text.decode("utf-8", "replace").splitlines()


def _fault(problem: str) -> str:
    return f"HOARD_UNSAFE_NETWORKS {problem}"

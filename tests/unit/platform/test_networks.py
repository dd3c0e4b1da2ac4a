"""Networks that the operator calls unsafe."""

import pytest

from app.platform.networks import Networks
from app.platform.settings import SettingsError

LIST = "192.0.2.0/24, 2001:db8::/32,198.51.100.7"


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("192.0.2.255", True),
        ("192.0.3.0", False),
        ("198.51.100.7", True),
        ("198.51.100.8", False),
        ("2001:db8:1::1", True),
        ("2001:db8:1:2::/64", True),
        ("2001:db9::1", False),
        ("::ffff:192.0.2.1", True),
        ("fe80::1%eth0", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_an_address_is_in_the_list_or_not(address: str, *, held: bool) -> None:
    assert Networks.load(LIST).holds(address) is held


def test_a_file_has_a_network_in_each_line(tmp_path) -> None:
    path = tmp_path / "networks"
    path.write_text("# ours\n192.0.2.0/24  # all\n\n")
    assert Networks.load(str(path)).holds("192.0.2.9")


def test_without_a_setting_no_address_is_unsafe() -> None:
    assert not Networks.load(None).holds("192.0.2.1")


def test_every_fault_is_listed_by_its_place_and_never_repeated() -> None:
    with pytest.raises(SettingsError) as caught:
        Networks.load("192.0.2.0/24,nonsense,192.0.2.1/24")
    assert [fault.split(" must")[0] for fault in caught.value.faults] == [
        "HOARD_UNSAFE_NETWORKS item 2",
        "HOARD_UNSAFE_NETWORKS item 3",
    ]


def test_a_file_that_is_not_there_is_a_fault() -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        Networks.load("/nowhere/networks")

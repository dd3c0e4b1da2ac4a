"""Which URLs and addresses may be asked for what a client names."""

import ipaddress

import pytest
from yarl import URL

from app.platform.outside import ForbiddenUrlError, Outside, is_public

PUBLIC = ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "2a00:1450:4001:81b::200e"]
INSIDE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:93.184.216.34",
    "64:ff9b::7f00:1",
    "64:ff9b::5db8:d822",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:5db8:d822::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "2606:4700::1111%eth0",
]
ALLOWED = [
    "https://example.com/a.png",
    "https://example.com:443/a.png?b=c#d",
    "HTTPS://EXAMPLE.COM/ä",
    "https://bücher.example/a.png",
    "https://93.184.216.34/a.png",
    "https://[2606:4700::1111]/a.png",
]
FORBIDDEN = [
    "",
    "example.com/a.png",
    "//example.com/a.png",
    "https://",
    "https:///a.png",
    "http://example.com/a.png",
    "ftp://example.com/a.png",
    "file:///etc/passwd",
    "data:image/png;base64,AAAA",
    "gopher://example.com:443/",
    "https://example.com:80/",
    "https://example.com:8443/",
    "https://example.com:99999/",
    "https://me@example.com/",
    "https://:secret@example.com/",
    "https://me:secret@example.com/",
    "https://example.com\\@127.0.0.1/",
    "https://exa mple.com/",
    "https://example.com/\r\nHost: inside",
    "https://example.com/\0",
    "https://127.0.0.1/",
    "https://\uff11\uff12\uff17.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://169.254.169.254/latest/meta-data",
    "https://[fe80::1%25eth0]/",
    "https://example.com/" + "a" * 2_000,
]


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_of_the_internet_are_public(address: str):
    assert is_public(ipaddress.ip_address(address))
    assert Outside().allows(address, URL("https://example.com/"))


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_anything_else_are_not(address: str):
    assert not is_public(ipaddress.ip_address(address))
    assert not Outside().allows(address, URL("https://example.com/"))


def test_what_is_no_address_is_not_allowed():
    assert not Outside().allows("example.com", URL("https://example.com/"))


@pytest.mark.parametrize("url", ALLOWED)
def test_https_urls_may_be_asked_for(url: str):
    assert Outside().url(url).scheme == "https"


@pytest.mark.parametrize("url", FORBIDDEN)
def test_other_urls_may_not(url: str):
    with pytest.raises(ForbiddenUrlError) as told:
        Outside().url(url)
    assert "example" not in str(told.value)


def test_an_opened_network_is_asked_over_http_at_any_port_and_the_rest_as_ever():
    opened = Outside.of("127.0.0.0/8, fd00::/8")
    assert opened.url("http://127.0.0.1:8080/a.png").port == 8080
    assert opened.url("http://[fd00::1]/a.png").host == "fd00::1"
    named = opened.url("http://example.com:8080/a.png")
    assert opened.allows("127.0.0.1", named)
    assert not opened.allows("93.184.216.34", named)
    assert not opened.allows("10.0.0.1", named)
    assert not opened.allows("::ffff:127.0.0.1", named)
    assert opened.allows("93.184.216.34", URL("https://example.com/"))
    assert not opened.allows("93.184.216.34", URL("https://example.com:8443/"))
    for url in ("http://10.0.0.1/", "http://93.184.216.34/", "https://me@127.0.0.1/", "ftp://127.0.0.1/"):
        with pytest.raises(ForbiddenUrlError):
            opened.url(url)


def test_networks_must_be_networks():
    with pytest.raises(ValueError, match="host bits"):
        Outside.of("127.0.0.1/8")

"""Which addresses are connected to, and what is an address at all (row 23 of the faults)."""

from __future__ import annotations

import pytest

from xraydesk.links.outside.address_rules import BadUrl, Where, is_below, may_connect, read_url


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:7f00:1::",
        "64:ff9b:1::7f00:1",
        "::127.0.0.1",
        "fec0::1",
        "3fff::1",
        "2001:db8::1",
        "192.88.99.1",
        "192.0.0.8",
        "localhost",
        "",
    ],
)
def test_row_23_what_lies_within_is_connected_to_nowhere_unless_the_site_lists_it(address: str) -> None:
    assert not may_connect(address, ())


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_connected_to(address: str) -> None:
    assert may_connect(address, ())


def test_a_network_that_is_listed_is_connected_to_and_no_other() -> None:
    assert may_connect("10.1.2.3", ["192.168.0.0/16", "10.0.0.0/8"])
    assert may_connect("::ffff:10.1.2.3", ["10.0.0.0/8"])
    assert not may_connect("127.0.0.1", ["10.0.0.0/8"])


def test_an_address_is_taken_apart() -> None:
    assert read_url("https://Ehr.Example/R4/Patient?_count=1") == Where(
        True, "ehr.example", 443, "/R4/Patient?_count=1"
    )
    plain = read_url("http://[2001:db8::1]:8090")
    assert (plain.is_tls, plain.target, plain.host_header) == (False, "/", "[2001:db8::1]:8090")
    assert read_url("http://a.example").host_header == "a.example"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ehr.example",
        "ftp://a/",
        "http://",
        "http://a:99999/",
        "http://a:0/",
        "http://u@a/",
        "http://a/#x",
        "http://a/ b",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadUrl):
        read_url(text)


@pytest.mark.parametrize(
    ("text", "below"),
    [
        ("https://a.example/R4", True),
        ("https://a.example:443/R4/Patient?page=2", True),
        ("https://a.example/R4?page=2", True),
        ("https://a.example/R42/Patient", False),
        ("https://a.example/", False),
        ("http://a.example/R4/Patient", False),
        ("https://a.example:444/R4/Patient", False),
        ("https://b.example/R4/Patient", False),
        ("https://a.example/R4/../admin", False),
        ("https://a.example/R4/%2E%2e/admin", False),
        ("nonsense", False),
    ],
)
def test_what_lies_below_the_base(text: str, below: bool) -> None:
    assert is_below(text, "https://a.example/R4/") is below

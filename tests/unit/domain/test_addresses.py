"""Behind proxies: whom a request comes from, and that nobody becomes another by saying so."""

import pytest

from graphql_app.domain.addresses import Proxies, network_of

NONE = Proxies([])
ONE = Proxies(["10.0.0.1"])
TWO = Proxies(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize("said", ["", "1.2.3.4", "1.2.3.4, 10.0.0.1", "127.0.0.1", "::1"])
def test_without_trusted_proxies_the_peer_is_the_client_whatever_it_says(said: str) -> None:
    assert NONE.client("203.0.113.9", said) == "203.0.113.9"


@pytest.mark.parametrize("said", ["", "1.2.3.4", "10.0.0.1", "198.51.100.7, 10.0.0.1"])
def test_who_is_no_trusted_proxy_is_not_listened_to(said: str) -> None:
    assert ONE.client("203.0.113.9", said) == "203.0.113.9"


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("1.2.3.4, 198.51.100.7", "198.51.100.7"),
        ("1.2.3.4,198.51.100.7", "198.51.100.7"),
        ("127.0.0.1, 10.0.0.1, 198.51.100.7", "198.51.100.7"),
        ("nonsense, 198.51.100.7", "198.51.100.7"),
        (", , 198.51.100.7", "198.51.100.7"),
        ("x" * 10_000 + ", 198.51.100.7", "198.51.100.7"),
    ],
)
def test_what_a_client_wrote_before_the_proxy_did_is_not_believed(said: str, client: str) -> None:
    assert ONE.client("10.0.0.1", said) == client


def test_of_several_trusted_proxies_each_is_passed() -> None:
    assert TWO.client("10.0.0.1", "1.2.3.4, 198.51.100.7, 10.9.9.9, fd00::5") == "198.51.100.7"


def test_where_all_are_trusted_the_first_of_them_is_the_client() -> None:
    assert TWO.client("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize("said", ["", "unknown", "_hidden", "198.51.100.7, unknown", "198.51.100.7,"])
def test_of_what_a_proxy_does_not_say_the_proxy_is_the_client(said: str) -> None:
    assert ONE.client("10.0.0.1", said) == "10.0.0.1"


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("198.51.100.7:51234", "198.51.100.7"),
        ("[2001:db8:1:2:3::4]:443", "2001:db8:1:2:3::4"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:DB8:1:2:0:0:0:1", "2001:db8:1:2::1"),
    ],
)
def test_however_it_is_written_one_client_is_one(said: str, client: str) -> None:
    assert ONE.client("10.0.0.1", said) == client


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        (None, "unknown"),
        ("a socket file", "unknown"),
    ],
)
def test_whoever_has_an_ipv6_network_is_counted_as_one(address: str | None, network: str) -> None:
    assert network_of(address) == network


def test_a_proxy_is_known_in_the_clothes_of_ipv6() -> None:
    assert ONE.client("::ffff:10.0.0.1", "198.51.100.7") == "198.51.100.7"


def test_who_comes_over_a_socket_file_has_no_address() -> None:
    assert NONE.client(None, "1.2.3.4") is TWO.client("", "1.2.3.4") is None


def test_many_clients_take_bounded_room() -> None:
    for number in range(30_000):
        ONE.client("10.0.0.1", f"198.{number // 65536}.{number // 256 % 256}.{number % 256}")

    assert ONE._remembered.cache_info().currsize == 10_000


@pytest.mark.parametrize("wrong", ["nginx", "10.0.0.0/40", ""])
def test_what_is_no_network_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        Proxies([wrong])

"""Which host of a URL connections are made to, and when they leave it."""

import asyncio
import inspect
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import asyncpg
import pytest
from asyncpg import connect_utils

from graphql_app.observe import DatabaseMoved, News
from graphql_app.store.postgres.driver import Connection
from graphql_app.store.postgres.hosts import (
    HOST_SECONDS,
    LEAVE_SECONDS,
    STAGGER_SECONDS,
    Hosts,
    Role,
    choose_host,
    role_of,
    single_host_urls,
)

ONE, TWO = "postgresql://ada:x@one/office", "postgresql://ada:x@two/office"
BOTH = "postgresql://ada:x@one,two/office"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://ada:x@one:1/office?sslmode=require", ["postgresql://ada:x@one:1/office?sslmode=require"]),
        (BOTH, [ONE, TWO]),
        (f"{BOTH}?target_session_attrs=read-write", [ONE, TWO]),
        ("postgresql://one:1,[::1]:2/x", ["postgresql://one:1/x", "postgresql://[::1]:2/x"]),
        ("postgresql://one,[::1]/x?port=5&sslmode=require", [
            "postgresql://one/x?sslmode=require&port=5", "postgresql://[::1]/x?sslmode=require&port=5",
        ]),
        ("postgresql://ada:x@/x?host=one:1,two:2", ["postgresql://ada:x@/x?host=one:1", "postgresql://ada:x@/x?host=two:2"]),
        ("postgresql:///x?host=/a,/b&port=1,2", ["postgresql:/x?host=/a&port=1", "postgresql:/x?host=/b&port=2"]),
        ("postgresql:///x?host=/var/run/postgresql", ["postgresql:///x?host=/var/run/postgresql"]),
        ("postgresql://ada@[::/x", ["postgresql://ada@[::/x"]),
    ],
)  # fmt: skip
def test_a_list_of_hosts_is_a_url_for_each(url: str, expected: list[str]) -> None:
    assert single_host_urls(url) == expected


@pytest.mark.parametrize("url", [
    BOTH, "postgresql://ada:x@one:1,[::1]:2/x", "postgresql://one,[::1]/x?port=5", "postgresql://one,two/x?port=5,6",
    "postgresql://ada:x@/x?host=one:1,two:2", "postgresql:///x?host=/a,/b&port=1,2",
])  # fmt: skip
def test_each_leads_to_where_asyncpg_would_have_gone_by_the_list(url: str) -> None:
    listed, _, _ = _parsed(url)
    assert [host for one in single_host_urls(url) for host in _parsed(one)[0]] == listed


def _parsed(url: str) -> Any:
    parse: Any = vars(connect_utils)["_parse_connect_arguments"]  # asyncpg tells it nowhere else
    given = dict.fromkeys(inspect.signature(parse).parameters) | {"dsn": url, "user": "ada"}
    sizes = ("statement_cache_size", "max_cached_statement_lifetime", "max_cacheable_statement_size")
    return parse(**given | dict.fromkeys(sizes, 1))


@pytest.mark.parametrize(
    ("roles", "home", "expected"),
    [
        ({"a": Role.PRIMARY}, None, "a"),
        ({"a": Role.STANDBY, "b": Role.PRIMARY}, "a", "b"),
        ({"a": Role.READ_ONLY, "b": Role.PRIMARY}, "a", "b"),
        ({"a": Role.READ_ONLY, "b": Role.STANDBY}, "a", "a"),
        ({"a": Role.READ_ONLY, "b": Role.STANDBY}, None, "a"),
        ({"a": Role.READ_ONLY}, "b", None),  # it has been replaced by b: what it holds is old
        ({"a": Role.STANDBY, "b": Role.STANDBY}, "a", None),
        ({}, "a", None),
    ],
)
def test_the_primary_is_chosen_and_without_one_the_last_one_is_still_read(
    roles: dict[str, Role], home: str | None, expected: str | None
) -> None:
    assert choose_host(roles, home) == expected


@dataclass(eq=False)
class Session:
    """What is asked of a connection here."""

    host: str
    role: Role = Role.PRIMARY
    is_ended: bool = False

    def get_settings(self) -> Any:
        return SimpleNamespace(
            in_hot_standby="on" if self.role is Role.STANDBY else "off",
            default_transaction_read_only="on" if self.role is Role.READ_ONLY else "off",
        )

    def terminate(self) -> None:
        self.is_ended = True


@dataclass
class Net:
    """Each host is in a role, gone (None), or hangs."""

    one: Role | str | None = Role.PRIMARY
    two: Role | str | None = Role.STANDBY
    made: list[Session] = field(default_factory=list)

    async def connect(self, url: str, seconds: float | None) -> Connection:
        name = "one" if "@one" in url else "two"
        state = getattr(self, name)
        if state == "hangs":
            await asyncio.sleep(seconds or 60)
            raise TimeoutError
        if state is None:
            raise ConnectionRefusedError(name)
        self.made.append(Session(name, state))
        return cast(Connection, self.made[-1])

    async def dialled(self, hosts: Hosts) -> Session:
        return cast(Session, await hosts.dial(self.connect))


def test_the_role_is_what_the_server_says_when_a_session_begins() -> None:
    for role in Role:
        assert role_of(cast(Connection, Session("one", role))) is role


async def test_a_host_that_hangs_holds_nobody_up_for_its_whole_time_out() -> None:
    hosts, net = Hosts(BOTH), Net("hangs", Role.PRIMARY)
    began = asyncio.get_running_loop().time()
    assert (await net.dialled(hosts)).host == "two"
    assert asyncio.get_running_loop().time() - began < STAGGER_SECONDS + 0.5
    assert (await net.dialled(hosts)).host == "two"
    assert asyncio.get_running_loop().time() - began < STAGGER_SECONDS + 0.5, "it is known now"


async def test_where_no_host_is_primary_it_is_said_within_the_time_of_one() -> None:
    hosts, net = Hosts(BOTH), Net("hangs", Role.STANDBY)
    async with asyncio.timeout(HOST_SECONDS + 1):
        with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
            await net.dialled(hosts)
    await asyncio.sleep(0)
    assert all(session.is_ended for session in net.made)


async def test_where_no_host_is_there_the_error_says_so() -> None:
    with pytest.raises(ConnectionRefusedError):
        await Net(None, None).dialled(Hosts(BOTH))


async def test_when_another_host_is_primary_all_connections_to_the_one_before_are_ended(news: list[News]) -> None:
    hosts, net = Hosts(BOTH), Net()
    before = [await net.dialled(hosts) for _ in range(3)]
    net.one, net.two = Role.READ_ONLY, Role.STANDBY
    assert (await net.dialled(hosts)).host == "one", "it is still the last word"
    assert news == []
    net.two = Role.PRIMARY
    after = await net.dialled(hosts)
    assert after.host == "two"
    assert not after.is_ended
    assert all(session.is_ended for session in before)
    assert news == [DatabaseMoved("two")]


async def test_who_replaced_another_is_not_left_for_it_when_it_is_away() -> None:
    hosts, net = Hosts(BOTH), Net(Role.READ_ONLY, Role.PRIMARY)
    assert (await net.dialled(hosts)).host == "two"
    net.two = None
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
        await net.dialled(hosts)


async def test_who_gives_up_while_hosts_are_asked_leaves_no_connection_behind() -> None:
    hosts, net = Hosts(BOTH), Net("hangs", Role.STANDBY)
    asking = asyncio.create_task(net.dialled(hosts))
    await asyncio.sleep(STAGGER_SECONDS + 0.1)
    asking.cancel()
    await asyncio.wait([asking])
    await asyncio.sleep(0)
    assert [session.is_ended for session in net.made] == [True]


def test_idle_connections_are_made_anew_once_a_second_at_most() -> None:
    clock, dropped = SimpleNamespace(now=0.0), list[float]()
    hosts = Hosts(ONE, lambda: clock.now)
    hosts.on_leave(lambda: dropped.append(clock.now))
    for _ in range(40):
        was_left = hosts.leave()
        assert was_left == (clock.now in dropped)
        clock.now += LEAVE_SECONDS / 10
    assert len(dropped) == 4

"""Who guesses at an account, and who is kept out of it by that: its owner is not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from graphql_app.domain.account import ADDRESS_PATIENCE, KNOWN_PATIENCE, NAME_PATIENCE, PAIR_PATIENCE
from graphql_app.embedded import Servers
from graphql_app.store.log import retention as housekeeping
from tests.accounts import PASSWORD, REVOKE, add_account, ask, login, refreshed, signed_in
from tests.graphql_client import Office, fresh_database, numbered, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOME, ELSEWHERE, STRANGER = "192.0.2.10", "192.0.2.20", "198.51.100.66"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def behind_proxy(servers: Servers, template: str) -> AsyncIterator[Office]:
    """A server that believes its proxy who asks."""
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, trusted_proxies=["127.0.0.1"])) as office,
    ):
        yield office


@pytest_asyncio.fixture(loop_scope="module")
async def office(behind_proxy: Office) -> Office:
    await behind_proxy.sql("DELETE FROM accounts")
    await behind_proxy.sql("DELETE FROM login_failures")
    await seed(behind_proxy.database)
    await add_account(behind_proxy, "ada", "facilities")
    await numbered(behind_proxy.database)
    return behind_proxy


async def guess(office: Office, address: str, name: str = "ada", times: int = 1) -> list[str]:
    """How each of so many wrong passwords was answered."""
    return [(await login(office, name, f"guess {n}", address=address))["__typename"] for n in range(times)]


async def failed_everywhere(office: Office, count: int, seconds: float = 0) -> None:
    """So many have guessed at a name from wherever, and the next must wait for so long."""
    await office.sql(
        "UPDATE login_failures SET failures = :count, free_at = now() + make_interval(secs => :seconds)"
        " WHERE subject LIKE 'name:%' AND subject NOT LIKE '%@%'",
        count=count,
        seconds=seconds,
    )


# --- strangers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("home", [HOME, None])
async def test_whoever_guesses_a_name_keeps_nobody_out_but_themselves(office: Office, home: str | None) -> None:
    if home is not None:
        assert signed_in(await login(office, "ada", address=home))

    outcomes = await guess(office, STRANGER, times=30)

    assert outcomes == ["Unauthenticated"] * PAIR_PATIENCE.free + ["TooMany"] * (30 - PAIR_PATIENCE.free)
    for _ in range(30):
        assert signed_in(await login(office, "ada", address=home or ELSEWHERE))


async def test_an_owner_is_let_in_from_a_known_address_however_many_guess_from_however_many(office: Office) -> None:
    assert signed_in(await login(office, "ada", address=HOME))
    for number in range(3):
        await guess(office, f"198.51.100.{number}")
    await failed_everywhere(office, 5000, 60)
    assert (await guess(office, "198.51.100.77")) == ["TooMany"]

    for _ in range(30):
        assert signed_in(await login(office, "ada", address=HOME))


async def test_an_owner_is_let_in_from_a_known_address_though_others_try_other_names_there(office: Office) -> None:
    assert signed_in(await login(office, "ada", address=HOME))
    tries = [(await guess(office, HOME, f"n{n}"))[0] for n in range(ADDRESS_PATIENCE.free + 1)]
    assert tries == ["Unauthenticated"] * ADDRESS_PATIENCE.free + ["TooMany"]

    assert signed_in(await login(office, "ada", address=HOME))
    assert await guess(office, HOME, "n0") == ["TooMany"]  # the stranger's wait goes on


async def test_from_everywhere_together_a_name_is_guessed_slowly(office: Office) -> None:
    for number in range(3):
        await guess(office, f"198.51.100.{number}")
    await failed_everywhere(office, NAME_PATIENCE.free)
    assert await guess(office, "198.51.100.9") == ["Unauthenticated"]

    answer = await login(office, "ada", address="198.51.100.10")

    assert answer["__typename"] == "TooMany"
    assert 0 < answer["retryAfter"] <= NAME_PATIENCE.seconds_most


async def test_a_network_of_ipv6_is_one_stranger(office: Office) -> None:
    outcomes = [(await guess(office, f"2001:db8:1:2::{n}"))[0] for n in range(PAIR_PATIENCE.free + 1)]

    assert outcomes == ["Unauthenticated"] * PAIR_PATIENCE.free + ["TooMany"]
    assert await guess(office, "2001:db8:1:3::1") == ["Unauthenticated"]


# --- who is known ----------------------------------------------------------------------------------------------------


async def test_where_the_owner_is_known_a_name_is_guessed_slowly_and_nobody_is_locked_out(office: Office) -> None:
    assert signed_in(await login(office, "ada", address=HOME))

    outcomes = await guess(office, HOME, times=KNOWN_PATIENCE.free + 2)

    assert outcomes == ["Unauthenticated"] * KNOWN_PATIENCE.free + ["TooMany"] * 2
    waiting = (await login(office, "ada", address=HOME))["retryAfter"]
    assert 0 < waiting <= KNOWN_PATIENCE.first_seconds
    await asyncio.sleep(waiting)
    assert signed_in(await login(office, "ada", address=HOME))


@pytest.mark.parametrize("end", ["revoke", "UPDATE accounts SET tokens_from = clock_timestamp() WHERE name = 'ada'"])
async def test_who_came_in_before_all_sessions_were_ended_is_a_stranger_again(office: Office, end: str) -> None:
    thief = await login(office, "ada", address=STRANGER)
    if end == "revoke":
        await ask(office, REVOKE, token=thief["accessToken"])
    else:
        await office.sql(end)

    outcomes = await guess(office, STRANGER, times=PAIR_PATIENCE.free + 1)

    assert outcomes == ["Unauthenticated"] * PAIR_PATIENCE.free + ["TooMany"]


async def test_from_where_nobody_came_for_long_is_forgotten(office: Office) -> None:
    await login(office, "ada", address=HOME)
    await login(office, "ada", address=ELSEWHERE)
    await office.sql("UPDATE login_addresses SET last_at = now() - interval '91 days' WHERE network = :home", home=HOME)

    async with office.database.reading() as connection:
        await housekeeping.forget_logins(connection, office.settings.refresh_seconds, 100)

    assert await office.sql("SELECT string_agg(network, ' ') FROM login_addresses") == ELSEWHERE


async def test_a_name_that_is_nobodys_is_told_the_same_as_one_that_somebody_has(office: Office) -> None:
    await login(office, "ada", address=HOME)

    assert await guess(office, STRANGER, "ada", 8) == await guess(office, ELSEWHERE, "nobody", 8)
    right: dict[str, Any] = await login(office, "nobody", PASSWORD, address=HOME)
    assert right["message"] == "The name or the password is wrong."


# --- refresh tokens --------------------------------------------------------------------------------------------------


async def test_a_refresh_token_used_many_times_at_once_has_one_successor(office: Office) -> None:
    given = await login(office, "ada", address=HOME)

    answers = await asyncio.gather(*(refreshed(office, given) for _ in range(50)))

    assert {one["__typename"] for one in answers} == {"SignedIn"}
    assert len({one["refreshToken"] for one in answers}) == 1
    assert await office.sql("SELECT count(*) FROM refresh_tokens WHERE used_at IS NULL") == 1


async def test_of_two_who_have_a_token_the_second_to_go_on_is_noticed(office: Office) -> None:
    given = await login(office, "ada", address=HOME)
    owner, thief = await refreshed(office, given), await refreshed(office, given)
    assert signed_in(await refreshed(office, owner))
    await office.sql("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")

    assert (await refreshed(office, thief))["__typename"] == "Unauthenticated"
    assert await office.sql("SELECT count(*) FROM login_sessions WHERE revoked_at IS NULL") == 0


async def test_who_comes_again_within_the_grace_is_given_the_newest_however_often_it_was_renewed(
    office: Office,
) -> None:
    first = await login(office, "ada", address=HOME)
    second = await refreshed(office, first)
    third = await refreshed(office, second)

    again = [await refreshed(office, first), await refreshed(office, second)]

    assert {one["refreshToken"] for one in again} == {third["refreshToken"]}
    assert signed_in(await refreshed(office, third))


async def test_a_token_that_a_release_before_this_renewed_is_renewed_again(office: Office) -> None:
    first = await login(office, "ada", address=HOME)
    await refreshed(office, first)
    await office.sql("UPDATE refresh_tokens SET successor = NULL")

    assert signed_in(await refreshed(office, first))


async def test_what_is_kept_opens_no_session(office: Office) -> None:
    first = await login(office, "ada", address=HOME)
    second = await refreshed(office, first)

    kept = await office.sql("SELECT string_agg(encode(successor, 'escape'), ' ') FROM refresh_tokens")

    assert second["refreshToken"] not in kept
    assert len(kept) > 43

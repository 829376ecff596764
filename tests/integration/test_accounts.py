"""Local accounts: logging in, staying logged in, logging out, and who has to wait."""

import asyncio
import time
from typing import Any

import jwt
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from graphql_app.domain.account import ADDRESS_PATIENCE, DEMO_PASSWORD, PAIR_PATIENCE, SignIn
from graphql_app.domain.errors import Unavailable
from graphql_app.embedded import Servers
from graphql_app.live.sessions.accounts import Accounts
from graphql_app.services.identity import passwords as passwords_module
from graphql_app.services.identity.passwords import Passwords
from graphql_app.store.log import retention as housekeeping
from graphql_app.testing import new_key
from tests.accounts import (
    LOGIN,
    LOGOUT,
    ME,
    PASSWORD,
    REFRESH,
    REVOKE,
    add_account,
    ask,
    login,
    refreshed,
    signed_in,
)
from tests.graphql_client import WEI_KEY, Office, leaderless, numbered, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def office(server: Office) -> Office:
    await server.sql("DELETE FROM accounts")
    await server.sql("DELETE FROM login_failures")
    await seed(server.database)
    await add_account(server, "ada", "facilities")
    await add_account(server, "Wei", "employee", WEI_KEY)
    await numbered(server.database)
    return server


async def me(office: Office, token: str | None) -> Any:
    return (await ask(office, ME, token=token))["data"]["me"]


async def refusal(office: Office, token: str | None, query: str = ME) -> str:
    """The code of the one error of a request."""
    answer = await ask(office, query, token=token)
    assert len(answer["errors"]) == 1
    return str(answer["errors"][0]["extensions"]["code"])


async def until_refused(office: Office, token: str) -> float:
    """Waits until the token is refused. Returns how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(5):
        while "errors" not in await ask(office, ME, token=token):  # noqa: ASYNC110  # the server is asked
            await asyncio.sleep(0.01)
    return time.monotonic() - began


# --- logging in ------------------------------------------------------------------------------------------------------


async def test_who_knows_the_password_is_given_tokens(office: Office) -> None:
    answer = await login(office, "ada")

    assert answer["__typename"] == "SignedIn"
    assert answer["viewer"]["roles"] == ["facilities"]
    assert await me(office, answer["accessToken"]) == {"subject": "ada", "roles": ["facilities"], "employee": None}


async def test_an_account_of_an_employee_says_so(office: Office) -> None:
    answer = await login(office, "wei")

    assert answer["viewer"] == {"subject": "Wei", "roles": ["employee"], "employee": {"name": "张伟"}}


async def test_the_access_token_names_the_login_and_leaves_the_role_to_the_account(office: Office) -> None:
    answer = await login(office, "ada")

    claims = jwt.decode(answer["accessToken"], options={"verify_signature": False})
    assert claims.keys() == {"iss", "aud", "sub", "iat", "exp", "acc", "sid", "auth_time"}
    assert claims["exp"] - claims["iat"] == office.settings.access_seconds
    # A number would tell who holds the token how many accounts there are.
    assert not str(claims["acc"]).isdigit()


@pytest.mark.parametrize(("name", "password"), [("ada", "not it at all"), ("nobody", PASSWORD), ("", ""), ("ada", "")])
async def test_a_wrong_name_and_a_wrong_password_are_told_in_the_same_words(
    office: Office, name: str, password: str
) -> None:
    answer = await login(office, name, password)

    assert answer == {
        "__typename": "Unauthenticated",
        "code": "UNAUTHENTICATED",
        "message": "The name or the password is wrong.",
    }


async def test_a_disabled_account_is_told_nothing_else(office: Office) -> None:
    await office.sql("UPDATE accounts SET disabled = true WHERE name = 'ada'")

    assert (await login(office, "ada"))["message"] == "The name or the password is wrong."


async def test_where_another_service_issues_the_tokens_nobody_logs_in(servers: Servers, office: Office) -> None:
    assert office.settings.database_url is not None
    key = load_pem_private_key(new_key().encode(), None).public_key()
    public = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    settings = settings_for(office.settings.database_url, servers, token_private_key=None, token_public_key=public)
    async with running_office(settings) as verifying:
        response = await verifying.client.post(
            "/graphql", json={"query": LOGIN, "variables": {"name": "ada", "password": PASSWORD}}
        )
        assert response.json()["data"]["login"]["__typename"] == "Forbidden"
        response = await verifying.client.post("/graphql", json={"query": REFRESH, "variables": {"token": "x"}})
        assert response.json()["data"]["refreshToken"]["__typename"] == "Forbidden"


# --- without a token -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        LOGOUT,
        REVOKE,
        "{ departments { name } }",
        "{ __schema { types { name } } }",
        "query login { departments { name } }",
        "mutation { login(name: " + '"a", password: "b") { __typename } logout { __typename } }',
        "mutation { ...M } fragment M on Mutation { logout { __typename } }",
        "mutation { login }",
    ],
)
async def test_nothing_but_logging_in_is_possible_without_a_token(office: Office, query: str) -> None:
    assert await refusal(office, None, query) == "UNAUTHENTICATED"
    assert await refusal(office, "not.a.token", query) == "UNAUTHENTICATED"


async def test_a_token_that_has_expired_does_not_keep_from_getting_another(office: Office) -> None:
    given = await login(office, "ada")
    expired = office.identify.issue("ada", ["admin"], seconds=-60)

    answer = await ask(office, REFRESH, {"token": given["refreshToken"]}, token=expired)

    assert signed_in(answer["data"]["refreshToken"])


# --- staying logged in -----------------------------------------------------------------------------------------------


async def test_a_refresh_token_is_exchanged_for_the_next(office: Office) -> None:
    first = await login(office, "ada")
    second = await refreshed(office, first)
    third = await refreshed(office, second)

    assert len({one["refreshToken"] for one in (first, second, third)}) == 3
    assert await me(office, third["accessToken"]) == await me(office, first["accessToken"])
    assert await office.sql("SELECT count(*) FROM login_sessions WHERE revoked_at IS NULL") == 1


async def test_two_tabs_that_renew_at_once_both_go_on(office: Office) -> None:
    given = await login(office, "ada")

    tabs = await asyncio.gather(*(refreshed(office, given) for _ in range(2)))

    for tab in tabs:
        assert signed_in(tab)
        assert signed_in(await refreshed(office, tab))


async def test_a_refresh_token_that_is_used_again_later_ends_its_family(office: Office) -> None:
    first = await login(office, "ada")
    second = await refreshed(office, first)
    other = await login(office, "ada")
    await office.sql("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'")

    stolen = await refreshed(office, first)

    assert stolen["__typename"] == "Unauthenticated"
    assert (await refreshed(office, second))["__typename"] == "Unauthenticated"
    await until_refused(office, second["accessToken"])
    assert signed_in(await refreshed(office, other))  # another family


async def test_what_was_exchanged_is_given_though_nobody_knows_at_present_who_is_logged_in(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else whoever tries again, as told, looks like a thief."""
    first = await login(office, "ada")

    def unknown(_: Accounts, __: SignIn) -> None:
        raise Unavailable("not heard of the feed")

    with monkeypatch.context() as cut_off:
        cut_off.setattr(Accounts, "of", unknown)
        second = await refreshed(office, first)
        another = await login(office, "ada")
        assert await refusal(office, second["accessToken"]) == "UNAVAILABLE"

    assert signed_in(second)
    assert signed_in(another)
    assert await me(office, second["accessToken"]) == await me(office, first["accessToken"])


async def test_who_is_let_in_again_has_to_log_in_again(office: Office) -> None:
    stolen = await login(office, "ada")
    await office.sql("UPDATE accounts SET disabled = true WHERE name = 'ada'")
    await office.sql("UPDATE accounts SET disabled = false WHERE name = 'ada'")

    await until_refused(office, stolen["accessToken"])
    assert (await refreshed(office, stolen))["__typename"] == "Unauthenticated"
    assert signed_in(await login(office, "ada"))


async def test_a_login_that_is_not_used_is_over_in_time(office: Office) -> None:
    given = await login(office, "ada")
    await office.sql("UPDATE refresh_tokens SET expires_at = now()")

    assert (await refreshed(office, given))["__typename"] == "Unauthenticated"


async def test_no_refresh_token_outlives_its_session(office: Office) -> None:
    given = await login(office, "ada")
    left = office.settings.session_seconds - 60
    await office.sql(f"UPDATE login_sessions SET created_at = created_at - interval '{left} seconds'")
    await office.sql("UPDATE accounts SET tokens_from = '2020-01-01'")

    await refreshed(office, given)

    assert await office.sql(
        "SELECT max(expires_at) - now() < interval '61 seconds' FROM refresh_tokens WHERE used_at IS NULL"
    )


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "\u0000", "令牌"])
async def test_what_is_no_refresh_token_is_refused(office: Office, token: str) -> None:
    answer = await ask(office, REFRESH, {"token": token})

    assert answer["data"]["refreshToken"]["__typename"] == "Unauthenticated"


async def test_of_tokens_and_passwords_only_hashes_are_kept(office: Office) -> None:
    given = await login(office, "ada")

    kept = await office.sql(
        "SELECT string_agg(t::text, ' ') FROM (SELECT to_jsonb(r) t FROM refresh_tokens r"
        " UNION ALL SELECT to_jsonb(a) FROM accounts a UNION ALL SELECT to_jsonb(l) FROM change_log l) kept"
    )
    assert given["refreshToken"] not in kept
    assert given["accessToken"] not in kept
    assert PASSWORD not in kept


async def test_the_log_has_no_hash_and_no_address(office: Office) -> None:
    await login(office, "ada")

    logged = await office.sql(
        "SELECT string_agg(concat(before, after), ' ') FROM change_log WHERE entity IN ('account', 'login_session')"
    )
    assert '"ada"' in logged
    for secret in ("argon2", "password", "address", "user_agent"):
        assert secret not in logged


# --- logging out -----------------------------------------------------------------------------------------------------


async def test_who_logs_out_is_out(office: Office) -> None:
    given, other = await login(office, "ada"), await login(office, "ada")

    answer = await ask(office, LOGOUT, token=given["accessToken"])

    assert answer["data"]["logout"] == {"__typename": "SignedOut", "account": "ada"}
    assert await until_refused(office, given["accessToken"]) < 2
    assert (await refreshed(office, given))["__typename"] == "Unauthenticated"
    assert (await me(office, other["accessToken"]))["subject"] == "ada"


async def test_a_token_that_comes_from_no_login_has_nothing_to_log_out_of(office: Office) -> None:
    for query in (LOGOUT, REVOKE):
        (answer,) = (await office.data("admin", query)).values()
        assert answer["__typename"] == "InvalidInput"


async def test_all_sessions_of_ones_own_end_at_once(office: Office) -> None:
    sessions = [await login(office, "ada") for _ in range(3)]
    wei = await login(office, "wei")

    answer = await ask(office, REVOKE, token=sessions[0]["accessToken"])

    assert answer["data"]["revokeSessions"] == {"__typename": "SessionsRevoked", "count": 3}
    for one in sessions:
        assert await until_refused(office, one["accessToken"]) < 2
        assert (await refreshed(office, one))["__typename"] == "Unauthenticated"
    assert (await me(office, wei["accessToken"]))["subject"] == "Wei"
    assert signed_in(await login(office, "ada"))  # and who knows the password comes in again


async def test_only_administrators_end_the_sessions_of_others(office: Office) -> None:
    ada = await login(office, "ada")

    for role, outcome in {"hr": "Forbidden", "admin": "SessionsRevoked"}.items():
        answer = await office.data(role, REVOKE, {"account": "ADA"})
        assert answer["revokeSessions"]["__typename"] == outcome
    await until_refused(office, ada["accessToken"])
    assert (await office.data("admin", REVOKE, {"account": "nobody"}))["revokeSessions"]["__typename"] == "NotFound"


async def test_a_name_that_is_only_much_like_ones_own_is_another_ones(office: Office) -> None:
    await add_account(office, "strasse", "hr")
    await add_account(office, "straße", "visitor")
    await numbered(office.database)
    other, own = await login(office, "strasse"), await login(office, "straße")

    answer = await ask(office, REVOKE, {"account": "strasse"}, token=own["accessToken"])

    assert answer["data"]["revokeSessions"]["__typename"] == "Forbidden"
    assert (await refreshed(office, other))["__typename"] == "SignedIn"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE accounts SET disabled = true WHERE name = 'ada'",
        "DELETE FROM accounts WHERE name = 'ada'",
        "UPDATE accounts SET tokens_from = clock_timestamp() WHERE name = 'ada'",
        "UPDATE login_sessions SET revoked_at = now()",
        "DELETE FROM login_sessions",
    ],
)
async def test_what_somebody_changes_in_psql_counts_too(office: Office, change: str) -> None:
    ada = await login(office, "ada")

    await office.sql(change)

    assert await until_refused(office, ada["accessToken"]) < 2
    assert (await refreshed(office, ada))["__typename"] == "Unauthenticated"


async def test_a_token_counts_for_what_the_account_is_now(office: Office) -> None:
    token = (await login(office, "ada"))["accessToken"]
    assert (await me(office, token))["roles"] == ["facilities"]

    await office.sql("UPDATE accounts SET role = 'visitor' WHERE name = 'ada'")

    async with asyncio.timeout(2):
        while (await me(office, token))["roles"] != ["visitor"]:  # noqa: ASYNC110  # the server is asked
            await asyncio.sleep(0.01)


async def test_where_the_feed_is_far_behind_who_is_logged_in_goes_on_and_who_is_logged_out_is_out(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("SILENT_SECONDS_MOST", 1.0), ("AHEAD_SECONDS", 0.3), ("LOOK_SECONDS", 0.1)):
        monkeypatch.setattr(f"graphql_app.live.sessions.accounts.{name}", seconds)
    ada, wei, gone = [(await login(office, name))["accessToken"] for name in ("ada", "Wei", "Wei")]
    assert (await me(office, gone))["subject"] == "Wei"

    async with leaderless(office.database.url):
        await office.sql("UPDATE workstations SET notes = 'nobody numbers this' WHERE name = 'A-01'")
        for _ in range(30):  # three times as long as it may not know
            assert (await me(office, ada))["roles"] == ["facilities"]
            await asyncio.sleep(0.1)
        assert await office.sql("SELECT count(*) FROM change_log WHERE revision IS NULL") > 0

        for change, token in (
            ("UPDATE login_sessions SET revoked_at = now() WHERE account_id = (SELECT min(id) FROM accounts)", ada),
            ("DELETE FROM login_sessions WHERE id = (SELECT max(id) FROM login_sessions)", gone),
            ("DELETE FROM accounts WHERE name = 'Wei'", wei),
        ):
            await office.sql(change)
            assert await until_refused(office, token) < 1
            assert await refusal(office, token) == "UNAUTHENTICATED"
        await add_account(office, "new", "visitor")
        assert (await me(office, (await login(office, "new"))["accessToken"]))["roles"] == ["visitor"]

    async with asyncio.timeout(10):  # the feed brings all of it, beginning with what was before
        while await office.sql("SELECT count(*) FROM change_log WHERE revision IS NULL"):
            assert {await refusal(office, token) for token in (ada, gone, wei)} == {"UNAUTHENTICATED"}


# --- who has to wait -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ada", "nobody"])
async def test_after_a_few_failures_a_name_has_to_wait_whether_it_exists_or_not(office: Office, name: str) -> None:
    outcomes = [(await login(office, name, "not it at all"))["__typename"] for _ in range(PAIR_PATIENCE.free + 2)]

    assert outcomes == ["Unauthenticated"] * PAIR_PATIENCE.free + ["TooMany"] * 2
    # Neither does the right password help now: that would tell that it is right.
    answer = await login(office, name, PASSWORD)
    assert answer["__typename"] == "TooMany"
    assert 0 < answer["retryAfter"] <= PAIR_PATIENCE.first_seconds


async def test_a_name_waits_under_every_spelling_that_the_database_takes_for_it(office: Office) -> None:
    for _ in range(PAIR_PATIENCE.free):
        await login(office, "wei", "not it at all")

    assert [(await login(office, name))["__typename"] for name in ("WEI", "we\u0130")] == ["TooMany"] * 2


async def test_the_wait_grows_and_has_an_end(office: Office) -> None:
    for failures, seconds in ((PAIR_PATIENCE.free, 4), (PAIR_PATIENCE.free + 3, 32), (50, PAIR_PATIENCE.seconds_most)):
        await office.sql("DELETE FROM login_failures")
        await login(office, "ada", "not it at all")
        await office.sql(
            "UPDATE login_failures SET failures = :failures WHERE subject LIKE 'name:%'", failures=failures
        )
        await login(office, "ada", "not it at all")

        waiting = (await login(office, "ada"))["retryAfter"]
        assert seconds - 2 < waiting <= seconds


async def test_what_failed_long_ago_makes_nobody_wait(office: Office) -> None:
    await login(office, "ada", "not it at all")
    await office.sql("UPDATE login_failures SET failures = 30, last_at = now() - interval '2 hours'")

    assert (await login(office, "ada", "not it at all"))["__typename"] == "Unauthenticated"
    assert signed_in(await login(office, "ada"))


async def test_an_address_has_to_wait_whichever_names_it_tries(office: Office) -> None:
    outcomes = [(await login(office, f"n{i}", "not it"))["__typename"] for i in range(ADDRESS_PATIENCE.free + 1)]

    assert outcomes == ["Unauthenticated"] * ADDRESS_PATIENCE.free + ["TooMany"]


async def test_an_address_that_has_to_wait_makes_no_name_wait(office: Office) -> None:
    for number in range(ADDRESS_PATIENCE.free + 1):
        await login(office, f"n{number}", "not it at all")
    outcomes = [(await login(office, "ada", "not it at all"))["__typename"] for _ in range(PAIR_PATIENCE.free + 1)]
    assert outcomes == ["TooMany"] * (PAIR_PATIENCE.free + 1)

    await office.sql("DELETE FROM login_failures WHERE subject LIKE 'address:%'")  # ada is somewhere else
    assert signed_in(await login(office, "ada"))


async def test_who_is_sent_away_because_too_many_wait_has_not_failed(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(passwords_module, "WAITING_MOST", 0)
        assert (await login(office, "ada"))["__typename"] == "TooMany"

    assert await office.sql("SELECT count(*) FROM login_failures") == 0


async def test_who_gets_in_is_forgiven(office: Office) -> None:
    for _ in range(3):
        for _ in range(PAIR_PATIENCE.free - 1):
            await login(office, "ada", "not it at all")
        assert signed_in(await login(office, "ada"))

    # But not for the address: who has one account may not try all others from there.
    failures = await office.sql("SELECT failures FROM login_failures WHERE subject = 'address:127.0.0.1'")
    assert failures == 3 * (PAIR_PATIENCE.free - 1)


async def test_many_logins_in_one_document_are_counted_one_by_one(office: Office) -> None:
    aliases = [f'a{i}: login(name: "ada", password: "guess {i}") {{ __typename }}' for i in range(20)]

    answer = await ask(office, f"mutation {{ {' '.join(aliases)} }}")

    outcomes = [one["__typename"] for one in answer["data"].values()]
    assert outcomes == ["Unauthenticated"] * PAIR_PATIENCE.free + ["TooMany"] * (20 - PAIR_PATIENCE.free)


async def test_logins_at_the_same_moment_are_counted_one_by_one(office: Office) -> None:
    answers = await asyncio.gather(*(login(office, "ada", "not it at all") for _ in range(20)))

    outcomes = [one["__typename"] for one in answers]
    assert outcomes.count("Unauthenticated") == PAIR_PATIENCE.free
    assert outcomes.count("TooMany") == 20 - PAIR_PATIENCE.free


async def test_a_login_does_not_show_up_under_a_name_in_the_clear(office: Office) -> None:
    await ask(office, LOGIN, {"name": "my secret password", "password": "x"})

    assert "secret" not in await office.sql("SELECT string_agg(subject, ' ') FROM login_failures")


# --- forgetting ------------------------------------------------------------------------------------------------------


async def test_what_is_left_of_old_logins_is_forgotten_and_the_rest_is_kept(office: Office) -> None:
    old, kept = await login(office, "ada"), await login(office, "ada")
    kept = await refreshed(office, kept)
    await login(office, "nobody", "not it at all")
    await office.sql(
        "UPDATE login_sessions SET last_used_at = now() - interval '16 days'"
        " WHERE id = (SELECT min(id) FROM login_sessions)"
    )
    await office.sql("UPDATE login_failures SET last_at = now() - interval '2 hours'")

    async with office.database.reading() as connection:
        assert await housekeeping.forget_logins(connection, office.settings.refresh_seconds, 100) == 1

    assert (await refreshed(office, old))["__typename"] == "Unauthenticated"
    assert await office.sql("SELECT count(*) FROM refresh_tokens") == 2  # the used one too, until it expires
    assert await office.sql("SELECT count(*) FROM login_failures") == 0
    assert signed_in(await refreshed(office, kept))


async def test_a_demo_password_lets_nobody_in_where_others_can_come_in(servers: Servers, office: Office) -> None:
    known = await Passwords().hashed(DEMO_PASSWORD)
    await office.sql("UPDATE accounts SET password_hash = :known WHERE name = 'ada'", known=known)
    assert signed_in(await login(office, "ada", DEMO_PASSWORD))

    assert office.settings.database_url is not None
    async with running_office(settings_for(office.settings.database_url, servers, host="0.0.0.0")) as exposed:
        assert (await login(exposed, "ada", DEMO_PASSWORD))["__typename"] == "Unauthenticated"

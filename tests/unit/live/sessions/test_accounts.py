"""Accounts in memory: who is let in, by what the feed has told so far."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import pytest

from graphql_app.domain.account import Account, LoginSession, SignIn
from graphql_app.domain.change import Change, Head
from graphql_app.domain.errors import Refusal, Unauthenticated, Unavailable
from graphql_app.domain.seal import Numbers
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.live.sessions.accounts import AHEAD_SECONDS, SILENT_SECONDS_MOST, Accounts, NotHeardOf
from graphql_app.store.accounts.accounts import AccountsSnapshot

SNAPSHOT = "graphql_app.store.accounts.accounts.accounts_snapshot"  # what is read of the database
BEYOND = "graphql_app.store.accounts.accounts.beyond"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HEAD = Head(UUID(int=7), 0)
ADA = Account(1, "ada", "employee", False, NOW - timedelta(hours=1), UUID(int=5), "E-1", 1)
SESSION = LoginSession(1, UUID(int=1), 1, NOW, None)
LOGIN = SignIn(1, SESSION.key, NOW)


class Stand:
    """What a test has of the accounts: a hub to tell them by, and clocks that stand still."""

    def __init__(self) -> None:
        self.now = NOW.timestamp() + 60
        self.hub = Hub(100)
        staleness = Staleness(lambda: self.now)
        self.staleness = staleness
        self.accounts = Accounts(
            cast(Any, self),
            self.hub,
            staleness,
            Numbers("a secret of thirty-two characters", "account"),
            access_seconds=600,
            clock=lambda: self.now,
            monotonic=lambda: self.now,
        )
        self.told: list[str] = []
        self._revision = 0

    def snapshot(self) -> Any:
        class Nothing:
            async def __aenter__(self) -> None: ...
            async def __aexit__(self, *_: object) -> None: ...

        return Nothing()

    def deliver(self, entity: str, key: int, before: Any, after: Any) -> None:
        self._revision += 1
        change = Change(self._revision, entity, key, NOW, before, after)
        self.hub.deliver([change], Head(HEAD.epoch, self._revision))

    def outcome(self, login: SignIn = LOGIN) -> Account | type[Refusal]:
        try:
            return self.accounts.of(login)
        except Refusal as refusal:
            return type(refusal)

    def watch(self) -> None:
        self.accounts.watch(LOGIN, lambda: self.told.append(str(self.outcome())))


@pytest.fixture
async def stand(monkeypatch: pytest.MonkeyPatch) -> Stand:
    async def accounts_snapshot(_: object, seconds: float) -> AccountsSnapshot:
        return AccountsSnapshot([ADA], frozenset({UUID(int=9)}))

    monkeypatch.setattr(SNAPSHOT, accounts_snapshot)
    stand = Stand()
    stand.staleness.heard()
    stand.hub.restart(HEAD)
    stand.staleness.heard()
    assert stand.outcome() is Unavailable  # until they are loaded
    await stand.accounts._load()
    assert stand.outcome() is Unavailable  # what was begun anew is read anew
    stand.accounts._to_load.clear()
    await stand.accounts._load()
    return stand


async def test_who_is_logged_in_is_known(stand: Stand) -> None:
    assert stand.outcome() == ADA


@pytest.mark.parametrize(
    "login",
    [replace(LOGIN, account_id=2), replace(LOGIN, session=UUID(int=9)), replace(LOGIN, at=NOW - timedelta(days=1))],
)
async def test_who_is_not_is_refused(stand: Stand, login: SignIn) -> None:
    assert stand.outcome(login) is Unauthenticated


async def test_a_login_to_an_account_that_was_made_just_now_is_waited_for(stand: Stand) -> None:
    fresh = SignIn(2, UUID(int=2), datetime.fromtimestamp(stand.now, UTC))
    assert stand.outcome(fresh) is NotHeardOf

    arriving = asyncio.create_task(stand.accounts.arrival(fresh))
    await asyncio.sleep(0)
    stand.deliver("account", 2, None, replace(ADA, id=2, tokens_from=datetime.fromtimestamp(stand.now, UTC)))
    await arriving

    assert isinstance(stand.outcome(fresh), Account)


async def test_a_login_to_an_account_that_was_made_while_the_feed_is_silent_is_not_called_over(stand: Stand) -> None:
    meanwhile = SignIn(2, UUID(int=2), datetime.fromtimestamp(stand.now, UTC))

    stand.now += SILENT_SECONDS_MOST
    assert stand.outcome(meanwhile) is NotHeardOf

    stand.staleness.heard()
    assert stand.outcome(meanwhile) is Unauthenticated


@pytest.mark.parametrize(
    ("entity", "before", "after"),
    [
        ("account", ADA, replace(ADA, is_disabled=True, version=2)),
        ("account", ADA, replace(ADA, tokens_from=NOW + timedelta(seconds=1), version=2)),
        ("account", ADA, None),
        ("login_session", SESSION, replace(SESSION, revoked_at=NOW)),
        ("login_session", SESSION, None),
    ],
)
async def test_what_ends_a_login_ends_it_at_that_change(stand: Stand, entity: str, before: Any, after: Any) -> None:
    stand.watch()

    stand.deliver(entity, 1, before, after)

    assert stand.outcome() is Unauthenticated
    assert stand.told == [str(Unauthenticated)]


async def test_a_new_session_and_another_account_tell_nobody_anything(stand: Stand) -> None:
    stand.watch()

    stand.deliver("login_session", 2, None, replace(SESSION, id=2, key=UUID(int=2)))
    stand.deliver("account", 2, None, replace(ADA, id=2, name="bob"))

    assert stand.told == []


async def test_an_older_state_never_replaces_a_newer_one(stand: Stand) -> None:
    newest = replace(ADA, role="visitor", version=3)
    stand.accounts.learn(newest)

    stand.deliver("account", 1, ADA, replace(ADA, role="admin", version=2))

    assert stand.outcome() == newest


async def test_the_number_of_an_employee_is_followed(stand: Stand) -> None:
    image = {"public_key": str(UUID(int=5)), "employee_number": "E-1"}

    stand.deliver("employee", 3, image, {**image, "employee_number": "E-2"})

    assert stand.outcome() == replace(ADA, employee_number="E-2")


async def test_who_has_not_heard_the_feed_for_long_lets_nobody_in(stand: Stand) -> None:
    stand.now += SILENT_SECONDS_MOST
    assert stand.outcome() == ADA

    stand.now += 0.1
    assert stand.outcome() is Unavailable

    stand.staleness.heard()
    assert stand.outcome() == ADA


# --- read ahead of the feed ------------------------------------------------------------------------------------------


@pytest.fixture
def log(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> list[Change[Any]]:
    """What the feed has not brought yet."""
    unheard: list[Change[Any]] = []

    async def beyond(_: object, here: Head) -> list[Change[Any]]:
        stand.now += 1  # it takes a while
        return [change for change in unheard if not change.revision or change.revision > here.revision]

    monkeypatch.setattr(BEYOND, beyond)
    return unheard


def unnumbered(entity: str, before: Any, after: Any) -> Change[Any]:
    return Change(0, entity, 1, NOW, before, after)


async def test_who_is_logged_in_goes_on_where_the_log_is_read_ahead(stand: Stand, log: list[Change[Any]]) -> None:
    stand.now += SILENT_SECONDS_MOST + 1
    assert stand.outcome() is Unavailable

    await stand.accounts._read_ahead()
    assert stand.outcome() == ADA

    stand.now += SILENT_SECONDS_MOST - 1  # counted from before it was read
    assert stand.outcome() == ADA
    stand.now += 0.1
    assert stand.outcome() is Unavailable


async def test_it_is_read_ahead_only_when_the_feed_is_long_in_coming(stand: Stand, log: list[Change[Any]]) -> None:
    assert not stand.accounts._is_behind
    stand.now += AHEAD_SECONDS + 0.1
    assert stand.accounts._is_behind

    await stand.accounts._read_ahead()
    assert not stand.accounts._is_behind


@pytest.mark.parametrize(
    ("entity", "before", "after"),
    [
        ("account", ADA, replace(ADA, is_disabled=True, version=2)),
        ("account", ADA, None),
        ("login_session", SESSION, replace(SESSION, revoked_at=NOW)),
        ("login_session", SESSION, None),
    ],
)
async def test_a_login_that_the_log_says_is_over_is_over(
    stand: Stand, log: list[Change[Any]], entity: str, before: Any, after: Any
) -> None:
    stand.watch()
    log += [
        unnumbered("account", ADA, replace(ADA, role="visitor", version=2)),
        unnumbered(entity, before, after if entity == "login_session" or after is None else replace(after, version=3)),
    ]

    await stand.accounts._read_ahead()

    assert stand.outcome() is Unauthenticated
    assert str(Unauthenticated) in stand.told

    for change in log:  # the feed brings the same, one after the other
        stand.deliver(change.entity, change.key, change.before, change.after)
        assert stand.outcome() is Unauthenticated
    await stand.accounts._read_ahead()  # an answer of the database that has been long on its way
    stand.accounts.learn(replace(ADA, version=2))
    assert stand.outcome() is Unauthenticated


async def test_where_the_log_does_not_say_nothing_is_known_of_it(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def another_history(*_: object) -> None:
        return None

    monkeypatch.setattr(BEYOND, another_history)
    stand.now += SILENT_SECONDS_MOST + 1

    await stand.accounts._read_ahead()

    assert stand.outcome() is Unavailable


async def test_what_was_read_ahead_counts_for_nothing_when_all_begins_anew(
    stand: Stand, log: list[Change[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def beyond(*_: object) -> list[Change[Any]]:
        other = Head(UUID(int=8), 0)
        stand.staleness.restarted(other)
        stand.hub.restart(other)
        return []

    await stand.accounts._read_ahead()
    monkeypatch.setattr(BEYOND, beyond)
    await stand.accounts._read_ahead()
    stand.accounts._to_load.clear()
    await stand.accounts._load()

    assert stand.outcome() is Unavailable  # until the feed is heard, or the log is read ahead of it


async def test_after_another_history_who_is_open_is_looked_at_again_and_once_more_when_accounts_are_known(
    stand: Stand,
) -> None:
    stand.watch()
    other = Head(UUID(int=8), 0)
    stand.staleness.restarted(other)
    stand.hub.restart(other)
    assert stand.told == [str(Unavailable)]

    stand.staleness.heard()
    stand.accounts._to_load.clear()
    await stand.accounts._load()
    assert stand.told == [str(Unavailable), str(ADA)]


# --- loading and forgetting ------------------------------------------------------------------------------------------


async def test_what_changes_while_they_are_loaded_is_not_lost(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    async def accounts_snapshot(_: object, seconds: float) -> AccountsSnapshot:
        stand.deliver("login_session", 1, SESSION, replace(SESSION, revoked_at=NOW))
        return AccountsSnapshot([ADA], frozenset())

    monkeypatch.setattr(SNAPSHOT, accounts_snapshot)
    stand.hub.restart(HEAD)
    stand.staleness.heard()
    stand.accounts._to_load.clear()

    await stand.accounts._load()

    assert stand.outcome() is Unauthenticated


async def test_a_revoked_session_is_forgotten_once_none_of_its_tokens_is_valid(stand: Stand) -> None:
    stand.deliver("login_session", 1, SESSION, replace(SESSION, revoked_at=NOW))
    for seconds, remembered in ((600, 2), (61, 0)):
        stand.now += seconds
        stand.accounts._tidy()
        assert len(stand.accounts._revoked) == remembered


async def test_who_watches_no_more_is_not_told(stand: Stand) -> None:
    stop = stand.accounts.watch(LOGIN, lambda: stand.told.append("told"))
    stop()
    stop()

    stand.deliver("account", 1, ADA, None)

    assert stand.told == []
    assert not stand.accounts._watchers

"""Who follows and may see other things by now: nothing of the old view reaches them, nothing of the new is missed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from graphql_app.domain.access import Viewer
from graphql_app.domain.account import SignIn
from graphql_app.domain.errors import Unauthenticated
from graphql_app.services.following.cohorts import Payload
from graphql_app.services.following.inbox import Inbox
from graphql_app.services.following.reauthorisation import MAY_SEE_OTHER, Leave, reauthorised
from tests.clock import settle
from tests.examples import viewer

SIGN_IN = cast(SignIn, object())
ADMIN = replace(viewer("admin"), sign_in=SIGN_IN)
VISITOR = replace(viewer("visitor"), sign_in=SIGN_IN)


class Accounts:
    """Says who the viewer is by now, and when to ask."""

    def __init__(self) -> None:
        self.now: Viewer | Unauthenticated = ADMIN
        self.watchers: list[Callable[[], None]] = []

    def present(self, _: Viewer) -> Viewer:
        if isinstance(self.now, Unauthenticated):
            raise self.now
        return self.now

    def watch(self, _: Viewer, changed: Callable[[], None]) -> Callable[[], None]:
        self.watchers.append(changed)
        return lambda: self.watchers.remove(changed)

    def become(self, now: Viewer | Unauthenticated) -> None:
        self.now = now
        for changed in list(self.watchers):
            changed()


class Places:
    """Who joined as whom and why, and who left."""

    def __init__(self) -> None:
        self.joined: list[tuple[Viewer, str | None]] = []
        self.present: list[Viewer] = []
        self.opens = asyncio.Event()
        self.opens.set()

    async def join(self, viewer: Viewer, resync: str | None) -> Leave:
        self.joined.append((viewer, resync))
        await self.opens.wait()
        self.present.append(viewer)
        return lambda: self.present.remove(viewer)


def payload(text: bytes) -> Payload:
    return Payload(text, None)


def joining(accounts: Accounts, places: Places, inbox: Inbox, viewer: Viewer = ADMIN) -> "asyncio.Task[Leave]":
    return asyncio.create_task(reauthorised(cast(Any, accounts), viewer, places.join, inbox))


async def test_what_was_offered_before_a_role_fell_is_not_sent() -> None:
    accounts, places, inbox = Accounts(), Places(), Inbox()
    leave = await joining(accounts, places, inbox)
    inbox.offer(payload(b"for an administrator"))

    accounts.become(VISITOR)
    await settle()
    inbox.offer(payload(b"for a visitor"))

    assert places.joined == [(ADMIN, None), (VISITOR, MAY_SEE_OTHER)]
    assert places.present == [VISITOR]
    assert (await inbox.take(5)).body == b"for a visitor"
    leave()
    assert places.present == []


async def test_a_role_that_falls_between_the_look_up_and_the_join_is_noticed() -> None:
    accounts, places, inbox = Accounts(), Places(), Inbox()
    places.opens.clear()
    begun = joining(accounts, places, inbox)
    await settle()
    accounts.become(VISITOR)
    places.opens.set()

    leave = await begun

    assert places.joined == [(ADMIN, None), (VISITOR, MAY_SEE_OTHER)]
    assert places.present == [VISITOR]
    leave()


async def test_what_changes_nothing_of_what_is_seen_moves_nobody() -> None:
    accounts, places, inbox = Accounts(), Places(), Inbox()
    leave = await joining(accounts, places, inbox)
    inbox.offer(payload(b"kept"))

    accounts.become(replace(ADMIN, employee_number="E-9"))
    await settle()

    assert places.joined == [(ADMIN, None)]
    assert (await inbox.take(5)).body == b"kept"
    leave()


async def test_whose_login_is_over_has_left_and_is_told_so_and_nothing_else() -> None:
    accounts, places, inbox = Accounts(), Places(), Inbox()
    await joining(accounts, places, inbox)
    inbox.offer(payload(b"for an administrator"))

    accounts.become(Unauthenticated("over"))

    assert (places.present, accounts.watchers) == ([], [])
    with pytest.raises(Unauthenticated):
        await inbox.take(5)


async def test_who_leaves_while_moving_is_nowhere_in_the_end() -> None:
    accounts, places, inbox = Accounts(), Places(), Inbox()
    leave = await joining(accounts, places, inbox)
    places.opens.clear()
    accounts.become(VISITOR)
    await settle()

    leave()
    places.opens.set()
    await settle()

    assert (places.present, accounts.watchers) == ([], [])


async def test_who_did_not_log_in_here_is_looked_at_once() -> None:
    accounts, places = Accounts(), Places()
    leave = await joining(accounts, places, Inbox(), viewer("admin"))

    assert accounts.watchers == []
    leave()
    assert places.present == []

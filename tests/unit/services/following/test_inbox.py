"""What a cohort offers, until somebody takes it: whoever waits is woken by all that there is to know."""

import asyncio

import pytest

from graphql_app.domain.errors import Unauthenticated
from graphql_app.services.following.cohorts import Payload
from graphql_app.services.following.inbox import WAITING_MOST, Inbox
from tests.clock import Clock, settle


def payload(number: int) -> Payload:
    return Payload(b"%d" % number, None)


async def taking(inbox: Inbox) -> "asyncio.Task[Payload]":
    """Somebody who waits for the next payload, for as long as it takes."""
    task = asyncio.create_task(inbox.take())
    await settle()
    assert not task.done()
    return task


async def test_a_payload_wakes_who_waits() -> None:
    inbox = Inbox()
    waiting = await taking(inbox)
    inbox.offer(payload(1))
    await settle()
    assert waiting.result().body == b"1"


async def test_a_failure_wakes_who_waits_and_comes_after_what_was_offered_before() -> None:
    inbox = Inbox()
    waiting = await taking(inbox)
    inbox.failed(Unauthenticated("over"))
    await settle()
    assert isinstance(waiting.exception(), Unauthenticated)

    inbox = Inbox()
    inbox.offer(payload(1))
    inbox.failed(Unauthenticated("over"))
    assert (await inbox.take()).body == b"1"
    with pytest.raises(Unauthenticated):
        await inbox.take()


async def test_a_process_that_stops_wakes_who_waits_and_lets_take_what_there_is() -> None:
    inbox = Inbox()
    waiting = await taking(inbox)
    inbox.drain()
    await settle()
    assert waiting.done()
    assert isinstance(waiting.exception(), TimeoutError)
    inbox.offer(payload(1))
    assert (await inbox.take()).body == b"1"


async def test_no_more_waits_than_one_client_may_be_behind_and_who_has_read_it_all_is_offered_more() -> None:
    inbox = Inbox()
    assert [inbox.offer(payload(number)) for number in range(WAITING_MOST + 1)] == [True] * WAITING_MOST + [False]
    drained = asyncio.create_task(inbox.drained())
    for number in range(WAITING_MOST):
        await settle()
        assert not drained.done()
        assert (await inbox.take()).body == b"%d" % number
    waiting = await taking(inbox)
    assert drained.done()
    waiting.cancel()


async def test_a_response_ends_in_time_and_says_meanwhile_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, inbox, heard = Clock(monkeypatch), Inbox(), list[bytes | None]()

    async def respond() -> None:
        async for one in inbox.payloads(seconds=25, watchdog=10):
            heard.append(None if one is None else one.body)

    responding = asyncio.create_task(respond())
    await settle()
    await clock.pass_by(10)
    inbox.offer(payload(1))
    await settle()
    await clock.pass_by(10)
    assert (heard, responding.done()) == ([None, b"1", None], False)
    await clock.pass_by(5)
    assert (heard, responding.done()) == ([None, b"1", None], True)

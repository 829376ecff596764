"""The broadcast comes back by itself, says when something may have been missed, and tells Redis nothing."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import redis.asyncio as redis

from graphql_app.domain.seal import Seal
from graphql_app.embedded import Valkey
from graphql_app.observe import BroadcastConnected, BroadcastLost, News
from graphql_app.store.redis.broadcast import MAYBE_MISSED, SILENT_SECONDS, Channel, opened

SECRET = "a secret of thirty-two characters"
NAME = "graphql_app:test"


class Member:
    """One process on the channel, and what it received."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.received: list[bytes] = []
        self._arrived = asyncio.Event()

    async def listen(self) -> None:
        async for message in self.channel.messages():
            self.received.append(message)
            self._arrived.set()

    async def until(self, message: bytes, seconds: float = 5, times: int = 1) -> float:
        """Waits until it was received so often. Returns how long that took."""
        began = time.monotonic()
        async with asyncio.timeout(seconds):
            while self.received.count(message) < times:
                self._arrived.clear()
                await self._arrived.wait()
        return time.monotonic() - began


@asynccontextmanager
async def joined(url: str, secret: str = SECRET) -> AsyncIterator[Member]:
    async with opened(url, Seal(secret, "broadcast"), NAME) as channel:
        member = Member(channel)
        task = asyncio.create_task(member.listen())
        try:
            yield member
        finally:
            task.cancel()
            await asyncio.wait([task])


@asynccontextmanager
async def pair(valkey: Valkey) -> AsyncIterator[tuple[Member, Member]]:
    """Two that hear each other."""
    async with joined(valkey.url) as one, joined(valkey.url) as other:
        for member in (one, other):
            await member.until(MAYBE_MISSED)
        yield one, other


async def heard_again(sender: Member, receiver: Member, message: bytes, seconds: float = 5) -> None:
    """Publishes until it arrives: what is published while away is allowed to be lost."""
    async with asyncio.timeout(seconds):
        while message not in receiver.received:
            await sender.channel.publish(message)
            await asyncio.sleep(0.05)


async def test_what_is_published_arrives_in_order_at_everybody(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        messages = [f"message {number}".encode() for number in range(200)]
        for message in messages:
            await one.channel.publish(message)
        for member in (one, other):
            await member.until(messages[-1])
            assert [message for message in member.received if message != MAYBE_MISSED] == messages


async def test_whoever_subscribes_is_told_first_that_something_may_have_been_missed(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        await one.channel.publish(b"news")
        await other.until(b"news")
        assert other.received == [MAYBE_MISSED, b"news"]


async def test_a_large_message_arrives_whole(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        large = os.urandom(3_000_000)
        await one.channel.publish(large)
        await other.until(large)


async def test_a_restart_of_valkey_is_survived_and_said(valkey: Valkey, news: list[News]) -> None:
    async with pair(valkey) as (one, other):
        await asyncio.to_thread(valkey.stop)
        async with asyncio.timeout(SILENT_SECONDS):
            while one.channel.is_connected:  # noqa: ASYNC110  # it is noticed in its own time
                await asyncio.sleep(0.01)
        await asyncio.to_thread(valkey.start)
        for member in (one, other):
            assert await member.until(MAYBE_MISSED, times=2) < 2
            assert member.channel.is_connected
        await heard_again(one, other, b"after the restart", seconds=1)
        kinds = [type(one) for one in news]
        assert BroadcastLost in kinds
        assert kinds.count(BroadcastConnected) == 4


async def test_valkey_may_come_later(valkey: Valkey) -> None:
    await asyncio.to_thread(valkey.stop)
    async with joined(valkey.url) as one, joined(valkey.url) as other:
        await one.channel.publish(b"nobody is there")
        assert not one.channel.is_connected
        await asyncio.to_thread(valkey.start)
        for member in (one, other):
            await member.until(MAYBE_MISSED)
        await heard_again(one, other, b"now", seconds=1)


async def test_a_long_absence_ends_within_two_seconds_of_the_return(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        await asyncio.to_thread(valkey.stop)
        await asyncio.sleep(3)
        await asyncio.to_thread(valkey.start)
        for member in (one, other):
            assert await member.until(MAYBE_MISSED, times=2) < 2


async def test_a_valkey_that_hangs_is_noticed_and_comes_back(valkey: Valkey, news: list[News]) -> None:
    async with pair(valkey) as (one, other):
        pid = valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            while one.channel.is_connected or other.channel.is_connected:
                await asyncio.sleep(0.05)
                assert time.monotonic() - began < SILENT_SECONDS + 1.5
        finally:
            os.kill(pid, signal.SIGCONT)
        assert any(isinstance(one, BroadcastLost) for one in news)
        for member in (one, other):
            assert await member.until(MAYBE_MISSED, times=2) < 2
        await heard_again(one, other, b"it goes on", seconds=1)


async def test_a_short_hang_loses_nothing(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other):
        pid = valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        publishing = asyncio.create_task(one.channel.publish(b"meanwhile"))
        await asyncio.sleep(0.5)
        os.kill(pid, signal.SIGCONT)
        await publishing
        await other.until(b"meanwhile")


async def test_cut_connections_are_made_anew(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other), redis.Redis.from_url(valkey.url) as admin:
        for times in (2, 3):
            await admin.client_kill_filter(_type="pubsub")
            for member in (one, other):
                await member.until(MAYBE_MISSED, times=times)
        await admin.client_kill_filter(_type="normal", skipme=True)
        await heard_again(one, other, b"on new connections", seconds=1)


async def test_flushing_redis_changes_nothing(valkey: Valkey) -> None:
    """Nothing is kept in Redis, so nothing is missed when all of it goes."""
    async with pair(valkey) as (one, other), redis.Redis.from_url(valkey.url) as admin:
        await one.channel.publish(b"before")
        await other.until(b"before")
        await admin.flushall()
        assert await admin.keys() == []
        await one.channel.publish(b"after")
        await other.until(b"after")
        assert other.received == [MAYBE_MISSED, b"before", b"after"]


async def test_publishing_while_it_is_away_neither_raises_nor_blocks(valkey: Valkey) -> None:
    async with pair(valkey) as (one, _):
        await asyncio.to_thread(valkey.stop)
        for _ in range(20):
            began = time.monotonic()
            await one.channel.publish(b"into the void")
            assert time.monotonic() - began < 1.5
            await asyncio.sleep(0.02)


async def test_publishing_into_one_that_hangs_takes_a_second_and_a_half_at_most(valkey: Valkey) -> None:
    async with pair(valkey) as (one, _):
        pid = valkey.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            for _ in range(4):
                began = time.monotonic()
                await one.channel.publish(b"into the void")
                assert time.monotonic() - began < 1.5
        finally:
            os.kill(pid, signal.SIGCONT)


async def test_a_port_that_answers_with_nonsense_is_survived(valkey: Valkey) -> None:
    """Another program took the port; then Redis is back."""

    async def nonsense(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async with joined(valkey.url) as member:
        await member.until(MAYBE_MISSED)
        await asyncio.to_thread(valkey.stop)
        port = urlsplit(valkey.url).port
        impostor = await asyncio.start_server(nonsense, "127.0.0.1", port, family=socket.AF_INET)
        await asyncio.sleep(1)
        impostor.close()
        await impostor.wait_closed()
        await asyncio.to_thread(valkey.start)
        await member.until(MAYBE_MISSED, times=2)
        await heard_again(member, member, b"here again", seconds=1)


async def test_redis_sees_no_plain_text(valkey: Valkey) -> None:
    async with pair(valkey) as (one, other), redis.Redis.from_url(valkey.url) as admin:
        spy = admin.pubsub()
        await spy.psubscribe("*")
        async with admin.monitor() as monitor:
            words = "张三 sits at A3-1".encode()
            for _ in range(2):
                await one.channel.publish(words)
            await other.until(words, times=2)
            commands: list[str] = []
            while len(commands) < 2:
                command = await monitor.next_command()
                if command["command"].startswith("PUBLISH"):
                    commands.append(command["command"])
        seen: list[bytes] = []
        async with asyncio.timeout(5):
            while len(seen) < 2:
                message = await spy.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None and message["channel"] == NAME.encode():
                    seen.append(message["data"])
        await spy.aclose()  # type: ignore[no-untyped-call]  # redis-py types only some of it
    assert seen[0] != seen[1], "equal messages do not look equal"
    for content in seen:
        assert words not in content
        assert "张三".encode() not in content
        assert b"A3-1" not in content
    assert not any("A3-1" in command or r"\xe5\xbc\xa0" in command for command in commands)


async def test_a_message_that_cannot_be_taken_costs_a_new_connection_and_nothing_else(
    valkey: Valkey, news: list[News], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(valkey) as (one, other):

        def fails(*_: object) -> bytes:
            monkeypatch.undo()
            raise ValueError("cannot be opened")

        monkeypatch.setattr(Seal, "open", fails)
        await one.channel.publish(b"lost by one or the other")
        await asyncio.wait(
            [asyncio.create_task(member.until(MAYBE_MISSED, times=2)) for member in (one, other)],
            return_when=asyncio.FIRST_COMPLETED,
        )
        assert any(isinstance(one, BroadcastLost) for one in news)
        await one.channel.publish(b"ours")
        for member in (one, other):
            await member.until(b"ours")


async def test_what_others_publish_is_passed_over(valkey: Valkey) -> None:
    """Another installation on the same Redis, or somebody who makes things up."""
    async with pair(valkey) as (one, other), joined(valkey.url, "another secret of 32 characters.") as stranger:
        await stranger.until(MAYBE_MISSED)
        await stranger.channel.publish(b"from elsewhere")
        async with redis.Redis.from_url(valkey.url) as admin:
            for forged in (b"", b"x", b"{}", os.urandom(100)):
                await admin.publish(NAME, forged)
        await one.channel.publish(b"ours")
        await other.until(b"ours")
        assert other.received == [MAYBE_MISSED, b"ours"]
        assert stranger.received == [MAYBE_MISSED, b"from elsewhere"]


async def test_opening_and_closing_leaves_nothing_behind(valkey: Valkey) -> None:
    async with redis.Redis.from_url(valkey.url) as admin:
        before = len(await admin.client_list())
        for _ in range(3):
            async with pair(valkey):
                pass
        async with asyncio.timeout(2):
            while len(await admin.client_list()) > before:  # noqa: ASYNC110  # only the server knows
                await asyncio.sleep(0.01)

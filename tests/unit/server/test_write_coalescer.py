"""Writes of one moment leave together, in order, and none is lost or waits for long."""

import asyncio
from collections.abc import Iterable

import pytest

from graphql_app.server.write_coalescer import CONNECTIONS_MOST, PENDING_BYTES_MOST, CoalescedTransport, WriteCoalescer

pytestmark = pytest.mark.asyncio


class Wire(asyncio.Transport):
    """Notes what is handed to the system, in which order over all wires."""

    def __init__(self, name: str, sent: list[tuple[str, bytes]]) -> None:
        super().__init__()
        self.name, self.sent = name, sent
        self.is_closed = False

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.sent.append((self.name, b"".join(parts)))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True
        self.sent.append((self.name, b"(closed)"))

    def get_write_buffer_size(self) -> int:
        return 0


async def test_what_is_written_leaves_once_the_loop_has_gone_round() -> None:
    sent: list[tuple[str, bytes]] = []
    write_coalescer = WriteCoalescer()
    one, two = (CoalescedTransport(Wire(name, sent), write_coalescer) for name in ("one", "two"))
    one.write(b"a")
    two.writelines((b"b", b"c"))
    one.write(b"d")
    assert sent == []
    assert (one.get_write_buffer_size(), two.get_write_buffer_size()) == (2, 2)
    await asyncio.sleep(0)
    assert sent == [("one", b"ad"), ("two", b"bc")]
    assert one.get_write_buffer_size() == 0
    one.write(b"e")
    await asyncio.sleep(0)
    assert sent[2:] == [("one", b"e")]


async def test_the_first_waits_for_no_more_than_so_many_others() -> None:
    sent: list[tuple[str, bytes]] = []
    write_coalescer = WriteCoalescer()
    transports = [
        CoalescedTransport(Wire(str(number), sent), write_coalescer) for number in range(CONNECTIONS_MOST + 1)
    ]
    for transport in transports:
        transport.write(b"x")
    assert len(sent) == CONNECTIONS_MOST
    await asyncio.sleep(0)
    assert [name for name, _ in sent] == [str(number) for number in range(CONNECTIONS_MOST + 1)]


async def test_who_writes_without_end_is_not_held_back_without_end() -> None:
    sent: list[tuple[str, bytes]] = []
    transport = CoalescedTransport(Wire("one", sent), WriteCoalescer())
    for _ in range(10):
        transport.write(b"x" * (PENDING_BYTES_MOST // 2))
        assert transport.get_write_buffer_size() <= PENDING_BYTES_MOST
    await asyncio.sleep(0)
    assert len(b"".join(data for _, data in sent)) == 5 * PENDING_BYTES_MOST


async def test_it_closes_after_what_was_written() -> None:
    sent: list[tuple[str, bytes]] = []
    transport = CoalescedTransport(Wire("one", sent), WriteCoalescer())
    transport.write(b"last")
    transport.close()
    assert sent == [("one", b"last"), ("one", b"(closed)")]
    await asyncio.sleep(0)
    assert len(sent) == 2


async def test_one_that_is_gone_harms_no_other() -> None:
    sent: list[tuple[str, bytes]] = []
    write_coalescer, gone = WriteCoalescer(), Wire("gone", sent)
    lost, kept = CoalescedTransport(gone, write_coalescer), CoalescedTransport(Wire("kept", sent), write_coalescer)
    lost.write(b"x")
    kept.write(b"y")
    gone.is_closed = True
    await asyncio.sleep(0)
    assert sent == [("kept", b"y")]


async def test_who_is_released_writes_after_what_was_held_back() -> None:
    sent: list[tuple[str, bytes]] = []
    transport = CoalescedTransport(Wire("one", sent), WriteCoalescer())
    transport.write(b"before")
    transport.released().writelines([b"after"])
    assert sent == [("one", b"before"), ("one", b"after")]

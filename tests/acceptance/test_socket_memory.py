"""What an idle subscribed socket costs the server in memory."""

import asyncio
from contextlib import AsyncExitStack

from tests.acceptance.conftest import Server, StartServer
from tests.acceptance.following import Connection, processes
from tests.histories import FLOOR, Recorder, connected

SOCKETS = 500
KILOBYTES_MOST = 10.0  # bench/fanout.py measures it more exactly, with 5,000


def resident_kilobytes(server: Server) -> float:
    return float(processes(server)[-1].memory_info().rss) / 1024


async def open_sockets(stack: AsyncExitStack, server: Server, count: int) -> None:
    """So many sockets, each with its snapshot, and then idle."""
    token = server.token("admin")

    async def one() -> None:
        client = await stack.enter_async_context(connected(server.ws_url, token))
        recorder = Recorder(FLOOR)
        await client.subscribe(recorder)
        await recorder.until(lambda payload: payload.complete)

    for _ in range(0, count, 50):
        await asyncio.gather(*(one() for _ in range(50)))


async def test_an_idle_subscribed_socket_takes_no_more_than_10_kilobytes(
    start_server: StartServer, psql: Connection
) -> None:
    server = start_server()
    async with AsyncExitStack() as stack:  # code is loaded, pools are filled
        await open_sockets(stack, server, 100)
    async with AsyncExitStack() as stack:
        before = resident_kilobytes(server)
        await open_sockets(stack, server, SOCKETS)
        await asyncio.sleep(1)
        grown = (resident_kilobytes(server) - before) / SOCKETS
    assert grown < KILOBYTES_MOST

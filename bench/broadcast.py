"""The baseline of a fan-out in Python: picows sends one ready frame to all. `broadcast.py SOCKETS MESSAGE COUNTERS`.

Speaks just enough graphql-transport-ws to be subscribed to, and stays at most AHEAD rounds ahead of what the
subscribers have counted. Prints its port.
"""

import asyncio
import sys
from pathlib import Path

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server
from subscribers import Counters

AHEAD = 20


class Subscriber(WSListener):
    def __init__(self, subscribed: list[WSTransport]) -> None:
        super().__init__()
        self._subscribed = subscribed

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        if b"connection_init" in frame.get_payload_as_bytes():
            transport.send(WSMsgType.TEXT, b'{"type":"connection_ack"}')
        else:
            self._subscribed.append(transport)


async def broadcast(count: int, message: bytes, counters: Counters) -> None:
    subscribed: list[WSTransport] = []
    server = await ws_create_server(lambda _: Subscriber(subscribed), "127.0.0.1", 0, enable_auto_ping=False)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    while len(subscribed) < count:  # noqa: ASYNC110  # once, at the start
        await asyncio.sleep(0.01)
    rounds = 0
    while True:
        while rounds > counters.payloads / count + AHEAD:  # noqa: ASYNC110  # another process's memory
            await asyncio.sleep(0.0005)
        for transport in subscribed:
            transport.send(WSMsgType.TEXT, message)
        rounds += 1
        await asyncio.sleep(0)


if __name__ == "__main__":
    uvloop.run(broadcast(int(sys.argv[1]), Path(sys.argv[2]).read_bytes(), Counters(Path(sys.argv[3]))))

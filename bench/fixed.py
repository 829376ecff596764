"""The baseline of a read: uvicorn answers every request with the same bytes, `fixed.py BYTES`. Prints its port."""

import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvicorn

Message = MutableMapping[str, Any]


class Fixed:
    def __init__(self, size: int) -> None:
        self._body = {"type": "http.response.body", "body": b"x" * size}
        headers = [(b"content-type", b"application/graphql-response+json"), (b"content-length", str(size).encode())]
        self._start = {"type": "http.response.start", "status": 200, "headers": headers}

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        more = True
        while more:  # as a server that wants to know what it is asked
            more = (await receive()).get("more_body", False)
        await send(self._start)
        await send(self._body)


async def main(size: int) -> None:
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        Fixed(size), loop="uvloop", http="httptools", lifespan="off", access_log=False, log_level="warning"
    )
    print("ready", listening.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve(sockets=[listening])


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1])))

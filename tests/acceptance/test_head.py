"""HEAD on a real connection: nothing follows the header fields, so that the next answer is the next request's."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.acceptance.conftest import Server

PATHS = {
    "a page": "/api/docs",
    "a file": "/static/favicon.svg",
    "health": "/healthz",
    "figures": "/metrics",
    "a list": "/api/workstations",
    "a refusal": "/api/workstations/nothing",
    "nothing": "/nothing",
    "a query": "/graphql?query={__typename}",
    "a poll, which is not waited for": "/api/changes?wait=60",
}


async def answers(server: Server, *heads: str) -> list[tuple[int, dict[str, str]]]:
    """Status and header fields of each, asked one behind the other on one connection; all that comes has to be one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(server.url).port)
    found = []
    async with asyncio.timeout(20):
        for head in heads:
            token = server.headers()["Authorization"]
            writer.write(
                f"{head} HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\nAuthorization: {token}\r\n".encode()
            )
            writer.write(b"Accept: */*, text/event-stream\r\n\r\n" if "events" in head else b"\r\n")
            line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
            assert line.startswith("HTTP/1.1 "), line
            found.append((int(line.split()[1]), dict(field.lower().split(": ", 1) for field in fields)))
    writer.close()
    await writer.wait_closed()
    return found


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
async def test_a_head_is_answered_without_a_body(office: None, shared_server: Server, path: str) -> None:
    (first, fields), (second, same), (after, _) = await answers(
        shared_server, f"HEAD {path}", f"HEAD {path}", "HEAD /healthz"
    )
    assert (first, fields.keys()) == (second, same.keys())
    assert "content-length" in fields
    assert after == 200


async def test_a_head_on_an_event_stream_ends(office: None, shared_server: Server) -> None:
    (status, fields), (after, _) = await answers(shared_server, "HEAD /api/changes?building=events", "HEAD /healthz")
    assert (status, after) == (200, 200)
    assert fields["content-type"].startswith("text/event-stream")

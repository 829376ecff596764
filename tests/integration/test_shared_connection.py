"""Several people behind one connection, as behind a proxy that shares it: nobody is answered, or acts, as another."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_app.embedded import Servers
from tests.graphql_client import Office, fresh_database, numbered, running_office, seed, settings_for
from tests.integration.test_at_hand import ME, Client, request
from tests.one_piece import listening

pytestmark = pytest.mark.asyncio(loop_scope="module")

PEOPLE = ("admin", "facilities", "visitor", "nobody")
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers)) as office,
    ):
        await seed(office.database)
        await numbered(office.database)
        yield office


def asked(office: Office, person: str, form: str) -> bytes:
    """Who am I: as it is, with an upgrade, or in chunks with somebody else's token in the trailer."""
    if person == "nobody":
        sent = request(office, ME, "Authorization: Bearer nonsense", *(UPGRADE if form == "upgrade" else ()))
    else:
        sent = request(office, ME, *(UPGRADE if form == "upgrade" else ()), role=person)
    if form != "chunked":
        return sent
    head, _, body = sent.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    trailer = f"Authorization: Bearer {office.token('admin')}\r\nX-Forwarded-For: 192.0.2.1".encode()
    chunks = b"%x\r\n%b\r\n0\r\n%b\r\n\r\n" % (len(body), body, trailer)
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n" + chunks


@given(
    st.lists(
        st.tuples(st.sampled_from(PEOPLE), st.sampled_from(["plain", "upgrade", "chunked"])), min_size=1, max_size=12
    )
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_each_of_four_people_is_answered_as_who_they_are(office: Office, said: list[tuple[str, str]]) -> None:
    async with listening(office.app, {"graphql": office.app.graphql}) as port, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(asked(office, person, form) for person, form in said))
        client = Client(reader, writer)
        bodies = [orjson.loads((await client.answer())[2]) for _ in said]
        writer.close()
        await writer.wait_closed()

    told = [body["data"]["me"]["subject"] if body.get("data") else "nobody" for body in bodies]
    assert told == [person for person, _ in said]


async def test_curl_that_offers_http_2_is_answered(office: Office) -> None:
    async with listening(office.app, {"graphql": office.app.graphql}) as port:
        process = await asyncio.create_subprocess_exec(
            "curl", "-s", "--http2", "-H", "Content-Type: application/json",
            "-H", f"Authorization: Bearer {office.token('visitor')}",
            "-d", '{"query":"{__typename}"}', f"http://127.0.0.1:{port}/graphql", stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(20):
            told, _ = await process.communicate()

    assert orjson.loads(told) == {"data": {"__typename": "Query"}}

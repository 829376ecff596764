"""HEAD is a GET whose body stays here."""

from starlette.types import Message

from graphql_app.server.head import as_get, is_bodiless

START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]}


async def test_the_fields_are_sent_as_they_are_and_the_body_is_over_at_once() -> None:
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    _, send = as_get({"type": "http", "method": "HEAD"}, keep)
    await send(START)
    await send({"type": "http.response.body", "body": b"one", "more_body": True})
    await send({"type": "http.response.body", "body": b"two"})

    assert sent == [START, {"type": "http.response.body", "body": b""}]


async def test_all_behind_it_see_a_get_that_wants_no_body() -> None:
    async def drop(_: Message) -> None:
        pass

    asked = {"type": "http", "method": "HEAD"}

    scope, _ = as_get(asked, drop)

    assert scope["method"] == "GET"
    assert is_bodiless(scope)
    assert not is_bodiless(asked)

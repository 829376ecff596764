"""Which media type a client is answered with, and which client is a person's browser."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from graphql_app.graph.http.endpoint import wants_page
from graphql_app.graph.http.negotiation import LEGACY, RESPONSE, accepted, negotiated, takes_events

ACCEPT: dict[str, str | None] = {
    # None of it is said: a client that does not know of the newer type.
    "": LEGACY,
    "   ": LEGACY,
    "*/*": LEGACY,
    "application/*": LEGACY,
    "text/html, application/xhtml+xml, */*;q=0.8": LEGACY,
    # One of ours is named.
    "application/json": LEGACY,
    "application/graphql-response+json": RESPONSE,
    "application/graphql-response+json; charset=utf-8": RESPONSE,
    "application/json; charset=utf-8": LEGACY,
    "APPLICATION/JSON": LEGACY,
    "Application/GraphQL-Response+JSON": RESPONSE,
    "application/json, */*": LEGACY,
    "application/graphql-response+json, */*": RESPONSE,
    # Both are: the newer one, unless the client prefers the other.
    "application/graphql-response+json, application/json": RESPONSE,
    "application/json, application/graphql-response+json": RESPONSE,
    "application/graphql-response+json, application/json;q=0.9": RESPONSE,
    "application/graphql-response+json;q=0.5, application/json": LEGACY,
    "application/graphql-response+json; q=0.5, application/json; q=0.6": LEGACY,
    "application/graphql-response+json;q=0.9, application/json;q=0.9": RESPONSE,
    "application/graphql-response+json;Q=0.5, application/json": LEGACY,
    # A range is less than a name, and q=0 is never.
    "application/json;q=0.5, */*": RESPONSE,
    "application/graphql-response+json;q=0, */*": LEGACY,
    "application/json;q=0, application/*": RESPONSE,
    "*/*;q=0": None,
    "application/json;q=0": None,
    "application/json;q=nonsense": None,
    # A client that merely lists what it could read too.
    "application/graphql-response+json, application/json, multipart/mixed, text/event-stream": RESPONSE,
    "application/json, text/event-stream": LEGACY,
    "text/event-stream, application/json;q=0.9": LEGACY,
    "text/event-stream, */*": LEGACY,
    # Nothing that this door has.
    "text/event-stream": None,
    "text/html": None,
    "application/xml, text/plain": None,
    "application/jsonp": None,
}


@pytest.mark.parametrize("header", ACCEPT)
def test_the_answer_is_of_a_media_type_that_the_client_accepts(header: str) -> None:
    assert accepted(header) == ACCEPT[header]


@given(st.text())
def test_any_header_is_understood_or_not_acceptable(header: str) -> None:
    assert accepted(header) in (RESPONSE, LEGACY, None)


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_preference_of_the_client_decides(newer: float, older: float) -> None:
    answered = accepted(f"application/graphql-response+json;q={newer}, application/json;q={older}")

    if newer == older == 0:
        assert answered is None
    elif not math.isclose(newer, older):
        assert answered == (RESPONSE if newer > older else LEGACY)


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream; charset=utf-8", True),
        ("application/json, text/event-stream", True),
        ("text/event-stream;q=0", False),
        ("*/*", False),  # a client that takes anything does not ask for a stream
        ("text/*", False),
        ("", False),
    ],
)
def test_a_client_takes_events_only_if_it_names_them(header: str, takes: bool) -> None:
    assert takes_events(header) is takes


BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("method", "accept", "query", "page"),
    [
        ("GET", BROWSER, "", True),
        ("GET", BROWSER, "token=x", True),
        ("GET", BROWSER, "query={me{subject}}", False),
        ("GET", BROWSER, "variables={}&query={me{subject}}", False),
        ("POST", BROWSER, "", False),
        ("GET", "application/json", "", False),
        ("GET", "*/*", "", False),
        ("GET", "TEXT/HTML", "", True),
        ("GET", "text/html;q=0, */*", "", False),
        ("GET", "application/x-text/html", "", False),
    ],
)
def test_a_browser_that_asks_for_no_query_is_shown_a_page(method: str, accept: str, query: str, page: bool) -> None:
    scope: Scope = {"type": "http", "method": method, "query_string": query.encode()}

    assert (negotiated(accept.encode()).page and wants_page(scope)) is page

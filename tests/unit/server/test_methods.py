"""Every path answers the methods that it does not take, and never as an id of another route."""

from starlette.responses import PlainTextResponse
from starlette.routing import BaseRoute, Route

from graphql_app.server.methods import OtherMethods, with_other_methods


def route(path: str, *methods: str) -> Route:
    return Route(path, PlainTextResponse("here"), methods=list(methods))


def paths(routes: list[BaseRoute]) -> list[tuple[str, bool]]:
    return [(one.path, isinstance(one.endpoint, OtherMethods)) for one in routes if isinstance(one, Route)]


def test_what_a_path_does_not_take_is_answered_behind_its_last_route_and_before_the_next_path() -> None:
    routes = with_other_methods([route("/a/b", "GET"), route("/a/b", "PUT"), route("/a/{id}", "GET")])

    assert paths(routes) == [("/a/b", False), ("/a/b", False), ("/a/b", True), ("/a/{id}", False), ("/a/{id}", True)]


def test_a_path_that_can_be_read_says_head_and_options_too() -> None:
    assert OtherMethods(["GET", "PUT"]).allow == "GET, HEAD, OPTIONS, PUT"


def test_a_path_that_cannot_be_read_does_not_say_head() -> None:
    assert OtherMethods(["POST"]).allow == "OPTIONS, POST"

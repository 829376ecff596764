"""How a refusal is said over HTTP."""

import json

import pytest
from starlette.exceptions import HTTPException

from graphql_app.domain import errors
from graphql_app.server.problems import PROBLEM, STATUS, http_error, phrase, problem, status_of, unexpected_error


class Rarer(errors.Conflict):
    """One that has no status of its own."""


LIMITED = errors.RateLimited("Slower.", measure="requests", limit=1, asked=2, retry_after=7)


def test_a_refusal_has_the_status_of_the_nearest_class_above_it() -> None:
    assert status_of(Rarer("Somebody else was faster.")) == STATUS[errors.Conflict]
    assert status_of(LIMITED) == 429  # not the 400 of TooMany, which is above it


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    answer = problem(LIMITED)

    assert (answer.headers["retry-after"], answer.media_type) == ("7", PROBLEM)
    assert json.loads(bytes(answer.body))["retryAfter"] == 7


def test_a_door_may_give_a_status_of_its_own() -> None:
    assert problem(LIMITED, 413).status_code == 413


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "Not Found"), (413, "Content Too Large"), (414, "URI Too Long"), (422, "Unprocessable Content")],
)
def test_a_status_is_called_what_http_calls_it(status: int, said: str) -> None:
    assert phrase(status) == said


async def test_what_went_wrong_on_our_side_is_masked() -> None:
    answer = await unexpected_error(None, RuntimeError("password=hunter2"))  # type: ignore[arg-type]

    assert answer.status_code == 500
    assert b"hunter2" not in bytes(answer.body)
    assert json.loads(bytes(answer.body))["id"] in json.loads(bytes(answer.body))["detail"]


@pytest.mark.parametrize("is_explorable", [True, False])
async def test_the_docs_are_named_only_where_they_are(is_explorable: bool) -> None:
    answer = await http_error(is_explorable=is_explorable)(None, HTTPException(404))  # type: ignore[arg-type]

    assert (b"/api/docs" in bytes(answer.body)) is is_explorable

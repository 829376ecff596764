"""A receipt tells its holder nothing, and its server which write is meant."""

from uuid import UUID

import pytest

from graphql_app.domain.caller import Consistency
from graphql_app.domain.change import Head
from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.filters import WorkstationFilter
from graphql_app.domain.workstation import Place
from graphql_app.live.feed.hub import Hub
from graphql_app.live.feed.staleness import Staleness
from graphql_app.services.consistency import ConsistencyTokens
from graphql_app.services.cursors import FeedCursors, PageCursors
from tests.examples import view

SECRET = "a secret of thirty-two characters"
EPOCH, OTHER = UUID(int=7), UUID(int=8)
HERE = Place("HQ", 1)
ANYTHING = WorkstationFilter()


def made(secret: str = SECRET) -> tuple[ConsistencyTokens, Hub, Staleness]:
    hub, staleness = Hub(100), Staleness()
    hub.listen(staleness)
    return ConsistencyTokens(secret, FeedCursors(secret), hub, staleness), hub, staleness


def cursor(epoch: UUID, revision: int, secret: str = SECRET) -> str:
    return FeedCursors(secret).encode(Head(epoch, revision), ANYTHING, view("visitor"))


def test_who_demands_nothing_is_served_from_memory() -> None:
    assert made()[0].consistency(None) is Consistency.CACHED


def test_a_receipt_needs_the_primary_until_the_feed_has_passed_it() -> None:
    tokens, _, staleness = made()
    receipt = tokens.issue(7)
    assert tokens.consistency(receipt) is Consistency.LATEST
    staleness.settled(8)
    assert tokens.consistency(receipt) is Consistency.CACHED


def test_a_receipt_is_good_on_every_process_of_the_installation() -> None:
    elsewhere, _, staleness = made()
    receipt = made()[0].issue(7)
    assert elsewhere.consistency(receipt) is Consistency.LATEST
    staleness.settled(8)
    assert elsewhere.consistency(receipt) is Consistency.CACHED


def test_a_write_is_awaited_where_it_was_made() -> None:
    tokens, _, staleness = made()
    tokens.issue(7, HERE, None)
    assert staleness.awaits(HERE)
    assert staleness.awaits(None)


def test_a_cursor_needs_the_primary_until_this_process_has_come_so_far() -> None:
    tokens, hub, _ = made()
    assert tokens.consistency(cursor(EPOCH, 5)) is Consistency.LATEST, "nothing is known yet"
    hub.restart(Head(EPOCH, 5))
    assert tokens.consistency(cursor(EPOCH, 5)) is Consistency.CACHED
    assert tokens.consistency(cursor(EPOCH, 6)) is Consistency.LATEST
    assert tokens.consistency(cursor(OTHER, 1)) is Consistency.LATEST, "of another history nothing is known"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "7",
        "AAAA",
        "工位",
        "x" * 10_000,
        made("another secret of 32 characters.")[0].issue(7),
        cursor(EPOCH, 5, "another secret of 32 characters."),
        PageCursors(SECRET).encode([1], ["a list"]),
    ],
    ids=["empty", "number", "short", "text", "long", "foreign receipt", "foreign cursor", "page cursor"],
)
def test_anything_else_is_refused_with_what_to_send(given: str) -> None:
    with pytest.raises(InvalidInput, match="`receipt` of a mutation or the `cursor` of a feed"):
        made()[0].consistency(given)


def test_receipts_of_one_transaction_do_not_look_alike_and_show_no_number() -> None:
    tokens, _, _ = made()
    assert len({tokens.issue(7) for _ in range(100)}) == 100
    assert len({len(tokens.issue(number)) for number in (1, 2**40, 2**63)}) == 1

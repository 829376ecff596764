"""Bookings: made, moved, cancelled, taken and given up; what they make of a desk; and whom they are shown to."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import text

from graphql_app.domain.caller import by_command
from graphql_app.domain.identifiers import global_id, parse
from graphql_app.store import reservations
from graphql_app.store.postgres.driver import Connection
from tests.graphql_client import A_02, ADA_KEY, HQ, WEI_KEY, Office, Socket, numbered

pytestmark = pytest.mark.asyncio(loop_scope="module")

RESERVE = """mutation ($id: ID!, $when: WhenInput!, $for: ID, $visibility: ReservationVisibility, $note: String) {
    reserveWorkstation(id: $id, when: $when, for: $for, visibility: $visibility, note: $note) { ...Answer } }"""
CHANGE = """mutation ($id: ID!, $when: WhenInput, $workstationId: ID, $expectedVersion: Int) {
    changeReservation(id: $id, when: $when, workstationId: $workstationId, expectedVersion: $expectedVersion)
    { ...Answer } }"""
CANCEL = "mutation ($id: ID!) { cancelReservation(id: $id) { ...Answer } }"
CHECK_IN = "mutation ($id: ID!) { checkIn(id: $id) { ...Answer } }"
CHECK_OUT = "mutation ($id: ID!) { checkOut(id: $id) { ...Answer } }"
ANSWER = """
fragment Booking on Reservation { id state startsAt endsAt localStart localEnd timeZone deskName note bookedBy version
    endedWhy endedAt checkInBy visibility holder { name } floor { name number } workstation { name status } }
fragment Answer on %s { __typename ... on ReservationChanged { receipt reservation { ...Booking } }
    ... on Refusal { code message } ... on SlotTaken { takenFrom takenUntil } }"""
RESULTS = {
    RESERVE: "ReserveWorkstationResult",
    CHANGE: "ChangeReservationResult",
    CANCEL: "CancelReservationResult",
    CHECK_IN: "CheckInResult",
    CHECK_OUT: "CheckOutResult",
}
CLOSED = "mutation ($id: ID!) { checkIn(id: $id) { __typename ... on CheckInClosed { code opensAt closedAt } } }"
ADA, WEI = ("employee", ADA_KEY), ("employee", WEI_KEY)
STAFF = ("facilities", None)
HOUR = timedelta(hours=1)


@pytest_asyncio.fixture(loop_scope="module")
async def psql(office: Office) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(office.settings.database_url)
    yield connection
    connection.terminate()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def clock(office: Office) -> AsyncIterator["Clock"]:
    """No bookings at the start, and the clock of the database as the test sets it; as it was at the end."""
    moved = Clock(office)
    await moved.set(datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=7))
    yield moved
    await moved.reset()


class Clock:
    """booking_now_v1(), replaced in the test's own database."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.now = datetime.now(UTC)

    async def set(self, now: datetime) -> None:
        self.now = now
        await self._replace(f"SELECT '{now.isoformat()}'::timestamptz")

    async def forward(self, by: timedelta) -> None:
        await self.set(self.now + by)

    async def follow(self) -> None:
        """Lets it run."""
        await self._replace("SELECT clock_timestamp()")

    async def reset(self) -> None:
        await self.follow()
        async with self._office.database.writing(by_command("test")) as transaction:
            await transaction.connection.execute(text("DELETE FROM reservations"))

    async def _replace(self, body: str) -> None:
        async with self._office.database.writing(by_command("test")) as transaction:
            await transaction.connection.execute(
                text(
                    "CREATE OR REPLACE FUNCTION booking_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
                    f" $body$ {body} $body$"
                )
            )


Person = tuple[str, UUID | None]


def answer_of(query: str) -> str:
    """The fragments of what the mutation answers."""
    return ANSWER % RESULTS[query]


async def ask(office: Office, who: Person, query: str, variables: dict[str, Any]) -> Any:
    document = query + answer_of(query) if query in RESULTS else query
    token = office.token(who[0], employee=who[1], subject=f"{who[0]}-{who[1]}")
    response = await office.client.post(
        "/graphql", json={"query": document, "variables": variables}, headers={"authorization": f"Bearer {token}"}
    )
    answer = response.json()
    assert "errors" not in answer, answer
    return answer["data"]


async def act(office: Office, who: Person, query: str, **variables: Any) -> Any:
    (answer,) = (await ask(office, who, query, variables)).values()
    return answer


def between(start: datetime, end: datetime) -> dict[str, Any]:
    return {"between": {"start": start.isoformat(), "end": end.isoformat()}}


async def book(office: Office, who: Person, start: datetime, hours: float = 1, **more: Any) -> Any:
    """The booking of A-01, which must succeed."""
    given = {"id": A_02, "when": between(start, start + hours * HOUR), **more}
    answer = await act(office, who, RESERVE, **given)
    assert answer["__typename"] == "ReservationChanged", answer
    return answer["reservation"]


async def status(office: Office) -> str:
    data = await office.data("visitor", f'{{ workstation(id: "{A_02}") {{ status }} }}')
    return str(data["workstation"]["status"])


async def settle(office: Office) -> None:
    """What the job of the running server does, which may have been here before."""
    async with office.database.writing(by_command("clock")) as transaction:
        await reservations.settle(transaction.connection, 500)


async def states(office: Office) -> list[str]:
    found = await office.database.fetch(text("SELECT state FROM reservations ORDER BY id"))
    return [row["state"] for row in found]


# --- booking ---------------------------------------------------------------------------------------------------------


async def test_a_booking_is_answered_as_it_is_kept(office: Office, clock: Clock) -> None:
    start = clock.now + HOUR

    made = await book(office, ADA, start, note="by the window")

    assert datetime.fromisoformat(made["startsAt"]) == start
    assert datetime.fromisoformat(made["endsAt"]) == start + HOUR
    assert (made["state"], made["note"], made["version"]) == ("CONFIRMED", "by the window", 1)
    assert made["holder"] is not None
    assert made["workstation"]["status"] == "AVAILABLE", "a booking for later touches no desk"
    assert not parse(made["id"])[1].isdigit()


async def test_times_of_the_clock_are_those_of_the_building(office: Office, clock: Clock) -> None:
    async with office.database.writing(by_command("test")) as transaction:
        zone = "UPDATE buildings SET time_zone = 'Asia/Shanghai' WHERE name = :name"
        await transaction.connection.execute(text(zone), {"name": HQ})
    day = (clock.now + timedelta(days=1)).date().isoformat()

    local = {"local": {"date": day, "from": "09:00", "to": "17:00"}}
    made = (await act(office, ADA, RESERVE, id=A_02, when=local))["reservation"]

    assert made["startsAt"] == f"{day}T01:00:00+00:00"
    assert (made["localStart"], made["localEnd"], made["timeZone"]) == (f"{day}T09:00", f"{day}T17:00", "Asia/Shanghai")


async def test_of_two_who_want_one_desk_at_one_time_one_has_it(office: Office, clock: Clock) -> None:
    start = clock.now + HOUR
    await book(office, ADA, start, 2)

    taken = await act(office, WEI, RESERVE, id=A_02, when=between(start + HOUR, start + 3 * HOUR))

    assert (taken["__typename"], taken["code"]) == ("SlotTaken", "SLOT_TAKEN")
    assert datetime.fromisoformat(taken["takenUntil"]) == start + 2 * HOUR


async def test_one_booking_may_begin_when_another_ends(office: Office, clock: Clock) -> None:
    start = clock.now + HOUR
    await book(office, ADA, start)
    await book(office, WEI, start + HOUR)
    await book(office, WEI, start - HOUR)


async def test_of_fifty_rivals_one_wins_and_all_others_are_told(office: Office, clock: Clock) -> None:
    when = between(clock.now + HOUR, clock.now + 2 * HOUR)

    answers = await asyncio.gather(*(act(office, ADA, RESERVE, id=A_02, when=when) for _ in range(50)))

    assert sorted(answer["__typename"] for answer in answers) == ["ReservationChanged"] + ["SlotTaken"] * 49


async def test_sql_cannot_book_what_is_taken(office: Office, clock: Clock, psql: Connection) -> None:
    await book(office, ADA, clock.now + HOUR)

    with pytest.raises(asyncpg.ExclusionViolationError):
        await psql.execute(
            "INSERT INTO reservations (workstation_id, starts_at, ends_at) VALUES (2, $1, $2)",
            clock.now,
            clock.now + 5 * HOUR,
        )


async def test_sql_books_for_everybody_to_see(office: Office, clock: Clock, psql: Connection) -> None:
    values = "(workstation_id, starts_at, ends_at) VALUES (2, $1, $2)"
    await psql.execute(f"INSERT INTO reservations {values}", clock.now + HOUR, clock.now + 2 * HOUR)

    (found,) = await listed(office, ADA)
    assert (found["deskName"], found["state"]) == ("A-02", "CONFIRMED")


async def test_sql_that_moves_who_is_there_changes_both_desks(office: Office, clock: Clock, psql: Connection) -> None:
    made = await book(office, ADA, clock.now)
    await act(office, ADA, CHECK_IN, id=made["id"])
    shown = "SELECT array_agg(booking_status ORDER BY id) FROM workstations WHERE id IN (1, 2)"
    assert await psql.fetchval(shown) == [None, "occupied"]

    await psql.execute("UPDATE reservations SET workstation_id = 1 WHERE state = 'checked_in'")

    assert await psql.fetchval(shown) == ["occupied", None]


async def test_who_may_no_longer_book_is_told_so_by_a_repeated_request_too(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR)
    asked = {"query": CANCEL + answer_of(CANCEL), "variables": {"id": made["id"]}}

    async def repeated(role: str) -> str:
        token = office.token(role, subject="somebody")
        headers = {"authorization": f"Bearer {token}", "idempotency-key": "once"}
        response = await office.client.post("/graphql", json=asked, headers=headers)
        return str(response.json()["data"]["cancelReservation"]["__typename"])

    assert [await repeated(role) for role in ("facilities", "facilities", "visitor")] == [
        "ReservationChanged",
        "ReservationChanged",
        "Forbidden",
    ]


async def test_a_booking_of_31_days_begins_no_earlier_than_it_may_be_long(office: Office, clock: Clock) -> None:
    start = clock.now + HOUR
    made = await book(office, ADA, start, 31 * 24)
    await clock.set(start - timedelta(minutes=10))

    taken = await act(office, ADA, CHECK_IN, id=made["id"])

    assert datetime.fromisoformat(taken["reservation"]["startsAt"]) == start


@pytest.mark.parametrize(
    ("hours", "more"), [(-2, -1), (0, 0), (1, 0.5), (24 * 400, 24 * 400 + 1), (1, 24 * 40)], ids=str
)
async def test_a_time_that_cannot_be_booked_is_refused(office: Office, clock: Clock, hours: float, more: float) -> None:
    when = between(clock.now + hours * HOUR, clock.now + more * HOUR)

    refused = await act(office, ADA, RESERVE, id=A_02, when=when)

    assert refused["__typename"] == "InvalidInput", refused
    assert await states(office) == []


async def test_who_is_nobodys_employee_books_for_nobody(office: Office, clock: Clock) -> None:
    when = between(clock.now + HOUR, clock.now + 2 * HOUR)

    assert (await act(office, ("employee", None), RESERVE, id=A_02, when=when))["__typename"] == "InvalidInput"
    assert (await act(office, ("visitor", ADA_KEY), RESERVE, id=A_02, when=when))["__typename"] == "Forbidden"


async def test_only_staff_books_for_others(office: Office, clock: Clock) -> None:
    given = {"id": A_02, "when": between(clock.now + HOUR, clock.now + 2 * HOUR), "for": global_id("Employee", WEI_KEY)}

    assert (await act(office, ADA, RESERVE, **given))["__typename"] == "Forbidden"
    made = await act(office, STAFF, RESERVE, **given)
    assert made["reservation"]["holder"]["name"] == "张伟"


async def test_a_repeated_request_books_once(office: Office, clock: Clock) -> None:
    variables = {"id": A_02, "when": between(clock.now + HOUR, clock.now + 2 * HOUR)}
    document = RESERVE + answer_of(RESERVE)
    headers = {"authorization": f"Bearer {office.token('employee', employee=ADA_KEY)}", "idempotency-key": "k-1"}

    first, second = [
        (await office.client.post("/graphql", json={"query": document, "variables": variables}, headers=headers)).json()
        for _ in "ab"
    ]

    one, other = (answer["data"]["reserveWorkstation"]["reservation"]["id"] for answer in (first, second))
    assert one == other
    assert await states(office) == ["confirmed"]


# --- moving and cancelling -------------------------------------------------------------------------------------------


async def test_a_moved_booking_is_another_one(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR)

    when = between(clock.now + 3 * HOUR, clock.now + 4 * HOUR)
    moved = await act(office, ADA, CHANGE, id=made["id"], when=when)

    assert moved["reservation"]["id"] != made["id"]
    assert await states(office) == ["replaced", "confirmed"]


async def test_a_booking_may_move_into_its_own_time(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR, 2)

    when = between(clock.now + 2 * HOUR, clock.now + 4 * HOUR)
    moved = await act(office, ADA, CHANGE, id=made["id"], when=when)

    assert moved["__typename"] == "ReservationChanged", moved


async def test_a_booking_that_cannot_move_stays(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR)
    await book(office, WEI, clock.now + 3 * HOUR)

    when = between(clock.now + 2 * HOUR, clock.now + 4 * HOUR)
    refused = await act(office, ADA, CHANGE, id=made["id"], when=when)

    assert refused["__typename"] == "SlotTaken"
    assert await states(office) == ["confirmed", "confirmed"]


async def test_only_the_end_of_what_has_begun_can_change(office: Office, clock: Clock) -> None:
    start = clock.now
    made = await book(office, ADA, start, 2)

    moved = await act(office, ADA, CHANGE, id=made["id"], when=between(start + HOUR, start + 3 * HOUR))
    longer = await act(office, ADA, CHANGE, id=made["id"], when=between(start, start + 3 * HOUR))

    assert moved["__typename"] == "Conflict"
    assert datetime.fromisoformat(longer["reservation"]["endsAt"]) == start + 3 * HOUR
    assert longer["reservation"]["id"] == made["id"]


async def test_of_anothers_booking_is_told_no_more_than_of_none(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR)
    none = global_id("Reservation", "AAAA")

    for query in (CANCEL, CHECK_IN, CHECK_OUT, CHANGE):
        refused = await act(office, WEI, query, id=made["id"])
        assert refused["__typename"] == "NotFound", query
        assert (await act(office, WEI, query, id=none))["__typename"] == "InvalidInput"


async def test_a_cancelled_booking_frees_the_desk(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR)

    cancelled = (await act(office, ADA, CANCEL, id=made["id"]))["reservation"]

    assert (cancelled["state"], cancelled["endedWhy"]) == ("CANCELLED", "BY_HOLDER")
    await book(office, WEI, clock.now + HOUR)
    again = await act(office, ADA, CANCEL, id=made["id"])
    assert (again["__typename"], "CANCELLED" in again["message"]) == ("Conflict", True)


async def test_staff_cancels_for_others(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR)

    cancelled = (await act(office, STAFF, CANCEL, id=made["id"]))["reservation"]

    assert cancelled["endedWhy"] == "BY_STAFF"


# --- what time does --------------------------------------------------------------------------------------------------


async def test_a_desk_is_reserved_when_its_booking_begins_and_given_up_when_nobody_comes(
    office: Office, clock: Clock
) -> None:
    await book(office, ADA, clock.now + HOUR, 2)
    await settle(office)
    assert await status(office) == "AVAILABLE"

    await clock.forward(HOUR)
    await settle(office)
    assert (await status(office), await states(office)) == ("RESERVED", ["due"])

    await clock.forward(timedelta(minutes=30))
    await settle(office)
    assert (await status(office), await states(office)) == ("AVAILABLE", ["released"])


async def test_who_checks_in_has_the_desk_until_the_end(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR, 2)
    await clock.forward(HOUR + timedelta(minutes=29))

    taken = await act(office, ADA, CHECK_IN, id=made["id"])
    assert (taken["reservation"]["state"], await status(office)) == ("CHECKED_IN", "OCCUPIED")

    await clock.forward(2 * HOUR)
    await settle(office)
    assert (await states(office), await status(office)) == (["completed"], "AVAILABLE")


async def test_one_checks_in_within_the_window_alone(office: Office, clock: Clock) -> None:
    start = clock.now + HOUR
    made = await book(office, ADA, start, 2)

    closed = await act(office, ADA, CLOSED, id=made["id"])
    assert closed["code"] == "CHECK_IN_CLOSED"
    assert datetime.fromisoformat(closed["opensAt"]) == start - timedelta(minutes=15)
    assert datetime.fromisoformat(closed["closedAt"]) == start + timedelta(minutes=30)

    await clock.set(start + timedelta(minutes=30))
    late = await act(office, ADA, CHECK_IN, id=made["id"])
    assert late["__typename"] == "Conflict", "what is due is settled first, whether the job runs or not"


async def test_who_comes_early_begins_early_unless_somebody_is_there(office: Office, clock: Clock) -> None:
    start = clock.now + HOUR
    made = await book(office, ADA, start)
    await clock.set(start - timedelta(minutes=10))

    taken = (await act(office, ADA, CHECK_IN, id=made["id"]))["reservation"]

    assert datetime.fromisoformat(taken["startsAt"]) == clock.now
    following = await book(office, WEI, start + HOUR)
    await clock.set(start + timedelta(minutes=50))
    refused = await act(office, WEI, CHECK_IN, id=following["id"])
    assert refused["__typename"] == "SlotTaken"


async def test_who_came_early_stays_longer_by_the_start_that_was_meant_or_that_was(
    office: Office, clock: Clock
) -> None:
    start = clock.now + HOUR
    made = await book(office, ADA, start)
    came = start - timedelta(minutes=10)
    await clock.set(came)
    await act(office, ADA, CHECK_IN, id=made["id"])

    for begin, hours in ((start, 2), (came, 3)):
        longer = await act(office, ADA, CHANGE, id=made["id"], when=between(begin, start + hours * HOUR))
        assert longer["__typename"] == "ReservationChanged", longer
        shown = longer["reservation"]
        assert datetime.fromisoformat(shown["endsAt"]) == start + hours * HOUR
        assert datetime.fromisoformat(shown["startsAt"]) == came
    moved = await act(office, ADA, CHANGE, id=made["id"], when=between(start + HOUR, start + 4 * HOUR))
    assert moved["__typename"] == "Conflict"


async def test_who_checks_out_gives_the_rest_to_others(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now, 4)
    await act(office, ADA, CHECK_IN, id=made["id"])
    await clock.forward(HOUR)

    over = (await act(office, ADA, CHECK_OUT, id=made["id"]))["reservation"]

    assert (over["state"], over["endedWhy"], await status(office)) == ("COMPLETED", "CHECKED_OUT", "AVAILABLE")
    await book(office, WEI, clock.now)


async def test_with_the_job_dead_nothing_is_wrong(office: Office, clock: Clock) -> None:
    await book(office, ADA, clock.now + HOUR, 8)
    await clock.forward(2 * HOUR)

    await book(office, WEI, clock.now)

    assert await states(office) == ["released", "due"]


async def test_nobody_books_a_desk_in_maintenance_for_now_nor_moves_a_booking_there(
    office: Office, clock: Clock
) -> None:
    later = await book(office, ADA, clock.now + 3 * HOUR)
    set_status = f'mutation {{ setWorkstationStatus(id: "{A_02}", status: %s) {{ __typename }} }}'
    await office.data("facilities", set_status % "MAINTENANCE")
    now = between(clock.now, clock.now + HOUR)

    refused = [
        await act(office, ADA, RESERVE, id=A_02, when=now),
        await act(office, ADA, CHANGE, id=later["id"], when=now),
    ]

    assert [answer["__typename"] for answer in refused] == ["Conflict", "Conflict"]
    assert ["in maintenance now" in answer["message"] for answer in refused] == [True, True]
    assert await states(office) == ["confirmed"]
    await office.data("facilities", set_status % "AVAILABLE")


async def test_what_people_set_returns_when_the_booking_is_over(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now)
    assert await status(office) == "RESERVED"
    set_status = (
        f'mutation {{ setWorkstationStatus(id: "{A_02}", status: %s) {{ __typename ... on Refusal {{ message }} }} }}'
    )

    freed = (await office.data("facilities", set_status % "AVAILABLE"))["setWorkstationStatus"]
    assert (freed["__typename"], "A booking keeps this desk until" in freed["message"]) == ("Conflict", True)
    await office.data("facilities", set_status % "MAINTENANCE")
    assert await status(office) == "MAINTENANCE"

    await act(office, ADA, CANCEL, id=made["id"])
    assert await status(office) == "MAINTENANCE"
    await office.data("facilities", set_status % "AVAILABLE")


async def test_a_booked_desk_is_not_taken_away(office: Office, clock: Clock) -> None:
    await book(office, ADA, clock.now + HOUR)

    delete = f'mutation {{ deleteWorkstation(id: "{A_02}") {{ __typename ... on Refusal {{ message }} }} }}'
    refused = (await office.data("facilities", delete))["deleteWorkstation"]

    assert (refused["__typename"], "1 bookings" in refused["message"]) == ("Conflict", True)


async def test_what_is_due_is_told_within_a_second(office: Office, clock: Clock) -> None:
    await clock.follow()
    async with office.socket("hr") as socket:
        socket.subscribe(FOLLOW, {"filter": {"workstationId": A_02}})
        await feed(socket)
        due = datetime.now(UTC) + timedelta(seconds=1)
        await book(office, ADA, due)
        assert [one["state"] for one in (await feed(socket))["reservations"]] == ["CONFIRMED"]

        assert [one["state"] for one in (await feed(socket))["reservations"]] == ["DUE"]

        told = datetime.now(UTC)
        assert due <= told < due + timedelta(seconds=2), "a second, and as much again for a busy machine"
    assert await status(office) == "RESERVED"


DESKS = 5000


async def test_thousands_that_are_due_at_one_moment_are_settled_together(office: Office, clock: Clock) -> None:
    async with office.database.writing(by_command("test")) as transaction:
        for statement in (
            f"INSERT INTO workstations (name, x_position, y_position, building, floor_number)"
            f" SELECT 'D-' || n, 1, 1, '{HQ}', 2 FROM generate_series(1, {DESKS}) n",
            "INSERT INTO reservations (workstation_id, starts_at, ends_at) SELECT id, booking_now_v1()"
            " + interval '1 minute', booking_now_v1() + interval '1 hour' FROM workstations WHERE name LIKE 'D-%'",
        ):
            await transaction.connection.execute(text(statement))
    await numbered(office.database)

    await clock.forward(timedelta(minutes=1))
    began = time.monotonic()
    left = text("SELECT count(*) FROM reservations WHERE state = 'confirmed'")
    async with asyncio.timeout(30):
        while await office.database.scalar(left):  # noqa: ASYNC110  # listening would test the feed with itself
            await asyncio.sleep(0.05)

    assert time.monotonic() - began < 10, "5 s are promised, and as much again for a busy machine"
    reserved = text("SELECT count(*) FROM workstations WHERE status = 'reserved' AND name LIKE 'D-%'")
    assert await office.database.scalar(reserved) == DESKS


# --- whom it is shown to ---------------------------------------------------------------------------------------------


async def listed(office: Office, who: Person, **filter_: Any) -> Any:
    query = """query ($filter: ReservationFilter!, $from: DateTime) { reservations(filter: $filter, from: $from) {
        nodes { ...Booking } } } """ + ANSWER.split("fragment Answer", maxsplit=1)[0]
    given = filter_ or {"workstationId": A_02}
    (found,) = (await ask(office, who, query, {"filter": given, "from": (datetime.now(UTC)).isoformat()})).values()
    return found["nodes"]


@pytest.mark.parametrize(
    ("visibility", "who", "is_named"),
    [
        ("NOBODY", ADA, True),
        ("NOBODY", WEI, False),
        ("NOBODY", ("hr", None), True),
        ("NOBODY", STAFF, True),
        ("EVERYONE", WEI, True),
        ("EVERYONE", ("employee", None), True),
        ("DEPARTMENT", ("employee", None), False),
    ],
    ids=str,
)
async def test_whose_a_booking_is_it_says_itself(
    office: Office, clock: Clock, visibility: str, who: Person, is_named: bool
) -> None:
    await book(office, ADA, clock.now + HOUR, visibility=visibility, note="a secret")

    (found,) = await listed(office, who)

    sees_all = who in (ADA, ("hr", None), STAFF)
    assert (found["holder"] is not None) is is_named
    assert (found["note"], found["version"]) == (("a secret", 1) if sees_all else (None, None))
    assert (found["bookedBy"] is not None) is sees_all


async def test_who_may_not_know_of_bookings_is_refused(office: Office) -> None:
    query = f'{{ reservations(filter: {{workstationId: "{A_02}"}}) {{ nodes {{ id }} }} }}'

    refused = await office.refusal("visitor", query)

    assert refused["extensions"]["code"] == "FORBIDDEN"


@pytest.mark.parametrize(
    "filter_", ["{}", '{building: "HQ"}', '{building: "nowhere", floor: 1}', "{mine: true}", '{workstationId: "x"}']
)
async def test_a_filter_that_means_nothing_is_refused(office: Office, filter_: str) -> None:
    refused = await office.refusal("employee", f"{{ reservations(filter: {filter_}) {{ nodes {{ id }} }} }}")

    assert refused["extensions"]["code"] in {"INVALID_INPUT", "NOT_FOUND"}


async def test_pages_of_bookings_join(office: Office, clock: Clock) -> None:
    for number in range(5):
        await book(office, ADA, clock.now + (number + 1) * HOUR)
    query = """query ($after: String, $from: DateTime) { reservations(filter: {mine: true}, from: $from, first: 2,
        after: $after) { nodes { startsAt } pageInfo { endCursor hasNextPage } } }"""

    found, after, more = [], None, True
    while more:
        variables = {"after": after, "from": clock.now.isoformat()}
        (page,) = (await ask(office, ADA, query, variables)).values()
        found += [datetime.fromisoformat(node["startsAt"]) for node in page["nodes"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]

    assert found == [clock.now + (number + 1) * HOUR for number in range(5)]


# --- live ------------------------------------------------------------------------------------------------------------

FOLLOW = """subscription ($filter: ReservationFilter!) { reservationChanges(filter: $filter) {
    kind cursor removed reservations { id state holder { name } note } } }"""
MINE = (
    "subscription ($after: Cursor) { myReservations(after: $after) { kind cursor removed reservations { id state } } }"
)


async def feed(socket: Any) -> Any:
    (payload,) = (await socket.payload())["data"].values()
    return payload


async def test_every_change_is_live_and_over_is_removed(office: Office, clock: Clock) -> None:
    async with office.socket("hr") as socket:
        socket.subscribe(FOLLOW, {"filter": {"building": HQ, "floor": 1}})
        assert (await feed(socket))["reservations"] == []

        made = await book(office, ADA, clock.now + HOUR)
        shown = await feed(socket)
        assert [(one["id"], one["state"]) for one in shown["reservations"]] == [(made["id"], "CONFIRMED")]

        await act(office, ADA, CANCEL, id=made["id"])
        assert (await feed(socket))["removed"] == [made["id"]]


async def test_ones_own_bookings_go_on_from_their_cursor(office: Office, clock: Clock) -> None:
    token = office.token("employee", employee=ADA_KEY, subject=f"employee-{ADA_KEY}")
    headers = {"host": "office.test", "authorization": f"Bearer {token}"}
    made = await book(office, ADA, clock.now + HOUR)
    socket = Socket(office.app, headers)
    await socket.open()
    socket.subscribe(MINE, {})
    begun = await feed(socket)
    assert [one["id"] for one in begun["reservations"]] == [made["id"]]
    await socket.close()

    await act(office, ADA, CANCEL, id=made["id"])
    await book(office, WEI, clock.now + HOUR)
    own = await book(office, ADA, clock.now + 3 * HOUR)

    socket = Socket(office.app, headers)
    await socket.open()
    socket.subscribe(MINE, {"after": begun["cursor"]})
    missed: dict[str, str] = {}
    while own["id"] not in missed:
        missed |= {one["id"]: one["state"] for one in (await feed(socket))["reservations"]}
    await socket.close()
    assert missed == {made["id"]: "CANCELLED", own["id"]: "CONFIRMED"}


async def test_a_change_of_what_is_hidden_is_no_message(office: Office, clock: Clock) -> None:
    made = await book(office, ADA, clock.now + HOUR, visibility="NOBODY", note="one")
    async with office.socket("employee") as socket:
        socket.subscribe(FOLLOW, {"filter": {"workstationId": A_02}})
        (shown,) = (await feed(socket))["reservations"]
        assert (shown["holder"], shown["note"]) == (None, None)

        async with office.database.writing(by_command("test")) as transaction:
            await transaction.connection.execute(text("UPDATE reservations SET note = 'two'"))
        await act(office, ADA, CANCEL, id=made["id"])

        assert (await feed(socket))["removed"] == [made["id"]], "the hidden change was told of"

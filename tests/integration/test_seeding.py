"""The demo office: believable, the same every time, and written once."""

from collections import Counter

import pytest
from sqlalchemy import text

from graphql_app.domain.access import Scope, View, Viewer
from graphql_app.domain.caller import Caller
from graphql_app.domain.errors import Forbidden
from graphql_app.domain.importing import ImportKind, ImportOutcome
from graphql_app.services.importing.seeding import demo_office, seed
from graphql_app.store.postgres.database import Database

ADMINISTRATOR = Caller(Viewer("seeder", (), View(frozenset({Scope.ADMIN})), None, None, 0.0))


async def test_an_empty_database_gets_the_demo_office(database: Database) -> None:
    report = await seed(database, ADMINISTRATOR)
    assert report is not None
    assert (report.outcome, report.problem_count) == (ImportOutcome.WRITTEN, 0)
    added = {kind: tally.added for kind, tally in report.kinds.items()}
    assert (added[ImportKind.BUILDINGS], added[ImportKind.DEPARTMENTS], added[ImportKind.WORKSTATIONS]) == (2, 8, 300)
    async with database.reading() as connection:
        third = text("SELECT count(*) FROM workstations WHERE building = '总部A座' AND floor_number = 3")
        assert await connection.scalar(third) == 48
        logged = text("SELECT entity, count(*) FROM change_log WHERE actor = 'seeder' GROUP BY entity")
        counts = {row["entity"]: row["count"] for row in await connection.fetch(logged)}
        assert (counts["building"], counts["department"], counts["workstation"]) == (2, 8, 300)
        assert (counts["floor"], counts["employee"]) == (added[ImportKind.FLOORS], added[ImportKind.EMPLOYEES])


async def test_a_database_with_workstations_is_left_alone(database: Database) -> None:
    await seed(database, ADMINISTRATOR)
    async with database.writing(ADMINISTRATOR) as transaction:
        await transaction.connection.execute(text("UPDATE workstations SET notes = 'mine' WHERE id = 1"))
    assert await seed(database, ADMINISTRATOR) is None
    async with database.reading() as connection:
        assert await connection.scalar(text("SELECT notes FROM workstations WHERE id = 1")) == "mine"


async def test_seeding_is_for_administrators(database: Database) -> None:
    with pytest.raises(Forbidden):
        await seed(database, Caller(Viewer("visitor", (), View(frozenset()), None, None, 0.0)))


def test_the_demo_office_is_the_same_every_time() -> None:
    assert demo_office() == demo_office()


def test_occupied_desks_have_an_occupant_of_their_department_and_the_others_none() -> None:
    office = demo_office()
    department = {employee["employee_number"]: employee["department"] for employee in office["employees"]}
    assert len({employee["name"] for employee in office["employees"]}) == len(department)
    seated = [desk for desk in office["workstations"] if desk["employee_number"] is not None]
    assert all(
        desk["status"] == "occupied" and desk["department"] == department[desk["employee_number"]] for desk in seated
    )
    assert max(Counter(desk["employee_number"] for desk in seated).values()) == 1
    assert {desk["status"] for desk in office["workstations"]} == {"available", "occupied", "maintenance", "reserved"}


def test_no_two_desks_of_a_floor_overlap() -> None:
    places = [
        (desk["building"], desk["floor_number"], desk["x_position"] // 120, desk["y_position"] // 20)
        for desk in demo_office()["workstations"]
    ]
    assert len(set(places)) == len(places)

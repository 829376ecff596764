"""The audit log: who did what to which workstation, when and from where; for administrators alone."""

from base64 import b64encode
from binascii import a2b_base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from graphql_app.domain.access import Scope
from graphql_app.domain.caller import by_command
from graphql_app.embedded import Servers
from graphql_app.live.jobs.scheduler import housekeeping_jobs
from graphql_app.services.importing.importing import Importing
from graphql_app.store.log import retention as housekeeping
from tests.graphql_client import (
    A_01,
    A_02,
    HQ,
    SPARE,
    WEI,
    Office,
    fresh_database,
    numbered,
    running_office,
    seed,
    settings_for,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

# May read the audit log, but neither see where desks stand nor who sits there by number.
AUDITOR = [Scope.READ, Scope.ADMIN]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, roles={"auditor": AUDITOR})) as office,
    ):
        yield office


@pytest_asyncio.fixture(loop_scope="module")
async def office(server: Office) -> Office:
    await seed(server.database)
    await numbered(server.database)
    async with server.database.reading() as connection:
        await housekeeping.prune_log(connection, 0, 10_000)
        await housekeeping.prune_audit(connection, 0, 10_000)
    return server


WHO = "id actor action transport address requestId workstationId changed at"
IMAGE = "name status xPosition employeeId employeeName employeeKey departmentName version"
LOG = f"""query ($filter: AuditFilter, $first: Int, $after: String, $last: Int, $before: String) {{
    auditLog(filter: $filter, first: $first, after: $after, last: $last, before: $before) {{
        nodes {{ {WHO} before {{ {IMAGE} }} after {{ {IMAGE} }} }}
        edges {{ cursor }} pageInfo {{ hasNextPage hasPreviousPage endCursor startCursor }} }} }}"""


async def logged(office: Office, role: str = "admin", **variables: Any) -> list[Any]:
    """The entries, the newest first."""
    return list((await office.data(role, LOG, variables))["auditLog"]["nodes"])


async def archived(office: Office) -> None:
    """All that was logged so far has left the change log."""
    await numbered(office.database)
    async with office.database.reading() as connection:
        while await housekeeping.prune_log(connection, 0, 1000):
            pass


CHANGED = "{ __typename ... on WorkstationChanged { receipt } ... on Refusal { message } }"
SET = f'mutation {{ setWorkstationStatus(id: "{A_02}", status: MAINTENANCE) {CHANGED} }}'
EDIT = f'mutation {{ updateWorkstation(id: "{A_02}", input: {{xPosition: 99}}) {CHANGED} }}'


async def test_a_mutation_is_logged_with_who_when_and_from_where(office: Office) -> None:
    began = datetime.now(UTC)
    await office.data("facilities", SET, x_request_id="r-17")

    (entry,) = await logged(office)

    assert timedelta(seconds=-5) < datetime.fromisoformat(entry["at"]) - began < timedelta(seconds=5)
    assert [entry[name] for name in ("actor", "action", "transport", "address", "requestId", "workstationId")] == [
        "facilities", "CHANGED", "HTTP", "127.0.0.1", "r-17", A_02,
    ]  # fmt: skip
    assert entry["changed"] == ["status"]
    assert (entry["before"]["status"], entry["after"]["status"]) == ("AVAILABLE", "MAINTENANCE")
    assert entry["after"]["version"] == entry["before"]["version"] + 1


async def test_what_was_put_up_and_taken_away_has_one_image(office: Office) -> None:
    made = await office.data(
        "admin",
        'mutation { createWorkstation(input: {name: "New", xPosition: 1, yPosition: 1})'
        " { ... on WorkstationChanged { workstation { id } } } }",
    )
    new = made["createWorkstation"]["workstation"]["id"]
    await office.data("admin", f'mutation {{ deleteWorkstation(id: "{new}") {{ __typename }} }}')

    deleted, created = await logged(office, filter={"workstationId": new})

    assert (created["action"], created["before"], created["after"]["name"]) == ("CREATED", None, "New")
    assert (deleted["action"], deleted["before"]["name"], deleted["after"]) == ("DELETED", "New", None)
    assert (created["changed"], deleted["changed"]) == ([], [])


async def test_every_way_in_is_told_apart(office: Office, tmp_path: Path) -> None:
    await office.data("admin", SET)
    async with office.socket("admin") as socket:
        socket.subscribe(EDIT, id="operation-5")
        await socket.payload()
    put = await office.client.put(
        f"/api/workstations/{SPARE}", json={"notes": "n"}, headers={**office.headers("admin"), "x-request-id": "r-2"}
    )
    file = tmp_path / "workstations.csv"
    file.write_text(f"building,floor_number,name,x_position,y_position\n{HQ},1,A-01,5,5\n")
    await Importing(office.database).run(
        by_command("import"), file, kind="workstations", dry_run=False, skip_bad=False, progress=lambda *_: None
    )
    await office.sql("UPDATE workstations SET notes = 'by hand' WHERE id = 1")

    entries = await logged(office)

    assert put.headers["x-request-id"] == "r-2"
    assert [[entry[name] for name in ("transport", "actor", "address", "requestId")] for entry in entries] == [
        ["SQL", f"database:{await office.sql('SELECT session_user')}", entries[0]["address"], None],
        ["COMMAND", "command:import", None, None],
        ["REST", "admin", "127.0.0.1", "r-2"],
        ["SOCKET", "admin", "127.0.0.1", "operation-5"],
        ["HTTP", "admin", "127.0.0.1", entries[4]["requestId"]],
    ]
    assert entries[4]["requestId"]


async def test_what_is_refused_or_rolled_back_is_not_logged(office: Office) -> None:
    await office.data("visitor", SET)
    await office.data("admin", SET.replace("status: MAINTENANCE", "status: MAINTENANCE, expectedVersion: 99"))
    await office.data("admin", f'mutation {{ updateWorkstation(id: "{A_02}", input: {{name: "A-01"}}) {CHANGED} }}')

    assert await logged(office) == []


async def test_a_renamed_employee_is_logged_at_each_desk_that_shows_the_name(office: Office) -> None:
    await office.sql("UPDATE employees SET name = 'Wei Zhang' WHERE id = 1")

    (entry,) = await logged(office)

    assert (entry["workstationId"], entry["changed"]) == (A_01, ["employeeName"])
    assert (entry["before"]["employeeName"], entry["after"]["employeeName"]) == ("张伟", "Wei Zhang")
    assert entry["after"]["employeeKey"] == WEI


async def test_it_is_one_log_whether_an_entry_is_still_in_the_change_log_or_not(office: Office) -> None:
    for n in range(3):
        await office.sql("UPDATE workstations SET notes = :n WHERE id = 1", n=str(n))
    fresh = await logged(office)
    await archived(office)
    assert await logged(office) == fresh

    await office.sql("UPDATE workstations SET notes = 'last' WHERE id = 1")

    assert (await logged(office))[1:] == fresh
    assert await office.sql("SELECT count(*) FROM audit_log") == 3
    assert await office.sql("SELECT count(*) FROM change_log WHERE entity = 'workstation'") == 1


async def test_pages_neither_skip_nor_repeat_while_entries_move_and_come(office: Office) -> None:
    for n in range(7):
        await office.sql("UPDATE workstations SET notes = :n WHERE id = 1", n=str(n))
    whole = [entry["id"] for entry in await logged(office)]
    seen: list[str] = []
    after = None
    for _ in range(4):
        page = (await office.data("admin", LOG, {"first": 2, "after": after}))["auditLog"]
        seen += [entry["id"] for entry in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        await office.sql("UPDATE workstations SET notes = 'later ' || coalesce(notes, '') WHERE id = 2")
        await archived(office)

    assert seen == whole
    assert not page["pageInfo"]["hasNextPage"]
    oldest = (await office.data("admin", LOG, {"last": 2}))["auditLog"]
    assert [entry["id"] for entry in oldest["nodes"]] == whole[-2:]
    before = (await office.data("admin", LOG, {"last": 2, "before": oldest["pageInfo"]["startCursor"]}))["auditLog"]
    assert [entry["id"] for entry in before["nodes"]] == whole[-4:-2]


@pytest.mark.parametrize("is_archived", [False, True])
async def test_it_is_searched_by_workstation_actor_action_and_time(office: Office, is_archived: bool) -> None:
    await office.data("admin", SET)
    await office.data("facilities", EDIT)
    await office.sql("DELETE FROM workstations WHERE id = 5")
    if is_archived:
        await archived(office)
    deleted, edited, set_ = await logged(office)

    async def ids(**matching: Any) -> list[str]:
        return [entry["id"] for entry in await logged(office, filter=matching)]

    assert await ids(workstationId=A_02) == [edited["id"], set_["id"]]
    assert await ids(actor="facilities") == [edited["id"]]
    assert await ids(actions=["DELETED"]) == [deleted["id"]]
    assert await ids(actions=["CREATED", "CHANGED"], workstationId=A_02, actor="admin") == [set_["id"]]
    assert await ids(actions=[]) == []
    assert await ids(since=edited["at"]) == [deleted["id"], edited["id"]]
    assert await ids(since=set_["at"], until=edited["at"]) == [set_["id"]]
    assert await ids(until=set_["at"]) == []


NONSENSE = {
    "an id of something else": ({"workstationId": WEI}, "workstationId"),
    "an actor that is too long": ({"actor": "x" * 1001}, "actor"),
    "an actor with NUL": ({"actor": "\x00"}, "actor"),
    "a moment without a zone": ({"since": "2026-01-01T00:00:00"}, "since"),
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_refused_with_the_field(office: Office, what: str) -> None:
    matching, field = NONSENSE[what]

    error = await office.refusal("admin", LOG, {"filter": matching})

    assert (error["extensions"]["code"], error["extensions"]["field"]) == ("INVALID_INPUT", field)


async def test_an_entry_is_a_node(office: Office) -> None:
    await office.data("admin", SET)
    (entry,) = await logged(office)
    asked = f'{{ node(id: "{entry["id"]}") {{ id ... on AuditEntry {{ actor action after {{ status }} }} }} }}'

    found = await office.data("admin", asked)

    assert found["node"] == {
        "id": entry["id"], "actor": "admin", "action": "CHANGED", "after": {"status": "MAINTENANCE"}
    }  # fmt: skip
    assert (await office.refusal("facilities", asked))["extensions"]["code"] == "FORBIDDEN"


async def test_the_id_of_an_entry_tells_nothing_of_how_many_others_there_are(office: Office) -> None:
    for notes in ("one", "two", "three"):
        await office.sql("UPDATE workstations SET notes = :notes WHERE id = 1", notes=notes)
    ids = [entry["id"] for entry in await logged(office)]
    named = [a2b_base64(id).decode() for id in ids]

    assert ids == [entry["id"] for entry in await logged(office)]
    assert [name.partition(":")[0] for name in named] == ["AuditEntry"] * 3
    numbers = [str(row["seq"]) for row in await office.database.fetch(text("SELECT seq FROM change_log"))]
    assert not any(number in name for name in named for number in numbers if len(number) > 3)
    assert len({len(name) for name in named}) == 1
    await archived(office)
    assert ids == [entry["id"] for entry in await logged(office)]


@pytest.mark.parametrize("key", ["1", "17", "", "x" * 300, "é"])
async def test_an_id_that_was_made_up_is_refused(office: Office, key: str) -> None:
    made_up = b64encode(f"AuditEntry:{key}".encode()).decode()

    error = await office.refusal("admin", f'{{ node(id: "{made_up}") {{ id }} }}')

    assert error["extensions"]["code"] == "INVALID_INPUT"


REQUEST_IDS = ["\x1b[31mred", "a\u202eb", "x" * 65, "é"]


@pytest.mark.parametrize("given", REQUEST_IDS)
async def test_a_request_is_named_by_its_client_in_plain_ascii_or_by_us(office: Office, given: str) -> None:
    own = {**office.headers("admin"), "X-Request-ID": given}
    headers = {name.encode(): value.encode("latin-1", "replace") for name, value in own.items()}
    told = (await office.client.post("/graphql", json={"query": SET}, headers=headers)).headers["X-Request-ID"]
    path = f"/api/workstations/{A_02}"
    by_rest = await office.client.put(path, json={"notes": "x"}, headers=headers)

    rest, graphql = [entry["requestId"] for entry in await logged(office)]

    assert (rest, graphql) == (by_rest.headers["X-Request-ID"], told)
    assert all(id.isascii() and id.isprintable() and 0 < len(id) <= 64 and id != given for id in (rest, graphql))


async def test_what_sql_says_of_its_request_is_shown_as_plain_text(office: Office) -> None:
    async with office.database.engine.begin() as connection:
        await connection.exec_driver_sql("SELECT set_config('graphql_app.request_id', E'a\\r\\n\\x1b[2Jb\u202e', true)")
        await connection.exec_driver_sql("UPDATE workstations SET notes = 'n' WHERE id = 1")

    (entry,) = await logged(office)

    assert entry["requestId"] == r"a\r\n\x1b[2Jb\u202e"


@pytest.mark.parametrize("role", ["visitor", "employee", "facilities", "hr", "operator"])
async def test_only_administrators_read_it(office: Office, role: str) -> None:
    error = await office.refusal(role, LOG)

    assert (error["extensions"]["code"], error["extensions"]["scope"]) == ("FORBIDDEN", "admin")


@pytest.mark.parametrize("is_archived", [False, True])
async def test_what_an_auditor_may_not_see_is_hidden_here_too(office: Office, is_archived: bool) -> None:
    await office.data("admin", EDIT)  # of a hidden field alone
    await office.sql("UPDATE employees SET employee_number = 'E-9' WHERE id = 1")  # likewise
    await office.data("admin", EDIT.replace("xPosition: 99", 'xPosition: 98, notes: "moved"'))
    if is_archived:
        await archived(office)

    (entry,) = await logged(office, "auditor")

    assert entry["changed"] == ["notes"]
    for image in (entry["before"], entry["after"]):
        assert (image["xPosition"], image["employeeId"], image["version"], image["name"]) == (None, None, None, "A-02")
    moved, renumbered, first = await logged(office)
    assert (moved["changed"], renumbered["changed"], first["changed"]) == (
        ["xPosition", "notes"], ["employeeId"], ["xPosition"],
    )  # fmt: skip
    hidden = await office.data("auditor", f'{{ node(id: "{first["id"]}") {{ id }} }}')
    assert hidden == {"node": None}


async def test_it_is_kept_for_as_long_as_the_setting_says(office: Office) -> None:
    assert office.settings.audit_days == 365
    for n in range(3):
        await office.sql("UPDATE workstations SET notes = :n WHERE id = 1", n=str(n))
    await archived(office)
    await office.sql("UPDATE audit_log SET logged_at = now() - interval '366 days' WHERE after->>'notes' = '0'")
    await office.sql("UPDATE audit_log SET logged_at = now() - interval '364 days' WHERE after->>'notes' = '1'")
    jobs = {
        job.name: job
        for job in housekeeping_jobs(
            office.database, log_hours=24, idempotency_hours=24, notification_hours=1, audit_days=365, refresh_seconds=1
        )
    }

    assert not await jobs["prune the audit log"].carry_out()

    assert len(await logged(office)) == 2
    async with office.database.reading() as connection:
        assert [await housekeeping.prune_audit(connection, 1, 1) for _ in range(3)] == [1, 0, 0]


async def test_a_row_that_an_older_release_wrote_names_no_way_in(office: Office) -> None:
    async with office.database.engine.begin() as connection:
        await connection.exec_driver_sql("SELECT set_config('graphql_app.actor', 'somebody', true)")
        await connection.exec_driver_sql("UPDATE workstations SET notes = 'n' WHERE id = 1")

    (entry,) = await logged(office)

    assert (entry["actor"], entry["transport"], entry["address"]) == ("somebody", None, None)

"""Rows that nobody would be let to write today, as an old database may hold them: each is shown as far as it can be,
and disturbs nobody who does not look at it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from graphql_app import observe
from graphql_app.embedded import Servers
from graphql_app.ops.metrics import exposition
from tests.accounts import ME, REFRESH, add_account, ask, login
from tests.graphql_client import A_01, A_02, HQ, Office, fresh_database, numbered, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

# As before any of these was thought of.
UNBOUND = """
ALTER TABLE workstations DROP CONSTRAINT workstations_status_check, DROP CONSTRAINT workstations_equipment_check,
    DROP CONSTRAINT workstations_size_check, DROP CONSTRAINT workstations_moments_check,
    DROP CONSTRAINT workstations_name_form_check;
ALTER TABLE workstations DISABLE TRIGGER workstations_values_v1;
ALTER TABLE workstations DISABLE TRIGGER workstations_stamp_v1;
ALTER TABLE notifications DROP CONSTRAINT notifications_level_check, DROP CONSTRAINT notifications_text_check,
    DROP CONSTRAINT notifications_moments_check;
ALTER TABLE accounts DROP CONSTRAINT accounts_moments_check;
ALTER TABLE login_sessions DROP CONSTRAINT login_sessions_moments_check;
ALTER TABLE refresh_tokens DROP CONSTRAINT refresh_tokens_moments_check;
"""

MOMENTS = st.sampled_from(
    [
        "infinity",
        "-infinity",
        "20000-01-01",
        "294276-12-31 23:59:59.999999Z",
        "4713-01-01 BC",
        "0001-01-01",
        "9999-12-31",
    ]
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
DEEP = st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth)
EQUIPMENT = (
    DEEP
    | TEXTS
    | st.sampled_from(
        ['{"a": 12345678901234567890123}', "1e999", '"\\ud800"', '{"a": "\\u0000"}', "[" * 253 + "1" + "]" * 253, "NaN"]
    )
)
JSONS = st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner))
LABELS = JSONS | st.fixed_dictionaries({"floor": TEXTS, "department": JSONS, "employee": JSONS})
NUMBERS = st.sampled_from(["NaN", "-99999999.99", "0", "-1", "8"])
DESKS = st.one_of(
    st.tuples(st.just("equipment"), st.just("text"), EQUIPMENT),
    st.tuples(st.sampled_from(["notes", "name"]), st.just("text"), TEXTS),
    st.tuples(st.just("status"), st.just("text"), TEXTS),
    st.tuples(st.sampled_from(["x_position", "y_position", "width", "height"]), st.just("numeric"), NUMBERS),
    st.tuples(st.sampled_from(["created_at", "updated_at"]), st.just("timestamptz"), MOMENTS),
    st.tuples(st.just("labels"), st.just("jsonb"), LABELS.map(lambda value: json.dumps(value).replace("\\u0000", ""))),
    st.tuples(st.just("version"), st.just("integer"), st.sampled_from(["-5", "2147483646"])),
)
NOTIFICATIONS = st.one_of(
    st.tuples(st.just("expires_at"), st.just("timestamptz"), MOMENTS),
    st.tuples(st.just("created_at"), st.just("timestamptz"), MOMENTS),
    st.tuples(st.sampled_from(["title", "body", "level"]), st.just("text"), TEXTS),
)
A_FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))

DESK = "id name status equipment notes xPosition yPosition width height createdAt updatedAt version floorName"
DESK += " department { id name } employee { id name department { name } } employeeId building floorNumber"
IMAGE = "name status equipment notes xPosition createdAt updatedAt version floorName departmentName employeeName"
EVERYTHING = f"""{{
    workstation(id: "{A_02}") {{ {DESK} }}
    floor(building: "{HQ}", number: 1) {{ cursor stats {{ total available }} workstations {{ {DESK} }} }}
    byMoment: workstations(orderBy: {{field: CREATED_AT}}) {{ edges {{ cursor node {{ {DESK} }} }} totalCount }}
    byPlace: workstations(orderBy: {{field: X_POSITION}}) {{ edges {{ cursor node {{ {DESK} }} }} }}
    byStatus: workstations(orderBy: {{field: STATUS}}) {{ edges {{ cursor node {{ id }} }} }}
    filtered: workstations(filter: {{equipmentContains: "[", xMin: 0}}) {{ nodes {{ id }} }}
    workstationStats(groupBy: DEPARTMENT) {{ key total }}
    auditLog(first: 20) {{ nodes {{ at changed before {{ {IMAGE} }} after {{ {IMAGE} }} }} }}
    notifications {{ nodes {{ id level title body expiresAt createdAt }} }}
}}"""
CHANGES = (
    f'subscription ($after: Cursor) {{ workstationChanges(filter: {{building: "{HQ}", floorNumber: 1}}, after: $after)'
)
CHANGES += f" {{ kind cursor workstations {{ {DESK} }} }} }}"
TOLD = "subscription { notifications { kind notifications { id level title expiresAt createdAt } } }"


@asynccontextmanager
async def undisturbed() -> AsyncIterator[None]:
    """Fails when anything went wrong that somebody else notices."""
    bad = (observe.Unexpected, observe.FeedFailed, observe.IsolatedFailure, observe.Resynced, observe.JobFailed)
    found: list[observe.News] = []
    end = observe.listen(lambda news: found.append(news) if isinstance(news, bad) else None)
    try:
        yield
    finally:
        end()
    assert found == []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    # With floors in memory, kept true by the feed.
    async with (
        fresh_database(servers, template) as url,
        running_office(settings_for(url, servers, cache_rows=1000)) as office,
    ):
        await seed(office.database)
        await numbered(office.database)
        async with office.database.reading() as connection:
            await connection.driver.execute(UNBOUND)
        yield office


async def every_door(office: Office, socket: Any) -> None:
    """Everything is answered, by all who look at it and by all who look beside it."""
    answer = await office.ask("admin", EVERYTHING)
    assert "errors" not in answer, answer["errors"]
    headers = office.headers("admin")
    for path in (f"/{A_02}", f"/{A_01}", "", "/stats?group=floor"):
        assert (await office.client.get(f"/api/workstations{path}", headers=headers)).status_code == 200, path
    polled = await office.client.get("/api/changes", params={"wait": 0, "building": HQ, "floor": 1}, headers=headers)
    assert polled.status_code == 200, polled.text
    for at, document in enumerate((CHANGES, TOLD)):
        socket.subscribe(document, id=f"fresh {at}")
        while (message := await socket.receive())["id"] != f"fresh {at}":
            pass
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        socket.send({"type": "complete", "id": f"fresh {at}"})


async def heard(socket: Any, id: str, name: str) -> Any:
    """The next payload of a subscription that tells of something."""
    while True:
        message = await socket.receive()
        if message.get("id") != id:
            continue
        assert message["type"] == "next", message
        assert "errors" not in message["payload"], message
        feed = message["payload"]["data"][name]
        assert feed["kind"] in ("SNAPSHOT", "CHANGES", "PROGRESS"), feed
        if feed.get("workstations") or feed.get("notifications"):
            return feed


@given(written=DESKS)
@example(("equipment", "text", "[" * 253 + "1" + "]" * 253))
@example(("equipment", "text", "12345678901234567890"))
@example(("created_at", "timestamptz", "infinity"))
@example(("status", "text", "broken"))
@example(("x_position", "numeric", "NaN"))
@example(("labels", "jsonb", "[]"))
@A_FEW
async def test_whatever_a_desk_holds_it_is_shown_and_disturbs_nobody(
    office: Office, written: tuple[str, str, str]
) -> None:
    column, of, value = written
    await seed(office.database)
    await office.sql("UPDATE workstations SET version = 5")
    await numbered(office.database)
    async with undisturbed(), office.socket("admin") as socket:
        socket.subscribe(CHANGES, id="before")
        await heard(socket, "before", "workstationChanges")

        # With something besides that every view notices.
        values = {"version": "6", "building": f"'{HQ}'", "floor_number": "1", "height": "7", column: f"$1::text::{of}"}
        changes = ", ".join(f"{name} = {new}" for name, new in values.items())
        async with office.database.reading() as connection:
            await connection.driver.execute(f"UPDATE workstations SET {changes} WHERE id = 2", value)
        told = await heard(socket, "before", "workstationChanges")

        assert [desk["id"] for desk in told["workstations"]] == [A_02]
        await every_door(office, socket)


@given(written=NOTIFICATIONS)
@example(("expires_at", "timestamptz", "infinity"))
@example(("level", "text", "loud"))
@A_FEW
async def test_whatever_a_notification_holds_it_disturbs_nobody(office: Office, written: tuple[str, str, str]) -> None:
    column, of, value = written
    async with undisturbed(), office.socket("admin") as socket:
        await office.sql("DELETE FROM notifications")
        await numbered(office.database)
        socket.subscribe(
            "subscription { notifications(snapshot: false) { kind notifications { id title } } }", id="before"
        )

        values = {"title": "'x'", column: f"$1::text::{of}"}
        insert = f"INSERT INTO notifications ({', '.join(values)}) VALUES ({', '.join(values.values())})"
        async with office.database.reading() as connection:
            await connection.driver.execute(insert, value)
        await office.sql("INSERT INTO notifications (title) VALUES ('after it')")
        told: list[str] = []
        while "after it" not in told:
            told += [one["title"] for one in (await heard(socket, "before", "notifications"))["notifications"]]
        await every_door(office, socket)


OF_ADA = "(SELECT id FROM accounts WHERE name = 'ada')"
OF_ACCOUNTS = {
    "accounts.tokens_from": "name = 'ada'",
    "login_sessions.created_at": f"account_id = {OF_ADA}",
    "login_sessions.revoked_at": f"account_id = {OF_ADA}",
    "refresh_tokens.expires_at": f"session_id IN (SELECT id FROM login_sessions WHERE account_id = {OF_ADA})",
}


@pytest.mark.parametrize("moment", ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC", "9999-12-31"])
@pytest.mark.parametrize(
    "column",
    ["accounts.tokens_from", "login_sessions.created_at", "login_sessions.revoked_at", "refresh_tokens.expires_at"],
)
async def test_whatever_is_said_of_an_account_a_server_starts_and_others_log_in(
    servers: Servers, office: Office, column: str, moment: str
) -> None:
    await office.sql("DELETE FROM accounts")
    for name in ("ada", "bob"):
        await add_account(office, name, "facilities")
    await numbered(office.database)
    ada, bob = [await login(office, name) for name in ("ada", "bob")]
    table, name = column.split(".")

    async with undisturbed():
        async with office.database.reading() as connection:
            which = {"accounts": "id", "login_sessions": "account_id"}.get(table)
            ids = "(SELECT id FROM accounts WHERE name = 'ada')"
            where = (
                f"{which} = {ids}"
                if which
                else f"session_id IN (SELECT id FROM login_sessions WHERE account_id = {ids})"
            )
            await connection.driver.execute(f"UPDATE {table} SET {name} = '{moment}' WHERE {where}")
        await numbered(office.database)
        await every_account(office, ada, bob)
        settings = office.settings.model_copy(update={"cache_rows": 0})
        async with running_office(settings) as restarted:
            await every_account(restarted, ada, bob)


async def every_account(office: Office, ada: Any, bob: Any) -> None:
    """One is let in or not, the other is."""
    async with asyncio.timeout(10):
        while (await office.client.get("/readyz")).status_code != 200:  # noqa: ASYNC110  # asked over HTTP
            await asyncio.sleep(0.05)
    answer = await ask(office, ME, token=ada["accessToken"])
    assert {error["extensions"]["code"] for error in answer.get("errors", ())} <= {"UNAUTHENTICATED"}, answer
    assert (await ask(office, ME, token=bob["accessToken"]))["data"]["me"]["subject"] == "bob"
    for answer in (await login(office, "ada"), await ask(office, REFRESH, {"token": ada["refreshToken"]})):
        assert "errors" not in answer, answer


async def test_an_entry_of_the_log_that_nobody_can_read_is_left_out_and_counted(office: Office) -> None:
    await seed(office.database)
    await office.sql("UPDATE workstations SET version = 2 WHERE id = 2")
    await numbered(office.database)
    floor: dict[str, str] = {"building": HQ, "floor": "1", "wait": "0"}
    headers = office.headers("admin")
    cursor = (await office.client.get("/api/changes", params=floor, headers=headers)).json()["cursor"]
    async with running_office(office.settings) as beside:  # has nothing of it in memory
        for key in (1, 2):
            await office.sql(f"UPDATE workstations SET notes = 'news', version = version + 1 WHERE id = {key}")
        await numbered(office.database)
        broken = (
            "UPDATE change_log SET after = '[5]' WHERE entity = 'workstation' AND entity_id = '1' AND after IS NOT NULL"
        )
        await office.sql(broken)

        found: list[observe.News] = []
        end = observe.listen(lambda news: found.append(news) if isinstance(news, observe.EntryUnreadable) else None)
        listed = await office.data("admin", "{ auditLog(first: 3) { nodes { workstationId } } }")
        end()
        floor["after"] = cursor
        resumed = (await beside.client.get("/api/changes", params=floor, headers=headers)).json()

    assert {one["workstationId"] for one in listed["auditLog"]["nodes"]} >= {A_02}
    assert found[0] == observe.EntryUnreadable("audit_log", "workstation", "1", "TypeError")
    assert A_02 in [one["id"] for one in resumed["workstations"]]
    assert resumed["kind"] in ("CHANGES", "RESYNC")
    metrics = exposition(None)[0].decode()
    assert 'graphql_app_log_entries_unreadable_total{log="audit_log"}' in metrics

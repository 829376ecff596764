"""Notifications: published, kept, found by those whom they are for, and forgotten."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from graphql_app.domain.caller import Caller
from graphql_app.domain.identifiers import global_id, parse
from graphql_app.domain.notification import Audience
from graphql_app.live.jobs.scheduler import housekeeping_jobs
from graphql_app.services.notifications import Notify
from graphql_app.store import notifications
from graphql_app.store.log import retention as housekeeping
from tests.graphql_client import (
    A_01,
    ADA_KEY,
    HQ,
    RESEARCH,
    WEI_KEY,
    Office,
    Socket,
    numbered,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLISH = """mutation ($input: PublishNotificationInput!) { publishNotification(input: $input) {
    __typename
    ... on NotificationPublished { receipt notification {
        id level title body building floorNumber department { name } role createdAt expiresAt } }
    ... on Refusal { code message } ... on InvalidInput { field } } }"""


async def publish(office: Office, title: str, **values: Any) -> Any:
    answer = await office.data("operator", PUBLISH, {"input": {"title": title, **values}})
    return answer["publishNotification"]


async def titles(office: Office, role: str, employee: UUID | None = None, arguments: str = "") -> list[str]:
    """The notifications for somebody, as they are listed."""
    token = office.token(role, employee=employee)
    query = f"{{ notifications{arguments} {{ nodes {{ title }} }} }}"
    response = await office.client.post("/graphql", json={"query": query}, headers={"authorization": f"Bearer {token}"})
    return [node["title"] for node in response.json()["data"]["notifications"]["nodes"]]


# --- following -------------------------------------------------------------------------------------------------------


async def test_who_moves_to_another_department_between_look_up_and_join_is_told_to_subscribe_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_up = Notify._department

    async def before_a_move(notify: Notify, caller: Caller) -> int | None:
        found = await look_up(notify, caller)
        await office.sql("UPDATE employees SET department_id = 2 WHERE public_key = :key", key=WEI_KEY)
        await numbered(office.database)
        await notify._history.reached(await office.sql("SELECT revision FROM feed_head"))
        return found

    monkeypatch.setattr(Notify, "_department", before_a_move)
    token = office.token("employee", employee=WEI_KEY)
    socket = Socket(office.app, {"host": "office.test", "authorization": f"Bearer {token}"})
    await socket.open()
    socket.subscribe("subscription { notifications { kind } }")
    message = await socket.receive()
    await socket.close()

    assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "CONFLICT")


# --- publishing ------------------------------------------------------------------------------------------------------


async def test_what_is_published_is_answered_as_it_is_kept(office: Office) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    targets = {"building": HQ, "floorNumber": 1, "departmentId": RESEARCH, "role": "hr", "expiresAt": until.isoformat()}

    answer = await publish(office, "电梯停运", body="今天 3 点", level="WARNING", **targets)

    shown = answer["notification"]
    assert datetime.fromisoformat(shown.pop("expiresAt")) == until
    assert datetime.fromisoformat(shown.pop("createdAt")).tzinfo is not None
    assert parse(shown.pop("id"))[0] == "Notification"
    assert shown == {
        "level": "WARNING",
        "title": "电梯停运",
        "body": "今天 3 点",
        "building": HQ,
        "floorNumber": 1,
        "department": {"name": "Research"},
        "role": "hr",
    }


async def test_an_id_does_not_tell_how_many_notifications_there_are(office: Office) -> None:
    first, second = [(await publish(office, title))["notification"]["id"] for title in ("one", "two")]
    keys = [parse(one)[1] for one in (first, second)]

    assert len(set(keys)) == 2
    assert not any(key.isdigit() for key in keys)
    for id, title in ((first, "one"), (second, "two")):
        query = f'{{ node(id: "{id}") {{ ... on Notification {{ id title }} }} }}'
        assert await office.data("hr", query) == {"node": {"id": id, "title": title}}


@pytest.mark.parametrize("key", ["1", "9" * 30, "AAAA", "工位"])
async def test_an_id_with_a_row_number_is_refused(office: Office, key: str) -> None:
    await publish(office, "one")
    id = global_id("Notification", key)

    refused = await office.refusal("hr", f'{{ node(id: "{id}") {{ id }} }}')

    assert refused["extensions"]["code"] == "INVALID_INPUT"


@pytest.mark.parametrize("role", ["visitor", "employee", "facilities", "hr"])
async def test_only_operators_and_admins_publish(office: Office, role: str) -> None:
    answer = await office.data(role, PUBLISH, {"input": {"title": "Free lunch"}})

    assert answer["publishNotification"]["__typename"] == "Forbidden"
    assert await office.sql("SELECT count(*) FROM notifications") == 0


NOWHERE: list[tuple[dict[str, Any], str]] = [
    ({"building": "Nowhere"}, "building"),
    ({"building": HQ, "floorNumber": 99}, "floorNumber"),
    ({"floorNumber": 1}, "building"),
    ({"departmentId": global_id("Department", 999)}, "departmentId"),
    ({"departmentId": A_01}, "departmentId"),
    ({"role": "nobody has it"}, "role"),
    ({"expiresAt": "2020-01-01T00:00:00Z"}, "expiresAt"),
    ({"title": "t" * 201}, "title"),
]


@pytest.mark.parametrize(("targets", "field"), NOWHERE, ids=lambda given: repr(given)[:30])
async def test_a_target_that_does_not_exist_is_invalid_input(
    office: Office, targets: dict[str, Any], field: str
) -> None:
    answer = await publish(office, **{"title": "Hello", **targets})

    assert (answer["__typename"], answer["field"]) == ("InvalidInput", field)
    assert await office.sql("SELECT count(*) FROM notifications") == 0


async def test_the_same_key_twice_publishes_once(office: Office) -> None:
    variables = {"input": {"title": "Fire drill"}}
    first = await office.data("operator", PUBLISH, variables, idempotency_key="k")
    again = await office.data("operator", PUBLISH, variables, idempotency_key="k")

    shown = [answer["publishNotification"]["notification"] for answer in (first, again)]
    assert shown[0] == shown[1]
    assert await office.sql("SELECT count(*) FROM notifications") == 1


async def test_a_repeated_request_about_what_is_gone_since_says_so(office: Office) -> None:
    variables = {"input": {"title": "Fire drill"}}
    await office.data("operator", PUBLISH, variables, idempotency_key="k")
    await office.sql("DELETE FROM notifications")

    again = await office.data("operator", PUBLISH, variables, idempotency_key="k")

    assert again["publishNotification"]["__typename"] == "Conflict"


# --- reading ---------------------------------------------------------------------------------------------------------


async def test_everybody_finds_what_is_for_them_the_newest_first(office: Office) -> None:
    await publish(office, "all")
    await publish(office, "hr", role="hr")
    await publish(office, "research", departmentId=RESEARCH)
    await publish(office, "hr of research", role="hr", departmentId=RESEARCH)

    assert await titles(office, "visitor") == ["all"]
    assert await titles(office, "admin") == ["all"], "who may publish is told no more than others"
    assert await titles(office, "hr") == ["hr", "all"]
    assert await titles(office, "employee", WEI_KEY) == ["research", "all"]
    assert await titles(office, "hr", WEI_KEY) == ["hr of research", "research", "hr", "all"]
    assert await titles(office, "employee", ADA_KEY) == ["all"], "another department"
    assert await titles(office, "employee", UUID(int=0xFF)) == ["all"], "an employee who has left"


async def test_a_place_narrows_what_is_listed(office: Office) -> None:
    await publish(office, "all")
    await publish(office, "house", building=HQ)
    await publish(office, "first floor", building=HQ, floorNumber=1)
    await publish(office, "annex", building="Annex")

    assert await titles(office, "visitor") == ["annex", "first floor", "house", "all"]
    assert await titles(office, "visitor", arguments=f'(building: "{HQ}")') == ["first floor", "house", "all"]
    assert await titles(office, "visitor", arguments=f'(building: "{HQ}", floor: 2)') == ["house", "all"]


async def test_what_has_expired_is_not_found(office: Office) -> None:
    await publish(office, "over", expiresAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    await office.sql("UPDATE notifications SET expires_at = now()")

    assert await titles(office, "visitor") == []


async def test_a_list_is_paged_both_ways_while_it_grows(office: Office) -> None:
    for number in range(5):
        await publish(office, str(number))
    query = """query ($first: Int, $after: String, $last: Int, $before: String) {
        notifications(first: $first, after: $after, last: $last, before: $before) {
            nodes { title } edges { cursor node { title } }
            pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }"""

    async def page(**variables: Any) -> tuple[list[str], dict[str, Any]]:
        found = (await office.data("visitor", query, variables))["notifications"]
        assert [edge["node"] for edge in found["edges"]] == found["nodes"]
        return [node["title"] for node in found["nodes"]], found["pageInfo"]

    one, info = await page(first=2)
    await publish(office, "5")
    two, info = await page(first=2, after=info["endCursor"])
    three, end = await page(first=2, after=info["endCursor"])
    back, _ = await page(last=2, before=info["startCursor"])

    assert (one, two, three, back) == (["4", "3"], ["2", "1"], ["0"], ["4", "3"])
    assert (end["hasNextPage"], end["hasPreviousPage"]) == (False, True)


async def test_a_cursor_of_another_audience_s_list_is_refused(office: Office) -> None:
    await publish(office, "all")
    query = "query ($after: String) { notifications(first: 1, after: $after) { pageInfo { endCursor } } }"
    cursor = (await office.data("visitor", query))["notifications"]["pageInfo"]["endCursor"]

    error = await office.refusal("hr", query, {"after": cursor})

    assert error["extensions"] == {"code": "INVALID_INPUT", "field": "after"}


async def test_a_notification_is_a_node_to_those_whom_it_is_for(office: Office) -> None:
    id = (await publish(office, "hr", role="hr"))["notification"]["id"]
    query = f'{{ node(id: "{id}") {{ __typename id ... on Notification {{ title }} }} }}'

    assert await office.data("hr", query) == {"node": {"__typename": "Notification", "id": id, "title": "hr"}}
    assert await office.data("admin", query) == {"node": None}


# --- the store -------------------------------------------------------------------------------------------------------

AUDIENCES = [
    Audience(frozenset(roles), department, building, floor)
    for roles, department, building, floor in product(
        ([], ["hr"], ["hr", "visitor"]), (None, 1, 2), (None, HQ, "Annex"), (None, 1, -1)
    )
]


async def test_a_part_of_them_begins_behind_the_last_of_the_part_before(office: Office) -> None:
    for title in ("a", "b", "c"):
        await publish(office, title)
    everybody, seen, after = Audience(frozenset({"visitor"})), list[str](), 0
    while part := await notifications.told_to(office.database, everybody, after, 2):
        seen += [one.title for one in part]
        after = part[-1].id
        assert len(seen) < 10
    assert seen == ["a", "b", "c"]


async def test_sql_and_memory_agree_on_whom_it_is_for(office: Office) -> None:
    for (building, floor), department, role in product(
        ((None, None), (HQ, None), (HQ, 1), (HQ, 2), ("Annex", -1)), (None, 1, 2), (None, "hr", "visitor")
    ):
        await office.sql(
            "INSERT INTO notifications (title, building, floor_number, department_id, role)"
            " VALUES ('x', :b, :f, :d, :r)",
            b=building,
            f=floor,
            d=department,
            r=role,
        )
    async with office.database.reading() as connection:
        everything = [await notifications.published(connection, key) for key in range(1, 46)]
        for audience in AUDIENCES:
            in_memory = [one for one in everything if one and audience.is_told(one, datetime.now(UTC))]
            assert await notifications.told_to(connection, audience) == in_memory, audience
            assert list(await notifications.by_id(connection, audience, range(1, 46))) == [n.id for n in in_memory]


async def logged(office: Office) -> list[tuple[Any, ...]]:
    rows = await office.database.fetch(
        text(
            "SELECT actor, entity_id, before ->> 'title', after ->> 'title' FROM change_log"
            " WHERE entity = 'notification' ORDER BY seq DESC LIMIT 3"
        )
    )
    return [tuple(row) for row in rows][::-1]


async def test_a_notification_of_psql_is_logged_as_one_of_the_api_is(office: Office) -> None:
    await office.sql("INSERT INTO notifications (title) VALUES ('by hand')")
    await office.sql("UPDATE notifications SET title = 'corrected'")
    await office.sql("UPDATE notifications SET title = 'corrected'")
    await office.sql("DELETE FROM notifications")

    actors = {actor for actor, *_ in await logged(office)}
    assert [entry[1:] for entry in await logged(office)] == [
        ("1", None, "by hand"),
        ("1", "by hand", "corrected"),
        ("1", "corrected", None),
    ]
    assert all(actor.startswith("database:") for actor in actors)
    await publish(office, "by the API")
    assert (await logged(office))[-1] == ("operator", "2", None, "by the API")


async def test_targets_follow_when_a_building_or_a_floor_is_renamed(office: Office) -> None:
    await publish(office, "first floor", building=HQ, floorNumber=1)

    await office.sql("UPDATE buildings SET name = 'Tower' WHERE name = :name", name=HQ)
    await office.sql("UPDATE floors SET number = 7 WHERE building = 'Tower' AND number = 1")

    assert await titles(office, "visitor", arguments='(building: "Tower", floor: 7)') == ["first floor"]
    assert await titles(office, "visitor", arguments='(building: "Tower", floor: 1)') == []


async def test_what_is_for_nobody_any_more_is_gone(office: Office) -> None:
    await publish(office, "annex", building="Annex", floorNumber=-1)
    await publish(office, "research", departmentId=RESEARCH)
    await office.sql("DELETE FROM workstations")
    await office.sql("DELETE FROM employees")

    await office.sql("DELETE FROM floors WHERE building = 'Annex'")
    await office.sql("DELETE FROM departments WHERE id = 1")

    assert await office.sql("SELECT count(*) FROM notifications") == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE notifications SET id = 7",
        "TRUNCATE notifications",
        "INSERT INTO notifications (title, floor_number) VALUES ('x', 1)",
        "INSERT INTO notifications (title) VALUES ('')",
        "INSERT INTO notifications (title, level) VALUES ('x', 'loud')",
    ],
)
async def test_what_would_break_the_story_is_refused_in_psql_too(office: Office, statement: str) -> None:
    await publish(office, "kept")

    with pytest.raises(Exception, match=r"DEFAULT|would not be logged|violates check"):
        await office.sql(statement)

    assert await titles(office, "visitor") == ["kept"]


async def test_old_notifications_are_forgotten_a_batch_at_a_time(office: Office) -> None:
    for number in range(3):
        await publish(office, str(number))
    await office.sql("UPDATE notifications SET created_at = now() - interval '2 hours' WHERE title <> '2'")
    async with office.database.reading() as connection:
        counts = [await housekeeping.prune_notifications(connection, 1, 1) for _ in range(3)]

    assert counts == [1, 1, 0]
    assert await titles(office, "visitor") == ["2"]


async def test_the_leading_process_forgets_old_notifications_by_the_clock(office: Office) -> None:
    await publish(office, "old")
    await publish(office, "new")
    await office.sql("UPDATE notifications SET created_at = now() - interval '721 hours' WHERE title = 'old'")
    jobs = {
        job.name: job
        for job in housekeeping_jobs(
            office.database,
            log_hours=24,
            idempotency_hours=24,
            notification_hours=office.settings.notification_hours,
            audit_days=office.settings.audit_days,
            refresh_seconds=office.settings.refresh_seconds,
        )
    }

    assert not await jobs["forget old notifications"].carry_out()
    assert await titles(office, "visitor") == ["new"]

"""What one door lets in, every other shows, and the same: GraphQL by literal and by variable, REST, import and SQL in;
queries, REST, long-poll, event stream, subscription and audit log out."""

import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphql_app.domain.importing import ImportKind
from graphql_app.domain.values import DEPTH_MOST, INTEGER_MOST, MOMENT_FIRST, MOMENT_LAST
from graphql_app.embedded import Servers
from graphql_app.services.importing.files import ImportFile
from graphql_app.services.importing.importing import Importing
from tests.examples import caller
from tests.graphql_client import A_02, HQ, Office, Socket, fresh_database, running_office, seed, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

A_FEW = settings(max_examples=7, deadline=None, suppress_health_check=list(HealthCheck))

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MOST, INTEGER_MOST)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
JSONS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


EQUIPMENT = (JSONS | st.builds(nested, SCALARS, st.just(DEPTH_MOST))).filter(lambda value: value not in (None, ""))
COORDINATES = st.integers(-9_999_999_999, 9_999_999_999).map(lambda hundredths: hundredths / 100)
# Nothing of a file tells a blank cell from one that is left out.
NOTES = TEXTS.filter(lambda text: text.strip() != "").map(lambda text: text.replace("\r", ""))

FIELDS = "name equipment notes xPosition yPosition createdAt"
SHOWN = ("name", "equipment", "notes", "xPosition", "yPosition", "createdAt")
UPDATE = "mutation ($id: ID!, $input: UpdateWorkstationInput!) { updateWorkstation(id: $id, input: $input)"
UPDATE += " { __typename ... on Refusal { code message } } }"


def literal(value: Any) -> str:
    if isinstance(value, dict):
        raise ValueError("its names may be such as GraphQL has none")
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    return json.dumps(value)


async def by_variable(office: Office, values: Mapping[str, Any]) -> None:
    answer = await office.data("admin", UPDATE, {"id": A_02, "input": dict(values)})
    assert answer["updateWorkstation"]["__typename"] == "WorkstationChanged", answer


async def by_literal(office: Office, values: Mapping[str, Any]) -> None:
    try:
        given = ", ".join(f"{name}: {literal(value)}" for name, value in values.items())
    except ValueError:
        await by_variable(office, values)
        return
    answer = await office.data(
        "admin", f'mutation {{ updateWorkstation(id: "{A_02}", input: {{{given}}}) {{ __typename }} }}'
    )
    assert answer["updateWorkstation"]["__typename"] == "WorkstationChanged", answer


async def by_rest(office: Office, values: Mapping[str, Any]) -> None:
    answer = await office.client.put(f"/api/workstations/{A_02}", json=dict(values), headers=office.headers("admin"))
    assert answer.status_code == 200, answer.text


PLACE = {"building": HQ, "floor_number": "1", "name": "A-02"}


async def imported(office: Office, form: Literal["csv", "json"], content: str) -> None:
    file = content.encode()
    source = ImportFile(f"desks.{form}", form, io.BytesIO(file), len(file))
    report = await Importing(office.database).take(caller("admin"), source, kind=ImportKind.WORKSTATIONS)
    assert report.problem_count == 0, report


async def by_csv(office: Office, values: Mapping[str, Any]) -> None:
    row = {**PLACE, **values, "equipment": json.dumps(values["equipment"])}
    text = io.StringIO()
    writer = csv.DictWriter(text, row)
    writer.writeheader()
    writer.writerow(row)
    await imported(office, "csv", text.getvalue())


async def by_json(office: Office, values: Mapping[str, Any]) -> None:
    equipment = values["equipment"]
    if not isinstance(equipment, (dict, list)):  # a text is one of JSON
        equipment = json.dumps(equipment)
    await imported(office, "json", json.dumps([{**PLACE, "floor_number": 1, **values, "equipment": equipment}]))


async def by_sql(office: Office, values: Mapping[str, Any]) -> None:
    async with office.database.reading() as connection:
        await connection.driver.execute(
            "UPDATE workstations SET equipment = $1, notes = $2, x_position = $3::float8::numeric,"
            " y_position = $4::float8::numeric WHERE id = 2",
            json.dumps(values["equipment"]),
            values["notes"],
            values["xPosition"],
            values["yPosition"],
        )


DOORS: list[Callable[[Office, Mapping[str, Any]], Awaitable[None]]] = [
    by_variable,
    by_literal,
    by_rest,
    by_csv,
    by_json,
    by_sql,
]


class Outside:
    """Everybody who looks at one desk, by every door out."""

    def __init__(self, office: Office, socket: Socket) -> None:
        self.office = office
        self.socket = socket
        self.cursor = ""

    async def begin(self) -> None:
        self.socket.subscribe(
            f'subscription {{ workstationChanges(filter: {{ids: ["{A_02}"]}}) {{ workstations {{ {FIELDS} }} }} }}'
        )
        await self.socket.payload()
        self.cursor = (await self._polled("")).json()["cursor"]

    async def shown(self) -> list[dict[str, Any]]:
        office, headers = self.office, self.office.headers("admin")
        told = (await self.socket.payload())["data"]["workstationChanges"]["workstations"][-1]
        polled = (await self._polled(self.cursor)).json()
        after, self.cursor = self.cursor, polled["cursor"]
        asked = await office.data(
            "admin",
            f'{{ one: workstation(id: "{A_02}") {{ {FIELDS} }}'
            f' node(id: "{A_02}") {{ ... on Workstation {{ {FIELDS} }} }}'
            f' floor(building: "{HQ}", number: 1) {{ workstations {{ {FIELDS} }} }}'
            f' workstations(filter: {{ids: ["{A_02}"]}}) {{ nodes {{ {FIELDS} }} }}'
            f' auditLog(first: 1, filter: {{workstationId: "{A_02}"}}) {{ nodes {{ after {{ {FIELDS} }} }} }} }}',
        )
        rest = (await office.client.get(f"/api/workstations/{A_02}", headers=headers)).json()
        listed = (await office.client.get("/api/workstations?name=A-02", headers=headers)).json()["items"]
        streamed = await self._streamed(after)
        return [
            asked["one"],
            asked["node"],
            *(desk for desk in asked["floor"]["workstations"] if desk["name"] == "A-02"),
            *asked["workstations"]["nodes"],
            asked["auditLog"]["nodes"][0]["after"],
            told,
            *(desk for desk in polled["workstations"] if desk["id"] == A_02),
            rest,
            *listed,
            *(desk for desk in streamed["workstations"] if desk["id"] == A_02),
        ]

    async def _polled(self, after: str) -> Any:
        query = {"building": HQ, "floor": "1", "wait": "5", **({"after": after} if after else {})}
        return await self.office.client.get("/api/changes", params=query, headers=self.office.headers("admin"))

    async def _streamed(self, after: str) -> Any:
        """As the payload of a subscription that resumes, which is what an event stream sends too."""
        async with self.office.socket("admin") as socket:
            socket.subscribe(
                "subscription ($after: Cursor) { workstationChanges(filter:"
                f' {{building: "{HQ}", floorNumber: 1}}, after: $after) {{ workstations {{ id {FIELDS} }} }} }}',
                {"after": after},
            )
            return (await socket.payload())["data"]["workstationChanges"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outside(servers: Servers, template: str) -> AsyncIterator[Outside]:
    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        await seed(office.database)
        async with office.socket("admin") as socket:
            outside = Outside(office, socket)
            await outside.begin()
            yield outside


@pytest.mark.parametrize("write", DOORS)
@given(equipment=EQUIPMENT, notes=NOTES, x=COORDINATES, y=COORDINATES)
@A_FEW
async def test_what_one_door_lets_in_every_other_shows_the_same(
    outside: Outside,
    write: Callable[[Office, Mapping[str, Any]], Awaitable[None]],
    equipment: Any,
    notes: str,
    x: float,
    y: float,
) -> None:
    values = {"equipment": equipment, "notes": notes, "xPosition": x, "yPosition": y}
    # So that there is a change whatever was there.
    await outside.office.sql("UPDATE workstations SET equipment = NULL, notes = NULL, x_position = 1 WHERE id = 2")
    await outside.shown()

    await write(outside.office, values)
    shown = [{name: desk[name] for name in SHOWN} for desk in await outside.shown()]

    assert len(shown) == 10
    assert all(desk == shown[0] for desk in shown), shown
    assert {name: shown[0][name] for name in values} == values


MOMENTS = st.datetimes(MOMENT_FIRST.replace(tzinfo=None), MOMENT_LAST.replace(tzinfo=None), timezones=st.just(UTC))


@given(moment=MOMENTS | st.sampled_from([MOMENT_FIRST, MOMENT_LAST]))
@A_FEW
async def test_a_moment_is_the_same_at_every_door(outside: Outside, moment: datetime) -> None:
    office = outside.office
    await office.sql("UPDATE workstations SET created_at = now(), notes = clock_timestamp()::text WHERE id = 2")
    await outside.shown()

    async with office.database.reading() as connection:
        await connection.driver.execute("SET timezone = 'Asia/Shanghai'")
        await connection.driver.execute("UPDATE workstations SET created_at = $1 WHERE id = 2", moment)
        await connection.driver.execute("SET timezone = 'UTC'")
    shown = {desk["createdAt"] for desk in await outside.shown()}

    assert {datetime.fromisoformat(one) for one in shown} == {moment}
    assert len(shown) == 1


PUBLISH = 'mutation ($at: DateTime) { publishNotification(input: {title: "x", expiresAt: $at})'
PUBLISH += " { ... on NotificationPublished { notification { id expiresAt } } } }"
FUTURE = st.datetimes(datetime(2100, 1, 1), MOMENT_LAST.replace(tzinfo=None), timezones=st.just(UTC))


@given(moment=FUTURE | st.just(MOMENT_LAST))
@A_FEW
async def test_the_end_of_a_notification_is_the_same_at_every_door(outside: Outside, moment: datetime) -> None:
    office = outside.office
    async with office.socket("admin") as socket:
        socket.subscribe("subscription { notifications(snapshot: false) { notifications { id expiresAt } } }")
        await socket.payload()
        made = (await office.data("admin", PUBLISH, {"at": moment.isoformat()}))["publishNotification"]["notification"]
        told = (await socket.payload())["data"]["notifications"]["notifications"]
    listed = (await office.data("admin", "{ notifications(first: 1) { nodes { id expiresAt } } }"))["notifications"]

    assert told == listed["nodes"] == [made]
    assert datetime.fromisoformat(made["expiresAt"]) == moment

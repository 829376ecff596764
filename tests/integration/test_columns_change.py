"""Columns are changed while everybody works, as by a migration or by hand: nobody notices."""

import asyncio
from typing import Any

import pytest

from graphql_app import observe
from tests.accounts import LOGIN, PASSWORD, add_account, ask
from tests.graphql_client import A_02, HQ, WEI, Office, numbered

pytestmark = pytest.mark.asyncio(loop_scope="module")

TIMES = 6
AT_ONCE = 6
# What a statement was prepared for is another type afterwards.
WIDER = (
    "ALTER TABLE workstations ALTER COLUMN name TYPE varchar({})",
    "ALTER TABLE notifications ALTER COLUMN building TYPE varchar({})",
    "ALTER TABLE accounts ALTER COLUMN name TYPE varchar({})",
    "ALTER TABLE employees ALTER COLUMN name TYPE varchar({})",
    "ALTER TABLE floors ALTER COLUMN name TYPE varchar({})",
)
CREATE = "mutation ($name: String!) { it: createWorkstation(input: {name: $name, xPosition: 1, yPosition: 1})"
CREATE += " { __typename ... on Refusal { code message } } }"
PUBLISH = 'mutation { it: publishNotification(input: {title: "x"}) { __typename ... on Refusal { code message } } }'
SEAT = f"""mutation {{
    it: assignWorkstation(id: "{A_02}", employeeId: "{WEI}") {{ __typename ... on Refusal {{ code message }} }}
    freed: releaseWorkstation(id: "{A_02}") {{ __typename ... on Refusal {{ code message }} }} }}"""
FLOOR = f'{{ floor(building: "{HQ}", number: 1) {{ name cursor workstations {{ name employee {{ name }} }} }} }}'


async def create(office: Office, name: str) -> Any:
    return (await office.data("admin", CREATE, {"name": name}))["it"]["__typename"]


async def publish(office: Office, name: str) -> Any:
    return (await office.data("admin", PUBLISH))["it"]["__typename"]


async def seat(office: Office, name: str) -> Any:
    done = await office.data("admin", SEAT)
    return done["it"]["__typename"], done["freed"]["__typename"]


async def log_in(office: Office, name: str) -> Any:
    answer = await ask(office, LOGIN, {"name": "ada", "password": PASSWORD})
    return answer["data"]["login"]["__typename"]


async def look(office: Office, name: str) -> Any:
    return (await office.data("admin", FLOOR))["floor"]["name"]


async def follow(office: Office, name: str) -> Any:
    query = {"building": HQ, "floor": "1", "wait": "0"}
    return (await office.client.get("/api/changes", params=query, headers=office.headers("admin"))).status_code


# Of one desk each waits for the other, and of logins that nobody has finished only a few are let in.
ALONE = {seat: 1, log_in: 3}


@pytest.mark.parametrize(
    ("work", "done"),
    [
        (create, "WorkstationChanged"),
        (publish, "NotificationPublished"),
        (seat, ("WorkstationChanged", "WorkstationChanged")),
        (log_in, "SignedIn"),
        (look, "大堂"),
        (follow, 200),
    ],
)
async def test_nobody_notices_that_columns_are_changed(
    office: Office, work: Any, done: Any, news: list[observe.News]
) -> None:
    await office.sql("DELETE FROM accounts")
    await add_account(office, "ada", "facilities")
    await numbered(office.database)

    for time in range(TIMES):
        # First all of them prepare their statements, on as many connections as they take.
        for widths in (None, 200 + time):
            for statement in WIDER if widths else ():
                await office.sql(statement.format(widths))
            names = [f"{work.__name__} {time} {widths} {at}" for at in range(ALONE.get(work, AT_ONCE))]
            assert set(await asyncio.gather(*(work(office, name) for name in names))) == {done}

    assert not [one for one in news if isinstance(one, (observe.Unexpected, observe.FeedFailed, observe.Resynced))]

"""What the database takes of those who write SQL is what domain/values.py takes of everybody else."""

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from graphql_app.domain.values import (
    DEPTH_MOST,
    INTEGER_MOST,
    JSON_MOST,
    MOMENT_FIRST,
    MOMENT_LAST,
    is_carried,
    json_text_problem,
)
from graphql_app.domain.workstation import equipment_value
from graphql_app.embedded import Servers
from graphql_app.store.postgres.database import Database
from tests.graphql_client import fresh_database, seed

pytestmark = pytest.mark.asyncio(loop_scope="module")

INTEGERS = st.integers(-(2**70), 2**70) | st.sampled_from([INTEGER_MOST, INTEGER_MOST + 1, -INTEGER_MOST - 1])
NUMBERS = st.builds(
    "{}{}".format, INTEGERS, st.sampled_from(["", ".5", "e3", "E-400", "e308", "e309", ".0000000000000000001"])
)
TEXTS = st.text(max_size=10).map(json.dumps) | st.sampled_from(
    ['"\\u0000"', '"\\ud800"', '"[[[{{"', '"\\\\"', '"1e999"']
)
LEAVES = NUMBERS | TEXTS | st.sampled_from(["null", "true", "NaN", "-", "01", "1.", "'x'", ""])
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]") | inner.map('{{"a": {}}}'.format)
    ),
    max_leaves=5,
)


def nested(depth: int, inner: str = "") -> str:
    return "[" * depth + inner + "]" * depth


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def connection(servers: Servers, template: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    async with fresh_database(servers, template) as url:
        database = Database(url)
        await seed(database)
        await database.close()
        connection = await asyncpg.connect(url)
        yield connection
        await connection.close()


@given(DOCUMENTS)
@example(nested(DEPTH_MOST))
@example(nested(DEPTH_MOST + 1))
@example(nested(DEPTH_MOST, "1"))
@example(nested(DEPTH_MOST - 1, "{}"))
@example(nested(DEPTH_MOST, '"[[[["'))
@example("[" + "[],{}," * 100 + "[]]")
@example(nested(9_999))
@example('"' + "x" * (JSON_MOST - 2) + '"')
@example('"' + "x" * (JSON_MOST - 1) + '"')
@example("9" * 5_000)
@example("0." + "0" * 400 + "1")
@example("0." + "0" * 400)
@example("1" * 310 + ".5")
@example("0e999")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_json_is_taken_or_not_as_by_every_other_door(
    connection: "asyncpg.Connection[asyncpg.Record]", written: str
) -> None:
    told = await connection.fetchval("SELECT json_problem_v1($1)", written)

    assert (told is None) == (json_text_problem(written) is None), (told, json_text_problem(written))
    if told is None:
        assert is_carried(written)
        assert equipment_value(written) == json.loads(written)


OUTSIDE = ["infinity", "-infinity", "20000-01-01", "0044-03-15 BC", "9999-12-31T00:00:00Z", "0001-01-01T23:00:00Z"]
MOMENTS = {
    "workstations": ("created_at",),
    "notifications": ("created_at", "expires_at"),
    "accounts": ("tokens_from", "created_at"),
    "login_sessions": ("created_at", "last_used_at", "revoked_at"),
    "refresh_tokens": ("issued_at", "expires_at", "used_at"),
}
BELOW = """
INSERT INTO notifications (title) VALUES ('x');
INSERT INTO accounts (name, password_hash, role) VALUES ('ada', '', 'visitor');
INSERT INTO login_sessions (account_id) SELECT id FROM accounts;
INSERT INTO refresh_tokens (session_id, token_hash, expires_at) SELECT id, '', now() FROM login_sessions;
"""


async def test_a_moment_outside_of_what_all_can_hold_is_refused(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await connection.execute(BELOW)
    for table, columns in MOMENTS.items():
        for column in columns:
            for moment in (MOMENT_FIRST, MOMENT_LAST):
                await connection.execute(f"UPDATE {table} SET {column} = $1", moment)
            for written in OUTSIDE:
                with pytest.raises(asyncpg.CheckViolationError, match=f"{table}_moments_check"):
                    await connection.execute(f"UPDATE {table} SET {column} = '{written}'")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("equipment = repeat('[', 193) || repeat(']', 193)", "nested too deeply"),
        ("equipment = '12345678901234567890'", "integer"),
        ("notes = repeat('x', 10001)", "10,000"),
        ("x_position = 'NaN'", "NaN"),
        ("width = 'NaN'", "NaN"),
    ],
)
async def test_what_no_other_door_takes_is_refused(
    connection: "asyncpg.Connection[asyncpg.Record]", change: str, why: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=why):
        await connection.execute(f"UPDATE workstations SET {change} WHERE id = 1")


async def test_a_row_of_before_is_still_assigned_and_moved(
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    await connection.execute("ALTER TABLE workstations DISABLE TRIGGER workstations_values_v1")
    await connection.execute("UPDATE workstations SET equipment = repeat('[', 300) || repeat(']', 300) WHERE id = 2")
    await connection.execute("ALTER TABLE workstations ENABLE TRIGGER workstations_values_v1")

    await connection.execute(
        "UPDATE workstations SET status = 'maintenance', x_position = 5, equipment = equipment WHERE id = 2"
    )

"""Every entity that the migrated database writes into its log is registered, and the other way round."""

import re
from collections.abc import AsyncIterator, Iterable

import asyncpg
import pytest_asyncio

from graphql_app.store.postgres.driver import Connection
from graphql_app.store.schema.entities import ENTITIES


@pytest_asyncio.fixture
async def psql(database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


# Of each trigger: its table, its arguments, and the body of its function.
TRIGGERS = r"""
SELECT c.relname AS "table", p.prosrc AS source, t.tgargs AS arguments
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
WHERE NOT t.tgisinternal
"""
WRITES = re.compile(r"INSERT\s+INTO\s+change_log\s*\(\s*entity\b.*?SELECT\s+(TG_ARGV\[\d+\]|'[^']*')", re.S | re.I)
ANY_WRITE = re.compile(r"INSERT\s+INTO\s+change_log", re.I)


def entities_of(source: str, arguments: bytes) -> Iterable[str]:
    """What a trigger writes as `entity`: a text of its function, or one of its arguments."""
    found = WRITES.findall(source)
    assert len(found) == len(ANY_WRITE.findall(source)), (
        "a trigger writes into change_log in a way this test cannot read"
    )
    given = arguments.split(b"\0")
    for name in found:
        yield given[int(name[8:-1])].decode() if name.startswith("TG_ARGV") else name.strip("'")


async def written(psql: Connection) -> set[str]:
    triggers = await psql.fetch(TRIGGERS)
    return {name for trigger in triggers for name in entities_of(trigger["source"], trigger["arguments"])}


async def test_every_entity_that_a_trigger_writes_is_registered(psql: Connection) -> None:
    assert await written(psql) - set(ENTITIES) == set()


async def test_every_registered_entity_is_written_by_a_trigger(psql: Connection) -> None:
    assert set(ENTITIES) - await written(psql) == set()


async def test_nothing_but_a_trigger_writes_the_log(psql: Connection) -> None:
    """Else there would be entities that no trigger names."""
    functions = await psql.fetch(
        "SELECT proname, prosrc FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace"
        " WHERE nspname = 'public' AND prorettype <> 'trigger'::regtype"
    )

    assert [one["proname"] for one in functions if ANY_WRITE.search(one["prosrc"])] == []


async def test_a_trigger_of_an_entity_that_is_not_registered_is_found(psql: Connection) -> None:
    await psql.execute("CREATE TABLE unheard_of (id integer PRIMARY KEY)")
    await psql.execute(
        "CREATE TRIGGER unheard_of_inserted_v1 AFTER INSERT ON unheard_of REFERENCING NEW TABLE AS new_rows"
        " FOR EACH STATEMENT EXECUTE FUNCTION office_changed_v1('unheard_of')"
    )

    assert await written(psql) - set(ENTITIES) == {"unheard_of"}

"""/api/export/{kind}: the same file as the command writes, for whoever may see it, a few at once."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from graphql_app.domain.caller import by_command
from graphql_app.domain.errors import RateLimited, Unavailable
from graphql_app.domain.exporting import ExportFormat
from graphql_app.domain.importing import ImportKind
from graphql_app.domain.workbooks import WorkbookWriter
from graphql_app.embedded import Servers
from graphql_app.rest.export import MEDIA
from graphql_app.services.importing import exporting as exporting_module
from graphql_app.services.importing.exporting import AT_ONCE_MOST, Exporting
from graphql_app.services.importing.seeding import seed
from tests.graphql_client import Office, fresh_database, running_office, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(servers: Servers, template: str) -> AsyncIterator[Office]:
    async with fresh_database(servers, template) as url, running_office(settings_for(url, servers)) as office:
        await seed(office.database, by_command("seed"))
        yield office


@pytest.mark.parametrize("form", list(ExportFormat))
@pytest.mark.parametrize("kind", list(ImportKind))
async def test_the_file_is_the_one_that_the_command_writes(
    office: Office, kind: ImportKind, form: ExportFormat
) -> None:
    answer = await office.client.get(f"/api/export/{kind}?format={form}", headers=office.headers("admin"))

    pieces = [piece async for piece in Exporting(office.database).begin(by_command("x"), [kind], form).pieces()]
    assert (answer.status_code, answer.content) == (200, b"".join(pieces))
    assert answer.headers["content-type"] == MEDIA[form]
    assert answer.headers["content-disposition"] == f'attachment; filename="{kind}.{form}"'
    assert answer.headers["cache-control"] == "no-store"


async def test_what_a_role_may_not_see_is_no_column_of_it(office: Office) -> None:
    shown = {}
    for role in ("visitor", "employee", "hr", "admin"):
        answer = await office.client.get("/api/export/workstations?format=json", headers=office.headers(role))
        shown[role] = set(json.loads(answer.content)["workstations"][0])
    assert shown["admin"] - shown["visitor"] == {"employee_number", "x_position", "y_position", "width", "height"}
    assert shown["admin"] - shown["employee"] == {"employee_number"}
    assert "employee_number" in shown["hr"]


async def test_without_a_token_or_a_kind_nothing_is_read(office: Office) -> None:
    assert (await office.client.get("/api/export/workstations")).status_code == 401
    for path in ("/api/export/desks", "/api/export/floors?format=pdf", "/api/export/floors?fromat=csv"):
        answer = await office.client.get(path, headers=office.headers("admin"))
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), path


async def test_a_head_has_the_fields_and_reads_nothing(office: Office) -> None:
    answer = await office.client.head("/api/export/workstations", headers=office.headers("admin"))
    assert (answer.status_code, answer.content) == (200, b"")
    assert "attachment" in answer.headers["content-disposition"]


async def test_no_more_than_a_few_run_at_once_and_who_leaves_makes_room(office: Office) -> None:
    exporting = Exporting(office.database)

    def pieces() -> AsyncIterator[bytes]:
        return exporting.begin(by_command("x"), [ImportKind.WORKSTATIONS], ExportFormat.CSV).pieces()

    running = [pieces() for _ in range(AT_ONCE_MOST)]
    for one in running:
        await anext(one)
    with pytest.raises(RateLimited, match="come back in"):
        await anext(pieces())
    for one in running:
        await one.aclose()  # type: ignore[attr-defined]  # a generator
    assert await anext(pieces())


async def test_a_workbook_that_is_given_up_is_closed_beside_the_loop(office: Office) -> None:
    pieces = Exporting(office.database).begin(by_command("x"), [ImportKind.WORKSTATIONS], ExportFormat.XLSX).pieces()
    closed_in: list[str] = []
    close = WorkbookWriter.close

    def closing(writer: WorkbookWriter) -> None:
        close(writer)
        closed_in.append(threading.current_thread().name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkbookWriter, "close", closing)
        for _ in range(3):
            await anext(pieces)
        await pieces.aclose()
        async with asyncio.timeout(10):
            while not closed_in:  # noqa: ASYNC110  # a thread says so
                await asyncio.sleep(0.01)
    assert [name.startswith("export") for name in closed_in] == [True]


async def test_who_takes_an_export_too_slowly_gives_its_connection_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting_module, "LONGEST_SECONDS", 0.05)
    pieces = Exporting(office.database).begin(by_command("x"), [ImportKind.WORKSTATIONS], ExportFormat.CSV).pieces()
    await anext(pieces)
    await asyncio.sleep(0.1)
    with pytest.raises(Unavailable, match="not read as fast"):
        async for _ in pieces:
            pass

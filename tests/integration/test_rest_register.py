"""The register by REST: the same use cases as GraphQL, with ETags, conditions and problems."""

from typing import Any
from uuid import UUID

import pytest
from httpx import Response

from graphql_app.domain.identifiers import global_id
from tests.graphql_client import ADA, ANNEX, HQ, LOBBY, MAIN, PERSONNEL, RESEARCH, WEI, Office

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Path -> who writes it, what is new there, what is changed, one that others refer to and by how many, and none.
RESOURCES: dict[str, tuple[str, dict[str, Any], dict[str, Any], str, list[str], str]] = {
    "/api/buildings": (
        "facilities",
        {"name": "Tower", "timeZone": "Asia/Shanghai"},
        {"timeZone": "UTC"},
        MAIN,
        ["floors"],
        global_id("Building", 999),
    ),
    "/api/floors": (
        "facilities",
        {"building": "Annex", "number": 5, "name": "Roof"},
        {"name": "Attic"},
        LOBBY,
        ["workstations"],
        global_id("Floor", 999),
    ),
    "/api/departments": (
        "facilities",
        {"name": "Design"},
        {"name": "Studio"},
        RESEARCH,
        ["employees", "workstations"],
        global_id("Department", 999),
    ),
    "/api/employees": (
        "hr",
        {"name": "Grace", "employeeNumber": "E-7", "departmentId": RESEARCH},
        {"departmentId": None},
        WEI,
        ["workstations"],
        global_id("Employee", UUID(int=0xFF)),
    ),
}


async def sent(office: Office, method: str, path: str, role: str, body: Any = None, **headers: str) -> Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await office.client.request(method, path, json=body, headers={**office.headers(role), **given})


LISTS = {
    "/api/buildings": ["Annex", HQ],
    "/api/floors": ["Basement", "大堂", "研发"],
    "/api/floors?building=Annex": ["Basement"],
    "/api/departments": ["Research", "人事部"],
    "/api/employees": ["Ada Lovelace", "张伟"],
    f"/api/employees?department={RESEARCH}": ["张伟"],
}


@pytest.mark.parametrize("path", LISTS)
async def test_what_there_is_is_listed(office: Office, path: str) -> None:
    items = (await sent(office, "GET", path, "visitor")).json()["items"]

    assert sorted(item["name"] for item in items) == sorted(LISTS[path])


async def test_employees_are_paged(office: Office) -> None:
    first = await sent(office, "GET", "/api/employees?first=1", "visitor")
    second = await sent(office, "GET", first.json()["next"], "visitor")

    assert first.headers["link"].endswith('rel="next"')
    assert [page.json()["items"][0]["id"] for page in (first, second)] == [ADA, WEI]
    assert second.json()["next"] is None


@pytest.mark.parametrize("path", RESOURCES)
async def test_one_is_made_read_changed_and_deleted(office: Office, path: str) -> None:
    role, new, changes, *_ = RESOURCES[path]

    made = await sent(office, "POST", path, role, new, idempotency_key="k")
    again = await sent(office, "POST", path, role, new, idempotency_key="k")
    here = made.headers["location"]
    read = await sent(office, "GET", here, role)
    known = await sent(office, "GET", here, role, if_none_match=read.headers["etag"])
    changed = await sent(office, "PUT", here, role, changes, if_match=read.headers["etag"])
    late = await sent(office, "PUT", here, role, changes, if_match=read.headers["etag"])
    gone = await sent(office, "DELETE", here, role, if_match=changed.headers["etag"])

    statuses = [one.status_code for one in (made, again, read, known, changed, late, gone)]
    assert statuses == [201, 201, 200, 304, 200, 412, 204], [made.text, changed.text, gone.text]
    assert made.json() == again.json() == read.json()
    assert (read.json()["version"], changed.json()["version"]) == (1, 2)
    assert {**read.json(), **_shown(changes), "version": 2} == changed.json()
    assert all(one.headers["x-receipt"] for one in (made, changed, gone))
    assert (await sent(office, "GET", here, role)).status_code == 404


def _shown(changes: dict[str, Any]) -> dict[str, Any]:
    return {"department" if name == "departmentId" else name: value for name, value in changes.items()}


@pytest.mark.parametrize("path", RESOURCES)
async def test_what_is_refused_is_a_problem_that_says_why(office: Office, path: str) -> None:
    role, new, changes, used, by, none = RESOURCES[path]

    in_use = await sent(office, "DELETE", f"{path}/{used}", role)
    assert (in_use.status_code, in_use.json()["code"]) == (409, "IN_USE")
    assert sorted(in_use.json()["references"]) == by
    for method, where, body, who, status, code in (
        ("PUT", f"{path}/{none}", changes, role, 404, "NOT_FOUND"),
        ("PUT", f"{path}/x", changes, role, 400, "INVALID_INPUT"),
        ("PUT", f"{path}/{used}", {"nonsense": 1}, role, 400, "INVALID_INPUT"),
        ("POST", path, new, "visitor", 403, "FORBIDDEN"),
        ("DELETE", f"{path}/{used}", None, "visitor", 403, "FORBIDDEN"),
    ):
        refused = await sent(office, method, where, who, body)
        assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert (await office.client.request("POST", path, json=new)).status_code == 401


TAKEN = [
    ("/api/buildings", "facilities", {"name": HQ}),
    ("/api/floors", "facilities", {"building": HQ, "number": 1}),
    ("/api/departments", "facilities", {"name": "Research"}),
    ("/api/employees", "hr", {"name": "x", "employeeNumber": "E-1001"}),
]


@pytest.mark.parametrize(("path", "role", "new"), TAKEN)
async def test_there_are_no_two_of_a_name_or_number(office: Office, path: str, role: str, new: dict[str, Any]) -> None:
    refused = await sent(office, "POST", path, role, new)

    assert (refused.status_code, refused.json()["code"]) == (409, "NAME_TAKEN")


async def test_a_time_zone_that_does_not_exist_is_refused_by_its_field(office: Office) -> None:
    refused = await sent(office, "PUT", f"/api/buildings/{ANNEX}", "facilities", {"timeZone": "Mars/Olympus"})

    assert (refused.status_code, refused.json()["field"]) == (400, "timeZone")


async def test_an_employee_is_shown_as_the_token_may_see_them(office: Office) -> None:
    shown = {role: (await sent(office, "GET", f"/api/employees/{WEI}", role)).json() for role in ("visitor", "hr")}

    assert (shown["hr"]["employeeNumber"], shown["hr"]["version"]) == ("E-1001", 1)
    assert (shown["visitor"]["employeeNumber"], shown["visitor"]["version"]) == (None, None)


async def test_a_tag_tells_nothing_of_a_number_that_was_changed(office: Office) -> None:
    before = (await sent(office, "GET", f"/api/employees/{ADA}", "visitor")).headers["etag"]
    await sent(office, "PUT", f"/api/employees/{ADA}", "hr", {"employeeNumber": "E-8"})
    after = (await sent(office, "GET", f"/api/employees/{ADA}", "visitor")).headers["etag"]

    assert before == after


async def test_a_new_name_is_on_the_desks_that_show_it(office: Office) -> None:
    done = await sent(office, "PUT", f"/api/departments/{PERSONNEL}", "facilities", {"name": "People"})
    desks = await sent(
        office, "GET", f"/api/workstations?department={PERSONNEL}", "visitor", x_min_cursor=done.headers["x-receipt"]
    )

    assert {desk["department"]["name"] for desk in desks.json()["items"]} == {"People"}

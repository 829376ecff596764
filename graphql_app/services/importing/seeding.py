"""A demo office, the same every time, brought in through the door that every file takes."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from graphql_app.domain.access import Scope, require
from graphql_app.domain.caller import Caller
from graphql_app.domain.importing import Report
from graphql_app.services.importing.files import ImportFile
from graphql_app.services.importing.importing import Importing
from graphql_app.store.office.loading import has_workstations
from graphql_app.store.postgres.database import Database


async def seed(database: Database, caller: Caller) -> Report | None:
    """Writes the demo office; None, and nothing is done, when there are workstations already.

    Raises Forbidden, Conflict, ReadOnly, Unavailable.
    """
    require(caller.viewer, Scope.ADMIN)
    if await has_workstations(database):
        return None
    document = json.dumps(demo_office(), ensure_ascii=False).encode()
    return await Importing(database).take(caller, ImportFile("demo office", "json", BytesIO(document), len(document)))


# --- the plan --------------------------------------------------------------------------------------------------------

AISLE = 120  # between blocks of desks, in the unit of the floor plan
DESK_WIDTH, DESK_HEIGHT = 120, 80


@dataclass(frozen=True, slots=True)
class _Floor:
    """Desks stand in rows of `columns`, back to back in pairs of rows; each pair belongs to one department."""

    building: str
    number: int
    name: str
    prefix: str
    columns: int
    departments: tuple[str, ...]


_A, _R = "总部A座", "Riverside"
_BUILDINGS = {_A: "Asia/Shanghai", _R: "Europe/London"}
_FLOORS = (
    _Floor(_A, 1, "一层 接待", "A1", 8, ("市场部", "市场部", "人力资源部")),
    _Floor(_A, 2, "二层 产品与设计", "A2", 8, ("产品部", "产品部", "设计部")),
    _Floor(_A, 3, "三层 研发", "A3", 8, ("研发部", "研发部", "研发部")),
    _Floor(_A, 4, "四层 研发与财务", "A4", 8, ("研发部", "研发部", "Finance")),
    _Floor(_R, 0, "Ground floor", "R0", 6, ("Customer Support", "Customer Support", "Customer Support")),
    _Floor(_R, 1, "First floor", "R1", 6, ("Sales", "Sales", "Customer Support")),
    _Floor(_R, 2, "Second floor", "R2", 6, ("Sales", "Finance", "Finance")),
)
_WITHOUT_A_DESK = 15

# Counting by sevens through twenty spreads the statuses over a row without a visible pattern.
_STATUSES = ("occupied",) * 7 + ("reserved",) * 2 + ("maintenance",) + ("available",) * 10
_EQUIPMENT: tuple[dict[str, Any] | None, ...] = (
    {"monitors": 2, "dock": "USB-C", "chair": "Aeron"},
    {"monitors": 1, "dock": "USB-C"},
    {"monitors": 2, "dock": "雷电4", "standing": True, "height_cm": 72.5},
    None,
    {"monitors": 1, "phone": True, "accessories": ["keyboard", "mouse"]},
)
_NOTES = {0: "靠窗", 11: "Next to the printer", 23: "临近会议室"}

_SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡林郭何高罗"
_GIVEN = "伟 芳 娜 敏 静 丽 强 磊 军 洋 勇 艳 杰 涛 明 超 秀英 建华 晓东 雨桐 子涵 思远 梓萱 浩然 欣怡"
_FIRST = "Oliver Amelia George Isla Arthur Ava Noah Ivy Leo Freya Harry Grace Oscar Sophie Henry Emily"
_LAST = "Smith Jones Taylor Brown Davies Evans Thomas Wilson Roberts Walker Wright Hughes Green"


def demo_office() -> dict[str, list[dict[str, Any]]]:
    """The office as a file of it would hold it."""
    employees = _Employees()
    workstations = [desk for floor in _FLOORS for desk in _desks(floor, employees)]
    departments = list(dict.fromkeys(name for floor in _FLOORS for name in floor.departments))
    for number in range(_WITHOUT_A_DESK):
        employees.hire(departments[number % len(departments)])
    return {
        "buildings": [{"name": name, "time_zone": zone} for name, zone in _BUILDINGS.items()],
        "floors": [{"building": floor.building, "number": floor.number, "name": floor.name} for floor in _FLOORS],
        "departments": [{"name": name} for name in departments],
        "employees": employees.hired,
        "workstations": workstations,
    }


class _Employees:
    """Hired one by one: E0001, E0002 …"""

    def __init__(self) -> None:
        self.hired: list[dict[str, Any]] = []
        self._names: defaultdict[bool, int] = defaultdict(int)

    def hire(self, department: str) -> str:
        """Their number."""
        chinese = not department.isascii()
        place = self._names[chinese]
        self._names[chinese] += 1
        number = f"E{len(self.hired) + 1:04}"
        self.hired.append({"employee_number": number, "name": _name(place, chinese), "department": department})
        return number


def _name(place: int, chinese: bool) -> str:
    if chinese:
        given = _GIVEN.split()
        return _SURNAMES[place % len(_SURNAMES)] + given[place * 7 % len(given)]
    first, last = _FIRST.split(), _LAST.split()
    return f"{first[place % len(first)]} {last[place * 5 % len(last)]}"


def _desks(floor: _Floor, employees: _Employees) -> Iterator[dict[str, Any]]:
    for place in range(2 * len(floor.departments) * floor.columns):
        row, column = divmod(place, floor.columns)
        department = floor.departments[row // 2]
        status = _STATUSES[(place * 7 + floor.number) % len(_STATUSES)]
        yield {
            "building": floor.building,
            "floor_number": floor.number,
            "name": f"{floor.prefix}-{place + 1:02}",
            "department": department,
            "employee_number": employees.hire(department) if status == "occupied" else None,
            "x_position": 100 + column * DESK_WIDTH + column // 4 * AISLE,
            "y_position": 100 + row * DESK_HEIGHT + row // 2 * AISLE,
            "width": DESK_WIDTH,
            "height": DESK_HEIGHT,
            "status": status,
            "equipment": _EQUIPMENT[place % len(_EQUIPMENT)],
            "notes": "显示器支架待修" if status == "maintenance" else _NOTES.get(place),
        }

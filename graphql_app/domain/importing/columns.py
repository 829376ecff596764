"""The documented columns of a file to import (docs/import.md), one table for both formats."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphql_app.domain.arranging import NAME_MOST
from graphql_app.domain.importing import values


class ImportKind(StrEnum):
    """In the order of writing: each refers only to those before it."""

    BUILDINGS = "buildings"
    FLOORS = "floors"
    DEPARTMENTS = "departments"
    EMPLOYEES = "employees"
    WORKSTATIONS = "workstations"


SINGULAR = {kind: kind.value.removesuffix("s") for kind in ImportKind}


@dataclass(frozen=True, slots=True)
class Column:
    """`key` tells which one a row is about. `needed` has no default: a new one must give it. The others may be left
    out, or left empty for their default. `guard` is its type and field in domain/access: an export hides it with it."""

    name: str
    read: Callable[[str], Any]
    aliases: tuple[str, ...] = ()
    key: bool = False
    needed: bool = False
    default: Any = None
    guard: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """These columns name one that must exist: by its key, in the key's order."""

    columns: tuple[str, ...]
    to: ImportKind


_building = values.name(50)
_name = values.name(NAME_MOST)
_number = values.name(32)

COLUMNS: Mapping[ImportKind, tuple[Column, ...]] = {
    ImportKind.BUILDINGS: (
        Column("name", _building, ("楼栋", "楼栋名称", "大楼", "建筑", "名称"), key=True),
        Column("time_zone", values.time_zone, ("时区",), default="UTC"),
    ),
    ImportKind.FLOORS: (
        Column("building", _building, ("楼栋", "大楼", "建筑"), key=True),
        Column("number", values.whole, ("楼层", "楼层号", "floor"), key=True),
        Column("name", _name, ("楼层名称", "名称"), default=""),
    ),
    ImportKind.DEPARTMENTS: (Column("name", _name, ("部门", "部门名称", "名称"), key=True),),
    ImportKind.EMPLOYEES: (
        Column(
            "employee_number", _number, ("工号", "员工编号", "员工号"), key=True, guard=("Employee", "employee_number")
        ),
        Column("name", _name, ("姓名", "员工姓名"), needed=True),
        Column("department", _name, ("部门",)),
    ),
    ImportKind.WORKSTATIONS: (
        Column("building", _building, ("楼栋", "大楼", "建筑"), key=True),
        Column("floor_number", values.whole, ("楼层", "楼层号", "floor"), key=True),
        Column("name", _name, ("工位", "工位名称", "工位号", "座位", "座位号"), key=True),
        Column("department", _name, ("部门",)),
        Column("employee_number", _number, ("工号", "员工编号", "员工号"), guard=("Workstation", "employee_id")),
        Column(
            "x_position", values.coordinate, ("横坐标", "x", "X坐标"), needed=True, guard=("Workstation", "x_position")
        ),
        Column(
            "y_position", values.coordinate, ("纵坐标", "y", "Y坐标"), needed=True, guard=("Workstation", "y_position")
        ),
        Column("width", values.size, ("宽", "宽度"), default=120, guard=("Workstation", "width")),
        Column("height", values.size, ("高", "高度"), default=80, guard=("Workstation", "height")),
        Column("status", values.status, ("状态",), default="available"),
        Column("equipment", values.equipment, ("设备",)),
        Column("notes", values.notes, ("备注",)),
    ),
}

KEYS: Mapping[ImportKind, tuple[str, ...]] = {
    kind: tuple(column.name for column in columns if column.key) for kind, columns in COLUMNS.items()
}

REFERENCES: Mapping[ImportKind, tuple[Reference, ...]] = {
    ImportKind.BUILDINGS: (),
    ImportKind.FLOORS: (Reference(("building",), ImportKind.BUILDINGS),),
    ImportKind.DEPARTMENTS: (),
    ImportKind.EMPLOYEES: (Reference(("department",), ImportKind.DEPARTMENTS),),
    ImportKind.WORKSTATIONS: (
        Reference(("building", "floor_number"), ImportKind.FLOORS),
        Reference(("department",), ImportKind.DEPARTMENTS),
        Reference(("employee_number",), ImportKind.EMPLOYEES),
    ),
}

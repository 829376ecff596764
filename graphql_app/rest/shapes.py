"""Workstations, the register and batches as JSON: the same names and values as in GraphQL."""

from typing import Any

from graphql_app.domain.change import Batch
from graphql_app.domain.identifiers import global_id
from graphql_app.domain.office import Building, VersionedDepartment, VersionedFloor
from graphql_app.domain.workstation import Counts, Department, Employee, Status, Workstation, equipment_value


def department(shown: Department | None) -> dict[str, Any] | None:
    return None if shown is None else {"id": global_id("Department", shown.id), "name": shown.name}


def employee(shown: Employee | None) -> dict[str, Any] | None:
    if shown is None:
        return None
    return {
        "id": global_id("Employee", shown.key),
        "name": shown.name,
        "department": department(shown.department),
        "employeeNumber": shown.employee_number,
    }


def workstation(shown: Workstation) -> dict[str, Any]:
    return {
        "id": global_id("Workstation", shown.id),
        "name": shown.name,
        "status": shown.status.name,
        "building": shown.building,
        "floorNumber": shown.floor_number,
        "floorName": shown.floor_name,
        "department": department(shown.department),
        "employee": employee(shown.employee),
        "employeeId": shown.employee_id,
        "xPosition": shown.x_position,
        "yPosition": shown.y_position,
        "width": shown.width,
        "height": shown.height,
        "equipment": equipment_value(shown.equipment),
        "notes": shown.notes,
        "createdAt": shown.created_at,
        "updatedAt": shown.updated_at,
        "version": shown.version,
    }


def building(shown: Building) -> dict[str, Any]:
    return {
        "id": global_id("Building", shown.id),
        "name": shown.name,
        "timeZone": shown.time_zone,
        "version": shown.version,
    }


def floor(shown: VersionedFloor) -> dict[str, Any]:
    return {
        "id": global_id("Floor", shown.id),
        "building": shown.building,
        "number": shown.number,
        "name": shown.name,
        "version": shown.version,
    }


def registered_department(shown: VersionedDepartment) -> dict[str, Any]:
    return {"id": global_id("Department", shown.id), "name": shown.name, "version": shown.version}


def registered_employee(shown: Employee) -> dict[str, Any]:
    """From whom something is hidden is given a plain Employee."""
    return {**(employee(shown) or {}), "version": getattr(shown, "version", None)}


def counts(shown: Counts) -> dict[str, Any]:
    by_status = {status.value: shown.by_status[status] for status in Status}
    return {"key": shown.key, "total": shown.total, **by_status}


def feed(cursor: str, batch: Batch[Workstation]) -> dict[str, Any]:
    return {
        "cursor": cursor,
        "kind": batch.kind.name,
        "workstations": [workstation(state) for state in batch.states],
        "removed": [global_id("Workstation", key) for key in batch.removed],
        "merged": batch.merged,
        "complete": batch.complete,
        "reason": batch.reason,
        "notice": batch.notice and batch.notice.name,
    }

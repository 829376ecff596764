"""Statements about the office: filters in, domain objects out. One statement each."""

from graphql_app.store.office.columns import FIELDS
from graphql_app.store.office.counts import count_workstations, counts_by_place, workstation_counts
from graphql_app.store.office.floors import (
    all_floors,
    building_exists,
    floor_exists,
    floors_by_id,
    floors_by_place,
    whole_floors,
)
from graphql_app.store.office.keyset import complete, key_of
from graphql_app.store.office.pages import page_of_workstations
from graphql_app.store.office.people import (
    all_departments,
    departments_by_id,
    employee_by_number,
    employees_by_key,
    employees_by_row,
    page_of_employees,
)
from graphql_app.store.office.workstations import (
    BEFORE_ALL,
    locked_workstation,
    matching_workstations,
    workstations_by_id,
    workstations_by_place,
)
from graphql_app.store.office.writing import (
    Update,
    delete_workstation,
    insert_workstation,
    update_guarded,
    update_workstation,
)

__all__ = [
    "BEFORE_ALL",
    "FIELDS",
    "Update",
    "all_departments",
    "all_floors",
    "building_exists",
    "complete",
    "count_workstations",
    "counts_by_place",
    "delete_workstation",
    "departments_by_id",
    "employee_by_number",
    "employees_by_key",
    "employees_by_row",
    "floor_exists",
    "floors_by_id",
    "floors_by_place",
    "insert_workstation",
    "key_of",
    "locked_workstation",
    "matching_workstations",
    "page_of_employees",
    "page_of_workstations",
    "update_guarded",
    "update_workstation",
    "whole_floors",
    "workstation_counts",
    "workstations_by_id",
    "workstations_by_place",
]

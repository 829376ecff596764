"""Statements about the office: filters in, domain objects out. One statement each."""

from graphql_app.store.office.belonging import (
    employees_of_departments,
    seats,
    workstation_totals,
    workstations_of_departments,
)
from graphql_app.store.office.columns import FIELDS
from graphql_app.store.office.counts import count_workstations, counts_by_place, workstation_counts
from graphql_app.store.office.floors import (
    all_buildings,
    all_floors,
    building_exists,
    floor_exists,
    floors_by_id,
    floors_by_place,
    floors_of_buildings,
    time_zones,
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
from graphql_app.store.office.register import (
    delete_registered,
    insert_registered,
    locked_registered,
    references_to,
    registered,
    update_registered,
)
from graphql_app.store.office.workstations import (
    BEFORE_ALL,
    locked_workstation,
    locked_workstations,
    matching_workstations,
    workstations_by_id,
    workstations_by_place,
)
from graphql_app.store.office.writing import (
    Update,
    delete_workstation,
    insert_workstation,
    insert_workstations,
    update_guarded,
    update_workstation,
    update_workstations,
)

__all__ = [
    "BEFORE_ALL",
    "FIELDS",
    "Update",
    "all_buildings",
    "all_departments",
    "all_floors",
    "building_exists",
    "complete",
    "count_workstations",
    "counts_by_place",
    "delete_registered",
    "delete_workstation",
    "departments_by_id",
    "employee_by_number",
    "employees_by_key",
    "employees_by_row",
    "employees_of_departments",
    "floor_exists",
    "floors_by_id",
    "floors_by_place",
    "floors_of_buildings",
    "insert_registered",
    "insert_workstation",
    "insert_workstations",
    "key_of",
    "locked_registered",
    "locked_workstation",
    "locked_workstations",
    "matching_workstations",
    "page_of_employees",
    "page_of_workstations",
    "references_to",
    "registered",
    "seats",
    "time_zones",
    "update_guarded",
    "update_registered",
    "update_workstation",
    "update_workstations",
    "whole_floors",
    "workstation_counts",
    "workstation_totals",
    "workstations_by_id",
    "workstations_by_place",
    "workstations_of_departments",
]

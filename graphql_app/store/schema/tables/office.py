"""The tables of the office: buildings, floors, departments, employees and workstations."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    cast,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from graphql_app.store.schema.tables.metadata import metadata, moments_check, normal_form_check

buildings = Table(
    "buildings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50), nullable=False),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("name", name="buildings_name_key"),
)

floors = Table(
    "floors",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("building", String(50), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", String(100), nullable=False, server_default=""),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("building", "number", name="floors_building_number_key"),
    ForeignKeyConstraint(
        ["building"], ["buildings.name"], name="floors_building_fkey", deferrable=True, initially="IMMEDIATE"
    ),
)

departments = Table(
    "departments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("name", name="departments_name_key"),
)

employees = Table(
    "employees",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("public_key", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("employee_number", String(32), nullable=False),
    Column("name", String(100), nullable=False),
    Column("department_id", Integer),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("public_key", name="employees_public_key_key"),
    UniqueConstraint("employee_number", name="employees_employee_number_key"),
    ForeignKeyConstraint(["department_id"], ["departments.id"], name="employees_department_id_fkey"),
    Index("employees_department_id_idx", "department_id"),
    Index("employees_name_idx", "name", "id"),
)

workstations = Table(
    "workstations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False),
    Column("department_id", Integer),
    Column("employee_id", Integer),
    Column("x_position", Numeric(10, 2), nullable=False),
    Column("y_position", Numeric(10, 2), nullable=False),
    Column("width", Numeric(10, 2), nullable=False, server_default="120"),
    Column("height", Numeric(10, 2), nullable=False, server_default="80"),
    Column("status", String(20), nullable=False, server_default="available"),
    Column("equipment", Text),
    Column("notes", Text),
    Column("floor_number", Integer),
    Column("building", String(50)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("labels", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    # What a booking makes of it now, and meanwhile what people set; `status` follows from both.
    Column("booking_status", String(20)),
    Column("base_status", String(20)),
    CheckConstraint("status IN ('available', 'occupied', 'maintenance', 'reserved')", name="workstations_status_check"),
    CheckConstraint(
        "(booking_status IS NULL) = (base_status IS NULL) AND booking_status IN ('reserved', 'occupied')"
        " AND base_status IN ('available', 'occupied', 'maintenance', 'reserved')",
        name="workstations_booking_check",
    ),
    CheckConstraint("equipment IS JSON", name="workstations_equipment_check"),
    CheckConstraint("width > 0 AND height > 0", name="workstations_size_check"),
    moments_check("workstations", "created_at"),
    UniqueConstraint("building", "floor_number", "name", name="workstations_place_name_key"),
    ForeignKeyConstraint(["department_id"], ["departments.id"], name="workstations_department_id_fkey"),
    ForeignKeyConstraint(["employee_id"], ["employees.id"], name="workstations_employee_id_fkey"),
    ForeignKeyConstraint(
        ["building", "floor_number"],
        ["floors.building", "floors.number"],
        name="workstations_floor_fkey",
        match="FULL",
        deferrable=True,
        initially="IMMEDIATE",
    ),
    Index("workstations_place_idx", "building", "floor_number", "id"),
    Index("workstations_department_id_idx", "department_id", "id"),
    Index("workstations_employee_id_idx", "employee_id"),
    Index("workstations_status_idx", "status", "id"),
    Index("workstations_building_status_idx", "building", "status", "id"),
    Index("workstations_name_idx", "name", "id"),
    Index("workstations_updated_at_idx", "updated_at", "id"),
    Index("workstations_building_id_idx", "building", "id"),
    Index("workstations_floor_number_idx", "floor_number", "id"),
    Index("workstations_created_at_idx", "created_at", "id"),
)
for _name in ("name", "equipment"):
    Index(
        f"workstations_{_name}_text_idx",
        func.lower(workstations.c[_name].collate("C")).label("folded"),
        postgresql_using="gin",
        postgresql_ops={"folded": "gin_trgm_ops"},
    )
for _name in ("x_position", "y_position"):
    Index(f"workstations_{_name}_idx", cast(workstations.c[_name], Float), "id")

buildings.append_constraint(normal_form_check("buildings", "name", "NFC"))
floors.append_constraint(normal_form_check("floors", "name", "NFC"))
departments.append_constraint(normal_form_check("departments", "name", "NFC"))
employees.append_constraint(normal_form_check("employees", "name", "NFC"))
employees.append_constraint(normal_form_check("employees", "employee_number", "NFC"))
workstations.append_constraint(normal_form_check("workstations", "name", "NFC"))

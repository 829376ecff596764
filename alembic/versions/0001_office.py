"""The office: buildings, floors, departments, employees, workstations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "buildings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(50), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False, server_default="UTC"),
        sa.UniqueConstraint("name", name="buildings_name_key"),
    )
    op.create_table(
        "floors",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("building", sa.String(50), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("name", sa.String(100), nullable=False, server_default=""),
        sa.UniqueConstraint("building", "number", name="floors_building_number_key"),
        # Deferrable, so that a rename can move both sides within one statement (0002: the rename triggers).
        sa.ForeignKeyConstraint(
            ["building"], ["buildings.name"], name="floors_building_fkey", deferrable=True, initially="IMMEDIATE"
        ),
    )
    op.create_table(
        "departments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.UniqueConstraint("name", name="departments_name_key"),
    )
    op.create_table(
        "employees",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("public_key", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("employee_number", sa.String(32), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("department_id", sa.Integer),
        sa.UniqueConstraint("public_key", name="employees_public_key_key"),
        sa.UniqueConstraint("employee_number", name="employees_employee_number_key"),
        sa.ForeignKeyConstraint(["department_id"], ["departments.id"], name="employees_department_id_fkey"),
    )
    op.create_index("employees_department_id_idx", "employees", ["department_id"])
    op.create_index("employees_name_idx", "employees", ["name", "id"])

    op.create_table(
        "workstations",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("department_id", sa.Integer),
        sa.Column("employee_id", sa.Integer),
        sa.Column("x_position", sa.Numeric(10, 2), nullable=False),
        sa.Column("y_position", sa.Numeric(10, 2), nullable=False),
        sa.Column("width", sa.Numeric(10, 2), nullable=False, server_default="120"),
        sa.Column("height", sa.Numeric(10, 2), nullable=False, server_default="80"),
        sa.Column("status", sa.String(20), nullable=False, server_default="available"),
        sa.Column("equipment", sa.Text),
        sa.Column("notes", sa.Text),
        sa.Column("floor_number", sa.Integer),
        sa.Column("building", sa.String(50)),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        # The names that the row shows (floor, department, employee), kept by triggers: reads need no join, and the
        # images in change_log are exact even when it is a name that changed.
        sa.Column("labels", sa.dialects.postgresql.JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        sa.CheckConstraint(
            "status IN ('available', 'occupied', 'maintenance', 'reserved')", name="workstations_status_check"
        ),
        sa.CheckConstraint("equipment IS JSON", name="workstations_equipment_check"),
        sa.CheckConstraint("width > 0 AND height > 0", name="workstations_size_check"),
        sa.UniqueConstraint("building", "floor_number", "name", name="workstations_place_name_key"),
        sa.ForeignKeyConstraint(["department_id"], ["departments.id"], name="workstations_department_id_fkey"),
        sa.ForeignKeyConstraint(["employee_id"], ["employees.id"], name="workstations_employee_id_fkey"),
        # MATCH FULL: on a floor of a building, or nowhere; never half of it.
        sa.ForeignKeyConstraint(
            ["building", "floor_number"],
            ["floors.building", "floors.number"],
            name="workstations_floor_fkey",
            match="FULL",
            deferrable=True,
            initially="IMMEDIATE",
        ),
    )
    op.create_index("workstations_place_idx", "workstations", ["building", "floor_number", "id"])
    op.create_index("workstations_department_id_idx", "workstations", ["department_id", "id"])
    op.create_index("workstations_employee_id_idx", "workstations", ["employee_id"])
    op.create_index("workstations_status_idx", "workstations", ["status", "id"])
    op.create_index("workstations_name_idx", "workstations", ["name", "id"])
    op.create_index("workstations_updated_at_idx", "workstations", ["updated_at", "id"])
    # pg_trgm is a trusted extension: the owner of the database may create it.
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    for column in ("name", "equipment"):
        op.execute(
            f"CREATE INDEX workstations_{column}_text_idx ON workstations "
            f'USING gin (lower({column} COLLATE "C") gin_trgm_ops)'
        )


def downgrade() -> None:
    for table in ("workstations", "employees", "departments", "floors", "buildings"):
        op.drop_table(table)
    op.execute("DROP EXTENSION IF EXISTS pg_trgm")

"""What lists, searches and figures need that cost no more with a million workstations than with ten thousand.

Indexes are made while others write.
"""

import sqlalchemy as sa
from alembic import op

from graphql_app.store.schema.indexing import create_indexes, drop_indexes

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Which columns, and of which rows.
INDEXES = {
    "workstations": {
        "building_id": ("building, id", None),
        "floor_number": ("floor_number, id", None),
        "created_at": ("created_at, id", None),
        "x_position": ("CAST(x_position AS float8), id", None),
        "y_position": ("CAST(y_position AS float8), id", None),
    },
    "change_log": {
        "workstation": ("CAST(entity_id AS integer), logged_at, seq", "entity = 'workstation'"),
    },
    "audit_log": {
        "workstation": ("workstation_id, logged_at, seq", None),
    },
}
ACTIONS = {
    "created": "before IS NULL",
    "changed": "before IS NOT NULL AND after IS NOT NULL",
    "deleted": "after IS NULL",
}
for name, happened in ACTIONS.items():
    for by, columns in {"": "logged_at, seq", "_actor": "actor, logged_at, seq"}.items():
        INDEXES["change_log"][f"{name}{by}"] = (columns, f"entity = 'workstation' AND {happened}")
        INDEXES["audit_log"][f"{name}{by}"] = (columns, happened)
# What these make superfluous.
REPLACED = {
    "audit_log_workstation_id_idx": "workstation_id, seq",
    "audit_log_actor_idx": "actor, seq",
    "audit_log_logged_at_idx": "logged_at",
}

# The counts as of the head, whatever has happened since: from the rows, less what is not numbered yet.
RECOUNT = """
CREATE FUNCTION workstation_recount_v1() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM counted FOR UPDATE;
    DELETE FROM workstation_counts;
    WITH head AS (UPDATE counted SET revision = feed_head.revision FROM feed_head)
    INSERT INTO workstation_counts (building, floor_number, department_id, department, status, workstations)
    SELECT building, floor_number, department_id, department, status, sum(number) FROM (
        SELECT building, floor_number, department_id, labels #>> '{department,name}' AS department, status, 1 AS number
        FROM workstations
        UNION ALL
        SELECT image->>'building', (image->>'floor_number')::integer, (image->>'department_id')::integer,
            image #>> '{labels,department,name}', image->>'status', number
        FROM change_log CROSS JOIN LATERAL (VALUES (before, 1), (after, -1)) AS images (image, number)
        WHERE revision IS NULL AND entity = 'workstation' AND image IS NOT NULL
    ) cells GROUP BY 1, 2, 3, 4, 5 HAVING sum(number) <> 0;
END $$;
"""


def upgrade() -> None:
    op.create_table(
        "workstation_counts",
        sa.Column("building", sa.String(50)),
        sa.Column("floor_number", sa.Integer),
        sa.Column("department_id", sa.Integer),
        sa.Column("department", sa.Text),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("workstations", sa.BigInteger, nullable=False),
        sa.UniqueConstraint(
            "building",
            "floor_number",
            "department_id",
            "department",
            "status",
            name="workstation_counts_key",
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "counted",
        sa.Column("singleton", sa.Boolean, primary_key=True, server_default=sa.true()),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.CheckConstraint("singleton", name="counted_singleton_check"),
    )
    op.get_bind().exec_driver_sql(RECOUNT)
    op.execute("INSERT INTO counted DEFAULT VALUES")
    op.execute("SELECT workstation_recount_v1()")
    for table, indexes in INDEXES.items():
        create_indexes(table, {f"{table}_{name}_idx": _described(*of) for name, of in indexes.items()})
    drop_indexes(REPLACED)


def _described(columns: str, rows: str | None) -> str:
    expressions = ", ".join(f"({one})" if "CAST" in one else one for one in columns.split(", "))
    return f"({expressions})" + (f" WHERE {rows}" if rows else "")


def downgrade() -> None:
    for name, columns in REPLACED.items():
        op.create_index(name, "audit_log", columns.split(", "))
    for table, indexes in INDEXES.items():
        for name in indexes:
            op.drop_index(f"{table}_{name}_idx", table)
    op.execute("DROP FUNCTION workstation_recount_v1()")
    for table in ("counted", "workstation_counts"):
        op.drop_table(table)

"""Notifications: kept for a while, targeted, and logged like everything else, so that one inserted in psql is live."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# What each kind of statement leaves behind.
TABLES = {
    "inserted": ("INSERT", "NEW TABLE AS new_rows"),
    "updated": ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    "deleted": ("DELETE", "OLD TABLE AS old_rows"),
}


def upgrade() -> None:
    op.create_table(
        "notifications",
        # Always: an id that changes would be another notification to all who were told of it.
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("level", sa.String(20), nullable=False, server_default="info"),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False, server_default=""),
        sa.Column("building", sa.String(50)),
        sa.Column("floor_number", sa.Integer),
        sa.Column("department_id", sa.Integer),
        sa.Column("role", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("level IN ('info', 'warning', 'critical')", name="notifications_level_check"),
        sa.CheckConstraint("length(title) BETWEEN 1 AND 200 AND length(body) <= 4000", name="notifications_text_check"),
        sa.CheckConstraint("floor_number IS NULL OR building IS NOT NULL", name="notifications_place_check"),
        # Who is gone needs no telling, and who is renamed is still meant.
        sa.ForeignKeyConstraint(
            ["building"], ["buildings.name"], name="notifications_building_fkey", onupdate="CASCADE", ondelete="CASCADE"
        ),
        # Checked at the end: when a building is renamed, its floors follow after what refers to them.
        sa.ForeignKeyConstraint(
            ["building", "floor_number"],
            ["floors.building", "floors.number"],
            name="notifications_floor_fkey",
            onupdate="CASCADE",
            ondelete="CASCADE",
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.ForeignKeyConstraint(
            ["department_id"], ["departments.id"], name="notifications_department_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("notifications_created_at_idx", "notifications", ["created_at"])
    # For who comes back: a few of them among all that was logged meanwhile.
    op.create_index(
        "change_log_notifications_idx", "change_log", ["revision"], postgresql_where=sa.text("entity = 'notification'")
    )
    for done, (statement, rows) in TABLES.items():
        op.execute(
            f"CREATE TRIGGER notifications_{done}_v1 AFTER {statement} ON notifications REFERENCING {rows}"
            " FOR EACH STATEMENT EXECUTE FUNCTION office_changed_v1('notification')"
        )
    # TRUNCATE fires none of these.
    op.execute(
        "CREATE TRIGGER notifications_truncated_v1 BEFORE TRUNCATE ON notifications"
        " FOR EACH STATEMENT EXECUTE FUNCTION workstations_truncated_v1()"
    )


def downgrade() -> None:
    op.drop_index("change_log_notifications_idx", "change_log")
    op.drop_table("notifications")

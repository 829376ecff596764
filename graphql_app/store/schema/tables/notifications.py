"""The table of notifications."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
    func,
)

from graphql_app.store.schema.tables.metadata import metadata, moments_check

notifications = Table(
    "notifications",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("level", String(20), nullable=False, server_default="info"),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False, server_default=""),
    Column("building", String(50)),
    Column("floor_number", Integer),
    Column("department_id", Integer),
    Column("role", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("expires_at", DateTime(timezone=True)),
    CheckConstraint("level IN ('info', 'warning', 'critical')", name="notifications_level_check"),
    CheckConstraint("length(title) BETWEEN 1 AND 200 AND length(body) <= 4000", name="notifications_text_check"),
    CheckConstraint("floor_number IS NULL OR building IS NOT NULL", name="notifications_place_check"),
    moments_check("notifications", "created_at", "expires_at"),
    # Who is gone needs no telling, and who is renamed is still meant.
    ForeignKeyConstraint(
        ["building"], ["buildings.name"], name="notifications_building_fkey", onupdate="CASCADE", ondelete="CASCADE"
    ),
    # Checked at the end: when a building is renamed, its floors follow after what refers to them.
    ForeignKeyConstraint(
        ["building", "floor_number"],
        ["floors.building", "floors.number"],
        name="notifications_floor_fkey",
        onupdate="CASCADE",
        ondelete="CASCADE",
        deferrable=True,
        initially="DEFERRED",
    ),
    ForeignKeyConstraint(
        ["department_id"], ["departments.id"], name="notifications_department_id_fkey", ondelete="CASCADE"
    ),
    Index("notifications_created_at_idx", "created_at"),
)

"""The table of bookings."""

from sqlalchemy import (
    BigInteger,
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
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from graphql_app.store.schema.tables.metadata import metadata, moments_check

_MOMENT = DateTime(timezone=True)
_NOW = text("clock_timestamp()")
BLOCKING = "state IN ('held', 'confirmed', 'due', 'checked_in')"
_FINAL = "state IN ('completed', 'released', 'cancelled', 'expired', 'replaced')"

reservations = Table(
    "reservations",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("workstation_id", Integer),
    Column("floor_id", Integer),
    Column("desk_name", String(100), nullable=False, server_default=""),
    Column("holder_id", Integer),
    Column("department_id", Integer),
    Column("booked_by", Text),
    Column("state", String(12), nullable=False, server_default="confirmed"),
    Column("starts_at", _MOMENT, nullable=False),
    Column("ends_at", _MOMENT, nullable=False),
    Column("local_start", DateTime, nullable=False),
    Column("local_end", DateTime, nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("hold_until", _MOMENT),
    Column("check_in_from", _MOMENT),
    Column("check_in_by", _MOMENT),
    Column("checked_in_at", _MOMENT),
    Column("ended_at", _MOMENT),
    Column("ended_why", String(20)),
    Column("next_at", _MOMENT),
    Column("visibility", String(12), nullable=False, server_default="nobody"),
    Column("note", Text),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", _MOMENT, nullable=False, server_default=_NOW),
    Column("updated_at", _MOMENT, nullable=False, server_default=_NOW),
    CheckConstraint(f"{BLOCKING} OR {_FINAL}", name="reservations_state_check"),
    CheckConstraint(
        "starts_at < ends_at AND ends_at - starts_at <= interval '31 days'", name="reservations_length_check"
    ),
    CheckConstraint("(state = 'held') <= (hold_until IS NOT NULL)", name="reservations_hold_check"),
    CheckConstraint(f"workstation_id IS NOT NULL OR {_FINAL}", name="reservations_desk_check"),
    CheckConstraint(
        f"({_FINAL}) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (ended_why IS NULL)",
        name="reservations_ended_check",
    ),
    CheckConstraint("visibility IN ('everyone', 'department', 'nobody')", name="reservations_visibility_check"),
    CheckConstraint("length(note) <= 500", name="reservations_note_check"),
    moments_check("reservations", "starts_at", "ends_at"),
    ForeignKeyConstraint(
        ["workstation_id"], ["workstations.id"], name="reservations_workstation_id_fkey", ondelete="SET NULL"
    ),
    ForeignKeyConstraint(["floor_id"], ["floors.id"], name="reservations_floor_id_fkey", ondelete="SET NULL"),
    ForeignKeyConstraint(["holder_id"], ["employees.id"], name="reservations_holder_id_fkey", ondelete="SET NULL"),
    ForeignKeyConstraint(
        ["department_id"], ["departments.id"], name="reservations_department_id_fkey", ondelete="SET NULL"
    ),
    ExcludeConstraint(
        ("workstation_id", "="),
        (text("tstzrange(starts_at, ends_at)"), "&&"),
        name="reservations_slot_excl",
        where=text(BLOCKING),
        using="gist",
    ),
    Index("reservations_next_at_idx", "next_at", postgresql_where=text("next_at IS NOT NULL")),
    Index("reservations_holder_idx", "holder_id", "ends_at", "id"),
    Index("reservations_floor_idx", "floor_id", "starts_at", "id"),
    Index("reservations_desk_idx", "workstation_id", "starts_at", "id"),
    Index("reservations_department_id_idx", "department_id"),
)

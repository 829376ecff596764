"""The tables of the log: changes, the head of the feed, the audit log, and idempotency keys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    cast,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from graphql_app.store.schema.tables.metadata import metadata

change_log = Table(
    "change_log",
    metadata,
    Column("seq", BigInteger, Identity(always=True), primary_key=True),
    Column("revision", BigInteger),
    Column("transaction_id", BigInteger, nullable=False, server_default=text("(pg_current_xact_id()::text)::bigint")),
    Column("entity", String(40), nullable=False),
    Column("entity_id", String(64), nullable=False),
    Column("version", Integer),
    Column("actor", Text, nullable=False),
    Column("request_id", Text),
    Column("logged_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("transport", String(20), server_default=text("change_transport_v1()")),
    Column("address", Text, server_default=text("change_address_v1()")),
    UniqueConstraint("revision", name="change_log_revision_key"),
    Index("change_log_unnumbered_idx", "seq", postgresql_where=text("revision IS NULL")),
    Index("change_log_notifications_idx", "revision", postgresql_where=text("entity = 'notification'")),
    Index("change_log_reservations_idx", "revision", postgresql_where=text("entity = 'reservation'")),
    Index("change_log_waiting_transactions_idx", "transaction_id", postgresql_where=text("revision IS NULL")),
    Index("change_log_waiting_entities_idx", "entity", "entity_id", "seq", postgresql_where=text("revision IS NULL")),
)
# Where a workstation is by each change (or was, when it was deleted), and where it was before, if that was elsewhere.
Index(
    "change_log_place_idx",
    text("(coalesce(after, before) ->> 'building')"),
    text("(coalesce(after, before) ->> 'floor_number')"),
    change_log.c.revision,
    postgresql_where=text("entity = 'workstation'"),
)
Index(
    "change_log_left_idx",
    text("(before ->> 'building')"),
    text("(before ->> 'floor_number')"),
    change_log.c.revision,
    postgresql_where=text(
        "entity = 'workstation' AND (before ->> 'building' IS DISTINCT FROM after ->> 'building'"
        " OR before ->> 'floor_number' IS DISTINCT FROM after ->> 'floor_number')"
    ),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("workstation_id", Integer, nullable=False),
    Column("logged_at", DateTime(timezone=True), nullable=False),
    Column("actor", Text, nullable=False),
    Column("transport", String(20)),
    Column("address", Text),
    Column("request_id", Text),
    Column("before", JSONB),
    Column("after", JSONB),
    Index("audit_log_workstation_idx", "workstation_id", "logged_at", "seq"),
)
Index(
    "change_log_workstation_idx",
    cast(change_log.c.entity_id, Integer),
    "logged_at",
    "seq",
    postgresql_where=text("entity = 'workstation'"),
)
# What happened, by the images that an entry has: each is in one index of the three, and so in the order of time.
HAPPENED = {
    "created": "before IS NULL",
    "changed": "before IS NOT NULL AND after IS NOT NULL",
    "deleted": "after IS NULL",
}
for _name, _happened in HAPPENED.items():
    for _suffix, _columns in {"": ("logged_at", "seq"), "_actor": ("actor", "logged_at", "seq")}.items():
        for _table, _rows in ((change_log, f"entity = 'workstation' AND {_happened}"), (audit_log, _happened)):
            Index(
                f"{_table.name}_{_name}{_suffix}_idx",
                *(_table.c[_column] for _column in _columns),
                postgresql_where=text(_rows),
            )

feed_head = Table(
    "feed_head",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=true()),
    Column("epoch", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("history", Text, nullable=False, server_default=""),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    Column("kept_from", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("singleton", name="feed_head_singleton_check"),
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("request", Text, nullable=False),
    Column("answer", Text),
    Column("used_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("idempotency_keys_used_at_idx", "used_at"),
)

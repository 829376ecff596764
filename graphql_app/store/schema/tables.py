"""The tables, as Alembic's migrations make them (a test compares the two)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    cast,
    false,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB

from graphql_app.domain.names import UNSEEN

metadata = MetaData()

# As domain/values.py has them: a day inside of what Python holds.
_MOMENTS = "'0001-01-02 00:00:00+00' AND '9999-12-30 23:59:59.999999+00'"


def _moments_check(table: str, *columns: str) -> CheckConstraint:
    conditions = " AND ".join(f"{column} BETWEEN {_MOMENTS}" for column in columns)
    return CheckConstraint(conditions, name=f"{table}_moments_check")


buildings = Table(
    "buildings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(50), nullable=False),
    Column("time_zone", String(64), nullable=False, server_default="UTC"),
    UniqueConstraint("name", name="buildings_name_key"),
)

floors = Table(
    "floors",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("building", String(50), nullable=False),
    Column("number", Integer, nullable=False),
    Column("name", String(100), nullable=False, server_default=""),
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
    CheckConstraint("status IN ('available', 'occupied', 'maintenance', 'reserved')", name="workstations_status_check"),
    CheckConstraint("equipment IS JSON", name="workstations_equipment_check"),
    CheckConstraint("width > 0 AND height > 0", name="workstations_size_check"),
    _moments_check("workstations", "created_at"),
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
    _moments_check("notifications", "created_at", "expires_at"),
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

accounts = Table(
    "accounts",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("employee_key", Uuid),
    Column("disabled", Boolean, nullable=False, server_default=false()),
    Column("tokens_from", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("version", Integer, nullable=False, server_default="1"),
    CheckConstraint("name <> ''", name="accounts_name_check"),
    _moments_check("accounts", "tokens_from", "created_at"),
    ForeignKeyConstraint(
        ["employee_key"],
        ["employees.public_key"],
        name="accounts_employee_key_fkey",
        onupdate="CASCADE",
        ondelete="SET NULL",
    ),
    Index("accounts_employee_key_idx", "employee_key"),
)
Index("accounts_name_key", func.lower(accounts.c.name), unique=True)

login_sessions = Table(
    "login_sessions",
    metadata,
    Column("id", Integer, Identity(always=True), primary_key=True),
    Column("key", Uuid, nullable=False, server_default=text("gen_random_uuid()")),
    Column("account_id", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("last_used_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("revoked_at", DateTime(timezone=True)),
    Column("user_agent", String(200)),
    Column("address", String(64)),
    UniqueConstraint("key", name="login_sessions_key_key"),
    _moments_check("login_sessions", "created_at", "last_used_at", "revoked_at"),
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="login_sessions_account_id_fkey", ondelete="CASCADE"),
    Index("login_sessions_account_id_idx", "account_id"),
    Index("login_sessions_last_used_at_idx", "last_used_at"),
    Index("login_sessions_revoked_at_idx", "revoked_at", postgresql_where=text("revoked_at IS NOT NULL")),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("session_id", Integer, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("issued_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("used_at", DateTime(timezone=True)),
    Column("replaced_by", BigInteger),
    Column("successor", LargeBinary),
    UniqueConstraint("token_hash", name="refresh_tokens_token_hash_key"),
    _moments_check("refresh_tokens", "issued_at", "expires_at", "used_at"),
    ForeignKeyConstraint(
        ["session_id"], ["login_sessions.id"], name="refresh_tokens_session_id_fkey", ondelete="CASCADE"
    ),
    Index("refresh_tokens_session_id_idx", "session_id"),
    Index("refresh_tokens_expires_at_idx", "expires_at"),
)

login_failures = Table(
    "login_failures",
    metadata,
    Column("subject", String(200), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Column("free_at", DateTime(timezone=True), nullable=False),
    Index("login_failures_last_at_idx", "last_at"),
)

login_addresses = Table(
    "login_addresses",
    metadata,
    Column("account_id", Integer, primary_key=True),
    Column("network", String(64), primary_key=True),
    Column("last_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    ForeignKeyConstraint(["account_id"], ["accounts.id"], name="login_addresses_account_id_fkey", ondelete="CASCADE"),
    Index("login_addresses_last_at_idx", "last_at"),
)

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

# How many workstations there are of each kind as of the revision in `counted`; the log says what has happened since.
workstation_counts = Table(
    "workstation_counts",
    metadata,
    Column("building", String(50)),
    Column("floor_number", Integer),
    Column("department_id", Integer),
    Column("department", Text),
    Column("status", String(20), nullable=False),
    Column("workstations", BigInteger, nullable=False),
    UniqueConstraint(
        "building",
        "floor_number",
        "department_id",
        "department",
        "status",
        name="workstation_counts_key",
        postgresql_nulls_not_distinct=True,
    ),
)

counted = Table(
    "counted",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=true()),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("singleton", name="counted_singleton_check"),
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

for _table, _column, _form in (
    (buildings, "name", "NFC"),
    (floors, "name", "NFC"),
    (departments, "name", "NFC"),
    (employees, "name", "NFC"),
    (employees, "employee_number", "NFC"),
    (workstations, "name", "NFC"),
    (accounts, "name", "NFKC"),
):
    _table.append_constraint(
        CheckConstraint(
            f"{_column} IS {_form} NORMALIZED AND {_column} !~ '{UNSEEN}'", name=f"{_table.name}_{_column}_form_check"
        )
    )

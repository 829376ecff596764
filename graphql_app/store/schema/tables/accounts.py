"""The tables of accounts: logins, their sessions, refresh tokens, and failed attempts."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    func,
    text,
)

from graphql_app.store.schema.tables.metadata import metadata, moments_check, normal_form_check

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
    moments_check("accounts", "tokens_from", "created_at"),
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
    moments_check("login_sessions", "created_at", "last_used_at", "revoked_at"),
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
    moments_check("refresh_tokens", "issued_at", "expires_at", "used_at"),
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

accounts.append_constraint(normal_form_check("accounts", "name", "NFKC"))

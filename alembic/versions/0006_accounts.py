"""Local accounts, the sessions that they open, the refresh tokens of these, and logins that failed.

Accounts and sessions are logged like everything else, so that whatever becomes of them reaches every process in the
order of all other changes. What is logged has no hash in it, and of sessions only what decides whether they hold.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

STAMP = """
CREATE FUNCTION account_stamp_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version;
    IF NEW.disabled AND NOT OLD.disabled THEN
        -- Whoever is let in again logs in again: what was open may have been in other hands.
        NEW.tokens_from := clock_timestamp();
    END IF;
    IF NEW IS DISTINCT FROM OLD THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER accounts_stamp_v1 BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION account_stamp_v1();
"""

# Of an account what is no secret, with what it shows of its employee; of a session what decides whether it holds. Where
# it is used from, and when, is nobody's news.
IMAGES = """
CREATE FUNCTION account_image_v1(account accounts) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT to_jsonb(account) - 'password_hash' || jsonb_build_object('employee_number',
        (SELECT employee_number FROM employees WHERE public_key = account.employee_key))
$$;

CREATE FUNCTION login_session_image_v1(session login_sessions) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT to_jsonb(session) - '{last_used_at,user_agent,address}'::text[]
$$;
"""


def logged(entity: str, *, has_version: bool, where: str) -> str:
    """What logs each statement on the entity's table; of an UPDATE the rows `where` it changed what others are told."""
    number, new, old = ("version, ", "n.version, ", "o.version, ") if has_version else ("", "", "")
    return f"""
CREATE FUNCTION {entity}s_changed_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO change_log (entity, entity_id, {number}actor, request_id, before, after)
        SELECT '{entity}', n.id::text, {new}change_actor_v1(), change_request_v1(), NULL, {entity}_image_v1(n)
        FROM new_rows n ORDER BY n.id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO change_log (entity, entity_id, {number}actor, request_id, before, after)
        SELECT '{entity}', o.id::text, {old}change_actor_v1(), change_request_v1(), {entity}_image_v1(o), NULL
        FROM old_rows o ORDER BY o.id;
    ELSE
        INSERT INTO change_log (entity, entity_id, {number}actor, request_id, before, after)
        SELECT '{entity}', n.id::text, {new}change_actor_v1(), change_request_v1(), {entity}_image_v1(o),
            {entity}_image_v1(n)
        FROM new_rows n JOIN old_rows o USING (id){where} ORDER BY n.id;
    END IF;
    RETURN NULL;
END $$;
"""  # noqa: S608  # made of words of this file alone


LOG = (
    IMAGES,
    logged("account", has_version=True, where=" WHERE n.version <> o.version"),
    logged(
        "login_session",
        has_version=False,
        where="\n        WHERE login_session_image_v1(n) <> login_session_image_v1(o)",
    ),
)
# What each kind of statement leaves behind.
TABLES = {
    "inserted": ("INSERT", "NEW TABLE AS new_rows"),
    "updated": ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    "deleted": ("DELETE", "OLD TABLE AS old_rows"),
}
FUNCTIONS = (
    "login_sessions_changed_v1()",
    "login_session_image_v1(login_sessions)",
    "accounts_changed_v1()",
    "account_image_v1(accounts)",
)
MOMENT = sa.DateTime(timezone=True)
NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    make_accounts()
    make_login_sessions()
    make_refresh_tokens()
    make_login_failures()
    for script in (STAMP, *LOG):
        for statement in script.strip().split("\n\n"):
            op.get_bind().exec_driver_sql(statement)
    for table in ("accounts", "login_sessions"):
        make_triggers(table)


def make_accounts() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("employee_key", sa.Uuid),
        sa.Column("disabled", sa.Boolean, nullable=False, server_default=sa.false()),
        # Sessions that were opened earlier have ended.
        sa.Column("tokens_from", MOMENT, nullable=False, server_default=NOW),
        sa.Column("created_at", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.CheckConstraint("name <> ''", name="accounts_name_check"),
        sa.ForeignKeyConstraint(
            ["employee_key"],
            ["employees.public_key"],
            name="accounts_employee_key_fkey",
            onupdate="CASCADE",
            ondelete="SET NULL",
        ),
    )
    op.create_index("accounts_name_key", "accounts", [sa.text("lower(name)")], unique=True)
    op.create_index("accounts_employee_key_idx", "accounts", ["employee_key"])


def make_login_sessions() -> None:
    op.create_table(
        "login_sessions",
        sa.Column("id", sa.Integer, sa.Identity(always=True), primary_key=True),
        # What tokens name it by: of ids one could tell how many others log in.
        sa.Column("key", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        sa.Column("account_id", sa.Integer, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("last_used_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("revoked_at", MOMENT),
        sa.Column("user_agent", sa.String(200)),
        sa.Column("address", sa.String(64)),
        sa.UniqueConstraint("key", name="login_sessions_key_key"),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="login_sessions_account_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("login_sessions_account_id_idx", "login_sessions", ["account_id"])
    op.create_index("login_sessions_last_used_at_idx", "login_sessions", ["last_used_at"])
    op.create_index(
        "login_sessions_revoked_at_idx",
        "login_sessions",
        ["revoked_at"],
        postgresql_where=sa.text("revoked_at IS NOT NULL"),
    )


def make_refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("session_id", sa.Integer, nullable=False),
        # Of 32 random bytes: nobody guesses these, so that a fast hash will do.
        sa.Column("token_hash", sa.LargeBinary, nullable=False),
        sa.Column("issued_at", MOMENT, nullable=False, server_default=NOW),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.Column("replaced_by", sa.BigInteger),
        sa.UniqueConstraint("token_hash", name="refresh_tokens_token_hash_key"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["login_sessions.id"], name="refresh_tokens_session_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("refresh_tokens_session_id_idx", "refresh_tokens", ["session_id"])
    op.create_index("refresh_tokens_expires_at_idx", "refresh_tokens", ["expires_at"])


def make_login_failures() -> None:
    op.create_table(
        "login_failures",
        # A name that somebody tried, whether there is an account of it or not, or the address that they came from.
        sa.Column("subject", sa.String(200), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("free_at", MOMENT, nullable=False),
    )
    op.create_index("login_failures_last_at_idx", "login_failures", ["last_at"])


def make_triggers(table: str) -> None:
    for done, (statement, rows) in TABLES.items():
        op.execute(
            f"CREATE TRIGGER {table}_{done}_v1 AFTER {statement} ON {table} REFERENCING {rows}"
            f" FOR EACH STATEMENT EXECUTE FUNCTION {table}_changed_v1()"
        )
    # TRUNCATE fires none of these.
    op.execute(
        f"CREATE TRIGGER {table}_truncated_v1 BEFORE TRUNCATE ON {table}"
        " FOR EACH STATEMENT EXECUTE FUNCTION workstations_truncated_v1()"
    )


def downgrade() -> None:
    for table in ("accounts", "login_sessions"):
        for done in TABLES:
            op.execute(f"DROP TRIGGER {table}_{done}_v1 ON {table}")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    for table in ("login_failures", "refresh_tokens", "login_sessions", "accounts"):
        op.drop_table(table)
    op.execute("DROP FUNCTION account_stamp_v1()")

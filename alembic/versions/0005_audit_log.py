"""The audit log: the change log also says from where, and what it no longer keeps of workstations is kept by itself."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Defaults of columns, so that every trigger that logs says it, and none had to be written anew. Whoever names no actor
# came past the application, with SQL: then the address is that of their connection to PostgreSQL. An actor without a
# transport is a process of a release that did not tell.
FROM_WHERE = """
CREATE FUNCTION change_transport_v1() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN coalesce(current_setting('graphql_app.actor', true), '') = '' THEN 'sql'
        ELSE nullif(current_setting('graphql_app.transport', true), '') END
$$;

CREATE FUNCTION change_address_v1() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN coalesce(current_setting('graphql_app.actor', true), '') = '' THEN host(inet_client_addr())
        ELSE nullif(current_setting('graphql_app.address', true), '') END
$$;
"""
DEFAULTS = {"transport": "change_transport_v1()", "address": "change_address_v1()"}


def upgrade() -> None:
    for statement in FROM_WHERE.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)
    op.add_column("change_log", sa.Column("transport", sa.String(20)))
    op.add_column("change_log", sa.Column("address", sa.Text))
    for column, default in DEFAULTS.items():  # apart: the rows that are there came from nobody knows where
        op.alter_column("change_log", column, server_default=sa.text(default))
    op.create_table(
        "audit_log",
        # That of the row of change_log that it was.
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("workstation_id", sa.Integer, nullable=False),
        sa.Column("logged_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("transport", sa.String(20)),
        sa.Column("address", sa.Text),
        sa.Column("request_id", sa.Text),
        sa.Column("before", sa.dialects.postgresql.JSONB),
        sa.Column("after", sa.dialects.postgresql.JSONB),
    )
    op.create_index("audit_log_workstation_id_idx", "audit_log", ["workstation_id", "seq"])
    op.create_index("audit_log_actor_idx", "audit_log", ["actor", "seq"])
    op.create_index("audit_log_logged_at_idx", "audit_log", ["logged_at"])


def downgrade() -> None:
    op.drop_table("audit_log")
    for column, default in DEFAULTS.items():
        op.drop_column("change_log", column)
        op.execute(f"DROP FUNCTION {default}")

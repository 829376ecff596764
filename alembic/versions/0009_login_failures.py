"""From where each account has logged in, so that guesses of strangers keep nobody out.

And what a refresh token was renewed to, so that whoever presents it again within the grace is given the same.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "login_addresses",
        sa.Column("account_id", sa.Integer, primary_key=True),
        sa.Column("network", sa.String(64), primary_key=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="login_addresses_account_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("login_addresses_last_at_idx", "login_addresses", ["last_at"])
    # Sealed with the token that it replaces: who has this row alone cannot open it.
    op.add_column("refresh_tokens", sa.Column("successor", sa.LargeBinary))


def downgrade() -> None:
    op.drop_column("refresh_tokens", "successor")
    op.drop_table("login_addresses")

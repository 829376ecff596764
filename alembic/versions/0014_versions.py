"""Buildings, floors, departments and employees have versions, so that nobody writes over what they have not seen."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None

# As workstation_stamp_v1: a row that keeps its values keeps its version, whatever the statement says of it.
STAMP = """
CREATE FUNCTION office_stamp_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.version := OLD.version;
    IF NEW IS DISTINCT FROM OLD THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END $$
"""
TABLES = ("buildings", "floors", "departments", "employees")


def upgrade() -> None:
    op.get_bind().exec_driver_sql(STAMP.strip())
    for table in TABLES:
        op.add_column(table, sa.Column("version", sa.Integer, nullable=False, server_default="1"))
        op.execute(
            f"CREATE TRIGGER {table}_stamped_v1 BEFORE UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION office_stamp_v1()"
        )


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TRIGGER {table}_stamped_v1 ON {table}")
        op.drop_column(table, "version")
    op.execute("DROP FUNCTION office_stamp_v1()")

"""Buildings, floors, departments and employees are logged too: all that an answer shows is numbered by the one feed."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# As workstations_changed_v1: once per statement, and without nested loops, whose plan a session would keep from its
# first change of one row. A row that keeps its values is no change. An id that changes is the end of one thing and the
# beginning of another. TRUNCATE empties none of these tables without the workstations, and that is refused.
LOG = """
CREATE FUNCTION office_changed_v1() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO change_log (entity, entity_id, actor, request_id, before, after)
        SELECT TG_ARGV[0], n.id::text, change_actor_v1(), change_request_v1(), NULL, to_jsonb(n)
        FROM new_rows n ORDER BY n.id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO change_log (entity, entity_id, actor, request_id, before, after)
        SELECT TG_ARGV[0], o.id::text, change_actor_v1(), change_request_v1(), to_jsonb(o), NULL
        FROM old_rows o ORDER BY o.id;
    ELSE
        INSERT INTO change_log (entity, entity_id, actor, request_id, before, after)
        SELECT TG_ARGV[0], id::text, change_actor_v1(), change_request_v1(), to_jsonb(o), to_jsonb(n)
        FROM new_rows n FULL JOIN old_rows o USING (id) WHERE n IS DISTINCT FROM o ORDER BY id;
    END IF;
    RETURN NULL;
END $$
"""
ENTITIES = {"buildings": "building", "floors": "floor", "departments": "department", "employees": "employee"}
# What each kind of statement leaves behind.
TABLES = {
    "inserted": ("INSERT", "NEW TABLE AS new_rows"),
    "updated": ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    "deleted": ("DELETE", "OLD TABLE AS old_rows"),
}


def upgrade() -> None:
    op.get_bind().exec_driver_sql(LOG.strip())
    for table, entity in ENTITIES.items():
        for done, (statement, rows) in TABLES.items():
            op.execute(
                f"CREATE TRIGGER {table}_{done}_v1 AFTER {statement} ON {table} REFERENCING {rows}"
                f" FOR EACH STATEMENT EXECUTE FUNCTION office_changed_v1('{entity}')"
            )


def downgrade() -> None:
    for table in ENTITIES:
        for done in TABLES:
            op.execute(f"DROP TRIGGER {table}_{done}_v1 ON {table}")
    op.execute("DROP FUNCTION office_changed_v1()")

"""The change feed: every committed change of a workstation becomes a row of change_log and a NOTIFY.

Functions carry a version in their name: a later migration adds `_v2` beside `_v1`, moves the triggers over, and removes
the old one a release later, so that processes of both releases can run at once.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# A row is stamped before it is written: its labels from the tables that hold the names, its version and updated_at
# when anything that is shown changes. FOR SHARE: a rename in flight waits for this row and then sees it, or is waited
# for.
STAMP = """
CREATE FUNCTION workstation_labels_v1(of_building text, of_floor integer, of_department integer, of_employee integer)
RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    floor_label text;
    department_label jsonb;
    employee_label jsonb;
    employee_row employees;
BEGIN
    IF of_building IS NOT NULL THEN
        SELECT f.name INTO floor_label FROM floors f
        WHERE f.building = of_building AND f.number = of_floor FOR SHARE;
    END IF;
    IF of_department IS NOT NULL THEN
        SELECT jsonb_build_object('id', d.id, 'name', d.name) INTO department_label FROM departments d
        WHERE d.id = of_department FOR SHARE;
    END IF;
    IF of_employee IS NOT NULL THEN
        SELECT e.* INTO employee_row FROM employees e WHERE e.id = of_employee FOR SHARE;
        IF FOUND THEN
            employee_label := jsonb_build_object('id', employee_row.id, 'key', employee_row.public_key,
                'name', employee_row.name, 'number', employee_row.employee_number,
                'department', (SELECT jsonb_build_object('id', d.id, 'name', d.name) FROM departments d
                               WHERE d.id = employee_row.department_id FOR SHARE));
        END IF;
    END IF;
    RETURN jsonb_build_object('floor', floor_label, 'department', department_label, 'employee', employee_label);
END $$;

CREATE FUNCTION workstation_stamp_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.labels := workstation_labels_v1(NEW.building, NEW.floor_number, NEW.department_id, NEW.employee_id);
        NEW.version := 1;
        NEW.updated_at := NEW.created_at;
        RETURN NEW;
    END IF;
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'the id of a workstation never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.labels = '{}'::jsonb
        OR (NEW.building, NEW.floor_number, NEW.department_id, NEW.employee_id)
           IS DISTINCT FROM (OLD.building, OLD.floor_number, OLD.department_id, OLD.employee_id) THEN
        NEW.labels := workstation_labels_v1(NEW.building, NEW.floor_number, NEW.department_id, NEW.employee_id);
    ELSE
        NEW.labels := OLD.labels;
    END IF;
    NEW.version := OLD.version;
    NEW.updated_at := OLD.updated_at;
    IF NEW IS DISTINCT FROM OLD THEN
        NEW.version := OLD.version + 1;
        NEW.updated_at := clock_timestamp();
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER workstations_stamp_v1 BEFORE INSERT OR UPDATE ON workstations
    FOR EACH ROW EXECUTE FUNCTION workstation_stamp_v1();
"""

# Once per statement, not once per row: an import of 100,000 rows writes its log in one INSERT. Sequence numbers are
# taken while the row locks are held, so that per workstation `seq` follows the order of commits.
LOG = """
-- Without nested loops: the plan of a session's first change, of one row, is kept for all that follow, and joining
-- 5,000 rows by it takes 10 s.
CREATE FUNCTION workstations_changed_v1() RETURNS trigger LANGUAGE plpgsql SET enable_nestloop = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO change_log (entity, entity_id, version, actor, request_id, before, after)
        SELECT 'workstation', n.id::text, n.version, change_actor_v1(), change_request_v1(), NULL, to_jsonb(n)
        FROM new_rows n ORDER BY n.id;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO change_log (entity, entity_id, version, actor, request_id, before, after)
        SELECT 'workstation', o.id::text, o.version, change_actor_v1(), change_request_v1(), to_jsonb(o), NULL
        FROM old_rows o ORDER BY o.id;
    ELSE
        INSERT INTO change_log (entity, entity_id, version, actor, request_id, before, after)
        SELECT 'workstation', n.id::text, n.version, change_actor_v1(), change_request_v1(), to_jsonb(o), to_jsonb(n)
        FROM new_rows n JOIN old_rows o USING (id) WHERE n.version <> o.version ORDER BY n.id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER workstations_inserted_v1 AFTER INSERT ON workstations REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION workstations_changed_v1();

CREATE TRIGGER workstations_updated_v1 AFTER UPDATE ON workstations
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION workstations_changed_v1();

CREATE TRIGGER workstations_deleted_v1 AFTER DELETE ON workstations REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION workstations_changed_v1();

-- TRUNCATE fires none of the above: it would empty every floor map without a word.
CREATE FUNCTION workstations_truncated_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would not be logged' , TG_TABLE_NAME USING HINT = 'Use DELETE FROM instead.';
END $$;

CREATE TRIGGER workstations_truncated_v1 BEFORE TRUNCATE ON workstations
    FOR EACH STATEMENT EXECUTE FUNCTION workstations_truncated_v1();
"""

# Who did it, put on the transaction by store/postgres/database.writing(); in psql it is the database user.
ACTOR = """
CREATE FUNCTION change_actor_v1() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('graphql_app.actor', true), ''), 'database:' || session_user)
$$;

CREATE FUNCTION change_request_v1() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT nullif(current_setting('graphql_app.request_id', true), '')
$$;
"""

# The payload is empty on purpose: it is merged within a transaction, never too long, and tells nothing to a listener.
WAKE = """
CREATE FUNCTION change_log_wake_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM new_rows) THEN
        PERFORM pg_notify('graphql_app_changes', '');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER change_log_wake_v1 AFTER INSERT ON change_log REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION change_log_wake_v1();
"""

# A changed name touches every workstation that shows it, in id order. Renames queue for each other, before they hold
# anything: each also share-locks the names beside the one that it changes, and two would wait in a circle. They see the
# present, or do not happen: with an older snapshot, a workstation that has come to show the name would be missed.
RENAMES = """
CREATE FUNCTION names_guarded_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'updating % needs a transaction of isolation level READ COMMITTED', TG_TABLE_NAME
            USING ERRCODE = 'feature_not_supported';
    END IF;
    -- Any fixed number that no other program takes.
    PERFORM pg_advisory_xact_lock(32199653203928435);
    RETURN NULL;
END $$;

CREATE TRIGGER departments_guarded_v1 BEFORE UPDATE ON departments
    FOR EACH STATEMENT EXECUTE FUNCTION names_guarded_v1();

CREATE TRIGGER employees_guarded_v1 BEFORE UPDATE ON employees
    FOR EACH STATEMENT EXECUTE FUNCTION names_guarded_v1();

CREATE TRIGGER buildings_guarded_v1 BEFORE UPDATE ON buildings
    FOR EACH STATEMENT EXECUTE FUNCTION names_guarded_v1();

CREATE TRIGGER floors_guarded_v1 BEFORE UPDATE ON floors
    FOR EACH STATEMENT EXECUTE FUNCTION names_guarded_v1();

CREATE FUNCTION workstations_relabel_v1(ids integer[]) RETURNS void LANGUAGE sql AS $$
    SELECT count(*) FROM (SELECT id FROM workstations WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE) locked;
    UPDATE workstations SET labels = '{}'::jsonb WHERE id = ANY (ids);
$$;

CREATE FUNCTION department_renamed_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workstations_relabel_v1(ARRAY(
        SELECT w.id FROM workstations w LEFT JOIN employees e ON e.id = w.employee_id
        WHERE w.department_id = ANY (changed.ids) OR e.department_id = ANY (changed.ids)))
    FROM (SELECT array_agg(id) AS ids
          FROM (SELECT id, name FROM new_rows EXCEPT SELECT id, name FROM old_rows) renamed) changed
    WHERE changed.ids IS NOT NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER departments_renamed_v1 AFTER UPDATE ON departments
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION department_renamed_v1();

CREATE FUNCTION employee_renamed_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM workstations_relabel_v1(ARRAY(SELECT w.id FROM workstations w WHERE w.employee_id = ANY (changed.ids)))
    FROM (SELECT array_agg(id) AS ids
          FROM (SELECT id, name, employee_number, department_id, public_key FROM new_rows
                EXCEPT SELECT id, name, employee_number, department_id, public_key FROM old_rows) renamed) changed
    WHERE changed.ids IS NOT NULL;
    RETURN NULL;
END $$;

CREATE TRIGGER employees_renamed_v1 AFTER UPDATE ON employees
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION employee_renamed_v1();

-- Building and floor are natural keys: the rows that refer to them move along within the same statement, and the
-- constraints are checked when all have moved.
CREATE FUNCTION places_deferred_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS floors_building_fkey, workstations_floor_fkey DEFERRED;
    RETURN NULL;
END $$;

CREATE FUNCTION building_renamed_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE floors f SET building = n.name
    FROM new_rows n JOIN old_rows o USING (id) WHERE n.name <> o.name AND f.building = o.name;
    SET CONSTRAINTS floors_building_fkey, workstations_floor_fkey IMMEDIATE;
    RETURN NULL;
END $$;

CREATE TRIGGER buildings_deferred_v1 BEFORE UPDATE ON buildings
    FOR EACH STATEMENT EXECUTE FUNCTION places_deferred_v1();

CREATE TRIGGER buildings_renamed_v1 AFTER UPDATE ON buildings
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION building_renamed_v1();

CREATE FUNCTION floor_renamed_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM count(*) FROM (
        SELECT w.id FROM workstations w JOIN old_rows o ON w.building = o.building AND w.floor_number = o.number
        JOIN new_rows n ON n.id = o.id
            AND (n.building, n.number, n.name) IS DISTINCT FROM (o.building, o.number, o.name)
        ORDER BY w.id FOR NO KEY UPDATE OF w) locked;
    UPDATE workstations w SET building = n.building, floor_number = n.number, labels = '{}'::jsonb
    FROM new_rows n JOIN old_rows o USING (id)
    WHERE w.building = o.building AND w.floor_number = o.number
      AND (n.building, n.number, n.name) IS DISTINCT FROM (o.building, o.number, o.name);
    SET CONSTRAINTS floors_building_fkey, workstations_floor_fkey IMMEDIATE;
    RETURN NULL;
END $$;

CREATE TRIGGER floors_deferred_v1 BEFORE UPDATE ON floors
    FOR EACH STATEMENT EXECUTE FUNCTION places_deferred_v1();

CREATE TRIGGER floors_renamed_v1 AFTER UPDATE ON floors
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION floor_renamed_v1();
"""

TRIGGERS = {
    "workstations": (
        "workstations_stamp_v1",
        "workstations_inserted_v1",
        "workstations_updated_v1",
        "workstations_deleted_v1",
        "workstations_truncated_v1",
    ),
    "departments": ("departments_guarded_v1", "departments_renamed_v1"),
    "employees": ("employees_guarded_v1", "employees_renamed_v1"),
    "buildings": ("buildings_guarded_v1", "buildings_deferred_v1", "buildings_renamed_v1"),
    "floors": ("floors_guarded_v1", "floors_deferred_v1", "floors_renamed_v1"),
    "change_log": ("change_log_wake_v1",),
}
FUNCTIONS = (
    "workstation_stamp_v1()",
    "workstation_labels_v1(text, integer, integer, integer)",
    "workstations_changed_v1()",
    "workstations_truncated_v1()",
    "change_actor_v1()",
    "change_request_v1()",
    "change_log_wake_v1()",
    "names_guarded_v1()",
    "department_renamed_v1()",
    "employee_renamed_v1()",
    "building_renamed_v1()",
    "floor_renamed_v1()",
    "places_deferred_v1()",
    "workstations_relabel_v1(integer[])",
)


def upgrade() -> None:
    op.create_table(
        "change_log",
        # seq is the order of writing, revision the order of publishing: given by the leader after commit (live/feed).
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("revision", sa.BigInteger),
        sa.Column(
            "transaction_id",
            sa.BigInteger,
            nullable=False,
            server_default=sa.text("(pg_current_xact_id()::text)::bigint"),
        ),
        sa.Column("entity", sa.String(40), nullable=False),
        sa.Column("entity_id", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("logged_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("before", sa.dialects.postgresql.JSONB),
        sa.Column("after", sa.dialects.postgresql.JSONB),
        sa.UniqueConstraint("revision", name="change_log_revision_key"),
    )
    op.create_index("change_log_unnumbered_idx", "change_log", ["seq"], postgresql_where=sa.text("revision IS NULL"))
    op.create_table(
        "feed_head",
        sa.Column("singleton", sa.Boolean, primary_key=True, server_default=sa.true()),
        sa.Column("epoch", sa.Uuid, nullable=False, server_default=sa.text("gen_random_uuid()")),
        # system identifier / timeline / database: when one differs, this is another history and the epoch turns.
        sa.Column("history", sa.Text, nullable=False, server_default=""),
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("kept_from", sa.BigInteger, nullable=False, server_default="0"),
        sa.CheckConstraint("singleton", name="feed_head_singleton_check"),
    )
    op.execute("INSERT INTO feed_head DEFAULT VALUES")
    op.create_table(
        "idempotency_keys",
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_index("idempotency_keys_used_at_idx", "idempotency_keys", ["used_at"])
    for script in (STAMP, ACTOR, LOG, WAKE, RENAMES):
        for statement in script.strip().split("\n\n"):
            op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for table, triggers in TRIGGERS.items():
        for trigger in triggers:
            op.execute(f"DROP TRIGGER {trigger} ON {table}")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    for table in ("idempotency_keys", "feed_head", "change_log"):
        op.drop_table(table)

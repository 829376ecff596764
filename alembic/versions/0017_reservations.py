"""Reservations: who has which desk from when to when, and what that makes of the desk's status.

No two that keep a desk overlap: an exclusion constraint holds it, as the last line. What time does is done by one
function, for whoever writes as for the job that makes it visible. All moments are of booking_now_v1(), read after the
desk is locked: now() is as old as the transaction that waited.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ExcludeConstraint

revision = "0017"
down_revision = "0014"
branch_labels = None
depends_on = None

CLOCK = """
CREATE FUNCTION booking_now_v1() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'
"""

# What a row says by itself follows from what it is given, whoever writes it. The desk is locked before the row is
# written, so that what is typed into psql queues with all others.
STAMP = """
CREATE FUNCTION reservation_stamp_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    desk workstations;
    floor record;
BEGIN
    IF TG_OP = 'INSERT' OR NEW.workstation_id IS DISTINCT FROM OLD.workstation_id THEN
        IF NEW.workstation_id IS NOT NULL THEN
            SELECT w.* INTO desk FROM workstations w WHERE w.id = NEW.workstation_id FOR NO KEY UPDATE;
            SELECT f.id, b.time_zone INTO floor FROM floors f JOIN buildings b ON b.name = f.building
            WHERE f.building = desk.building AND f.number = desk.floor_number;
            NEW.floor_id := floor.id;
            NEW.desk_name := desk.name;
            NEW.time_zone := coalesce(NEW.time_zone, floor.time_zone, 'UTC');
        END IF;
    END IF;
    IF TG_OP = 'INSERT' THEN
        NEW.local_start := coalesce(NEW.local_start, NEW.starts_at AT TIME ZONE NEW.time_zone);
        NEW.local_end := coalesce(NEW.local_end, NEW.ends_at AT TIME ZONE NEW.time_zone);
        NEW.version := 1;
    ELSE
        -- Who checks in early or out before the end changes the instants, and not what was meant.
        IF NEW.state = OLD.state AND NEW.starts_at <> OLD.starts_at AND NEW.local_start = OLD.local_start THEN
            NEW.local_start := NEW.starts_at AT TIME ZONE NEW.time_zone;
        END IF;
        IF NEW.state = OLD.state AND NEW.ends_at <> OLD.ends_at AND NEW.local_end = OLD.local_end THEN
            NEW.local_end := NEW.ends_at AT TIME ZONE NEW.time_zone;
        END IF;
        NEW.version := OLD.version;
        NEW.updated_at := OLD.updated_at;
        IF NEW IS DISTINCT FROM OLD THEN
            NEW.version := OLD.version + 1;
            NEW.updated_at := clock_timestamp();
        END IF;
    END IF;
    NEW.next_at := CASE NEW.state
        WHEN 'held' THEN NEW.hold_until
        WHEN 'confirmed' THEN NEW.starts_at
        WHEN 'due' THEN least(NEW.check_in_by, NEW.ends_at)
        WHEN 'checked_in' THEN NEW.ends_at
    END;
    RETURN NEW;
END $$;

CREATE TRIGGER reservations_stamp_v1 BEFORE INSERT OR UPDATE ON reservations
    FOR EACH ROW EXECUTE FUNCTION reservation_stamp_v1();
"""

# Everything that is due on these desks by a moment. One that was due long ago goes as far as it has come by then.
SETTLE = """
CREATE FUNCTION reservations_settle_v1(desks integer[], moment timestamptz) RETURNS integer LANGUAGE sql AS $$
    WITH settled AS (
        UPDATE reservations r
        SET state = n.state, ends_at = n.ends_at, ended_at = n.ended_at, ended_why = n.why
        FROM (
            SELECT id, new_state AS state,
                CASE new_state WHEN 'released' THEN check_in_by ELSE ends_at END AS ends_at,
                CASE new_state WHEN 'due' THEN NULL WHEN 'expired' THEN hold_until
                    WHEN 'released' THEN check_in_by ELSE ends_at END AS ended_at,
                CASE new_state WHEN 'expired' THEN 'hold_over' WHEN 'released' THEN 'no_show'
                    WHEN 'completed' THEN 'end' END AS why
            FROM (
                SELECT *, CASE
                    WHEN state = 'held' THEN 'expired'
                    WHEN state = 'checked_in' THEN 'completed'
                    WHEN check_in_by <= moment THEN 'released'
                    WHEN ends_at <= moment THEN 'completed'
                    ELSE 'due' END AS new_state
                FROM reservations WHERE workstation_id = ANY (desks) AND next_at <= moment
            ) due
        ) n
        WHERE r.id = n.id
        RETURNING 1
    )
    SELECT count(*)::integer FROM settled
$$
"""

# What a booking makes of its desk is told to the desk, which makes its status of that.
STATUS = """
CREATE FUNCTION reservations_status_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    desks integer[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT workstation_id) INTO desks FROM new_rows WHERE state IN ('held', 'due', 'checked_in');
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT workstation_id) INTO desks FROM old_rows WHERE state IN ('held', 'due', 'checked_in');
    ELSE
        SELECT array_agg(DISTINCT r.workstation_id) INTO desks
        FROM ((SELECT id, workstation_id, state, starts_at FROM new_rows
               EXCEPT SELECT id, workstation_id, state, starts_at FROM old_rows)
              UNION (SELECT id, workstation_id, state, starts_at FROM old_rows
                     EXCEPT SELECT id, workstation_id, state, starts_at FROM new_rows)) r
        WHERE r.state <> 'confirmed' OR TG_OP = 'UPDATE';
    END IF;
    IF desks IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM 1 FROM workstations WHERE id = ANY (desks) ORDER BY id FOR NO KEY UPDATE;
    UPDATE workstations w SET booking_status = b.status
    FROM (
        SELECT d.id, CASE
            WHEN bool_or(r.state = 'checked_in') THEN 'occupied'
            WHEN bool_or(r.state = 'due' OR r.state = 'held' AND r.starts_at <= booking_now_v1()) THEN 'reserved'
        END AS status
        FROM unnest(desks) d(id)
        LEFT JOIN reservations r ON r.workstation_id = d.id AND r.state IN ('held', 'due', 'checked_in')
        GROUP BY d.id
    ) b
    WHERE w.id = b.id AND w.booking_status IS DISTINCT FROM b.status;
    RETURN NULL;
END $$;

CREATE TRIGGER reservations_status_inserted_v1 AFTER INSERT ON reservations REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION reservations_status_v1();

CREATE TRIGGER reservations_status_updated_v1 AFTER UPDATE ON reservations
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION reservations_status_v1();

CREATE TRIGGER reservations_status_deleted_v1 AFTER DELETE ON reservations REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION reservations_status_v1();
"""

# `base_status` is what people set, for as long as a booking keeps the desk. Triggers of one kind fire by their names:
# this one before workstations_stamp_v1, which counts what is shown.
DESK = """
CREATE FUNCTION workstation_booked_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.booking_status IS NULL THEN
        NEW.base_status := NEW.status;
    ELSIF NEW.status <> OLD.status THEN
        NEW.base_status := NEW.status;
    END IF;
    IF NEW.booking_status IS NULL THEN
        NEW.status := coalesce(NEW.base_status, NEW.status);
        NEW.base_status := NULL;
    ELSE
        NEW.status := CASE
            WHEN NEW.base_status = 'maintenance' THEN 'maintenance'
            WHEN 'occupied' IN (NEW.base_status, NEW.booking_status) THEN 'occupied'
            ELSE 'reserved' END;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER workstations_booked_v1 BEFORE UPDATE ON workstations FOR EACH ROW
    WHEN (NEW.booking_status IS NOT NULL OR OLD.booking_status IS NOT NULL)
    EXECUTE FUNCTION workstation_booked_v1();
"""

# Bookings go along with their desk to another floor.
MOVES = """
CREATE FUNCTION workstation_moved_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reservations SET floor_id =
        (SELECT f.id FROM floors f WHERE f.building = NEW.building AND f.number = NEW.floor_number)
    WHERE workstation_id = NEW.id AND state IN ('held', 'confirmed', 'due', 'checked_in');
    RETURN NULL;
END $$;

CREATE TRIGGER workstations_moved_v1 AFTER UPDATE ON workstations FOR EACH ROW
    WHEN (NEW.building IS DISTINCT FROM OLD.building OR NEW.floor_number IS DISTINCT FROM OLD.floor_number)
    EXECUTE FUNCTION workstation_moved_v1();
"""

# Who is gone keeps no desk.
LEAVERS = """
CREATE FUNCTION employee_left_v1() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reservations SET state = 'cancelled', ended_at = booking_now_v1(), ended_why = 'left'
    WHERE holder_id = OLD.id AND state IN ('held', 'confirmed', 'due');
    UPDATE reservations SET state = 'completed', ended_at = booking_now_v1(), ended_why = 'left'
    WHERE holder_id = OLD.id AND state = 'checked_in';
    RETURN OLD;
END $$;

CREATE TRIGGER employees_left_v1 BEFORE DELETE ON employees FOR EACH ROW EXECUTE FUNCTION employee_left_v1();
"""

FINAL = "state IN ('completed', 'released', 'cancelled', 'expired', 'replaced')"
BLOCKING = "state IN ('held', 'confirmed', 'due', 'checked_in')"
MOMENTS = "'0001-01-02 00:00:00+00' AND '9999-12-30 23:59:59.999999+00'"  # what Python can hold
# What each kind of statement leaves behind.
LOGGED = {
    "inserted": ("INSERT", "NEW TABLE AS new_rows"),
    "updated": ("UPDATE", "OLD TABLE AS old_rows NEW TABLE AS new_rows"),
    "deleted": ("DELETE", "OLD TABLE AS old_rows"),
}


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.add_column("workstations", sa.Column("booking_status", sa.String(20)))
    op.add_column("workstations", sa.Column("base_status", sa.String(20)))
    op.create_check_constraint(
        "workstations_booking_check",
        "workstations",
        "(booking_status IS NULL) = (base_status IS NULL) AND booking_status IN ('reserved', 'occupied')"
        " AND base_status IN ('available', 'occupied', 'maintenance', 'reserved')",
    )
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "reservations",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("workstation_id", sa.Integer),
        sa.Column("floor_id", sa.Integer),
        sa.Column("desk_name", sa.String(100), nullable=False, server_default=""),
        sa.Column("holder_id", sa.Integer),
        sa.Column("department_id", sa.Integer),
        sa.Column("booked_by", sa.Text),
        sa.Column("state", sa.String(12), nullable=False, server_default="confirmed"),
        sa.Column("starts_at", moment, nullable=False),
        sa.Column("ends_at", moment, nullable=False),
        sa.Column("local_start", sa.DateTime, nullable=False),
        sa.Column("local_end", sa.DateTime, nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("hold_until", moment),
        sa.Column("check_in_from", moment),
        sa.Column("check_in_by", moment),
        sa.Column("checked_in_at", moment),
        sa.Column("ended_at", moment),
        sa.Column("ended_why", sa.String(20)),
        sa.Column("next_at", moment),
        sa.Column("visibility", sa.String(12), nullable=False, server_default="nobody"),
        sa.Column("note", sa.Text),
        sa.Column("version", sa.Integer, nullable=False, server_default="1"),
        sa.Column("created_at", moment, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.Column("updated_at", moment, nullable=False, server_default=sa.text("clock_timestamp()")),
        sa.CheckConstraint(f"{BLOCKING} OR {FINAL}", name="reservations_state_check"),
        sa.CheckConstraint(
            "starts_at < ends_at AND ends_at - starts_at <= interval '31 days'", name="reservations_length_check"
        ),
        sa.CheckConstraint("(state = 'held') <= (hold_until IS NOT NULL)", name="reservations_hold_check"),
        sa.CheckConstraint(f"workstation_id IS NOT NULL OR {FINAL}", name="reservations_desk_check"),
        sa.CheckConstraint(
            f"({FINAL}) = (ended_at IS NOT NULL) AND (ended_at IS NULL) = (ended_why IS NULL)",
            name="reservations_ended_check",
        ),
        sa.CheckConstraint("visibility IN ('everyone', 'department', 'nobody')", name="reservations_visibility_check"),
        sa.CheckConstraint("length(note) <= 500", name="reservations_note_check"),
        sa.CheckConstraint(
            f"starts_at BETWEEN {MOMENTS} AND ends_at BETWEEN {MOMENTS}", name="reservations_moments_check"
        ),
        sa.ForeignKeyConstraint(
            ["workstation_id"], ["workstations.id"], name="reservations_workstation_id_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["floor_id"], ["floors.id"], name="reservations_floor_id_fkey", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["holder_id"], ["employees.id"], name="reservations_holder_id_fkey", ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["department_id"], ["departments.id"], name="reservations_department_id_fkey", ondelete="SET NULL"
        ),
        ExcludeConstraint(
            ("workstation_id", "="),
            (sa.text("tstzrange(starts_at, ends_at)"), "&&"),
            name="reservations_slot_excl",
            where=sa.text(BLOCKING),
            using="gist",
        ),
    )
    op.create_index(
        "reservations_next_at_idx", "reservations", ["next_at"], postgresql_where=sa.text("next_at IS NOT NULL")
    )
    op.create_index("reservations_holder_idx", "reservations", ["holder_id", "ends_at", "id"])
    op.create_index("reservations_floor_idx", "reservations", ["floor_id", "starts_at", "id"])
    op.create_index("reservations_desk_idx", "reservations", ["workstation_id", "starts_at", "id"])
    op.create_index("reservations_department_id_idx", "reservations", ["department_id"])
    op.create_index(
        "change_log_reservations_idx", "change_log", ["revision"], postgresql_where=sa.text("entity = 'reservation'")
    )
    for script in (CLOCK, STAMP, SETTLE, STATUS, DESK, MOVES, LEAVERS):
        for statement in script.strip().split("\n\n"):
            op.get_bind().exec_driver_sql(statement)
    for done, (statement, rows) in LOGGED.items():
        op.execute(
            f"CREATE TRIGGER reservations_{done}_v1 AFTER {statement} ON reservations REFERENCING {rows}"
            " FOR EACH STATEMENT EXECUTE FUNCTION office_changed_v1('reservation')"
        )
    op.execute(
        "CREATE TRIGGER reservations_truncated_v1 BEFORE TRUNCATE ON reservations"
        " FOR EACH STATEMENT EXECUTE FUNCTION workstations_truncated_v1()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER employees_left_v1 ON employees")
    op.execute("DROP TRIGGER workstations_booked_v1 ON workstations")
    op.execute("DROP TRIGGER workstations_moved_v1 ON workstations")
    op.execute(
        "UPDATE workstations SET status = base_status, base_status = NULL, booking_status = NULL"
        " WHERE booking_status IS NOT NULL"
    )
    op.drop_index("change_log_reservations_idx", "change_log")
    op.drop_table("reservations")
    for function in (
        "employee_left_v1()",
        "workstation_booked_v1()",
        "workstation_moved_v1()",
        "reservations_status_v1()",
        "reservations_settle_v1(integer[], timestamptz)",
        "reservation_stamp_v1()",
        "booking_now_v1()",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_constraint("workstations_booking_check", "workstations")
    op.drop_column("workstations", "base_status")
    op.drop_column("workstations", "booking_status")
    op.execute("DROP EXTENSION IF EXISTS btree_gist")

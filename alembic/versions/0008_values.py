"""What values may be (domain/values.py says it for every other way in), held for those who write SQL too.

Moments by constraints: what is outside is brought to the nearest that is inside, which means the same. JSON, numbers
and texts of a workstation by a trigger that looks at what is written alone: a row with equipment of before that is too
deep, or has too large a number, is kept as it is, and can still be assigned, moved and freed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FIRST, LAST = "0001-01-02 00:00:00+00", "9999-12-30 23:59:59.999999+00"
# updated_at of a workstation is written by a trigger alone.
MOMENTS = {
    "workstations": ("created_at",),
    "notifications": ("created_at", "expires_at"),
    "accounts": ("tokens_from", "created_at"),
    "login_sessions": ("created_at", "last_used_at", "revoked_at"),
    "refresh_tokens": ("issued_at", "expires_at", "used_at"),
}
# NaN means nothing where a desk stands; where it is put instead, somebody will see it.
NUMBERS = {"x_position": 0, "y_position": 0, "width": 120, "height": 80}

VALUES = r"""
CREATE FUNCTION json_problem_v1(written text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    bare text;
    number CONSTANT text := '-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?';
BEGIN
    IF length(written) > 20000 THEN
        RETURN 'takes at most 20,000 characters';
    END IF;
    -- jsonb takes no half characters, as everybody else; but no NUL either, which all others do as an escape.
    PERFORM replace(written, '\u0000', '\u0001')::jsonb;
    bare := regexp_replace(written, '"(?:[^"\\]|\\.)*"', '', 'g');
    IF length(bare) - length(translate(bare, '[{', '')) > 192 AND (
        SELECT max(open) FROM (
            SELECT sum(CASE WHEN mark[1] IN ('[', '{') THEN 1 ELSE -1 END) OVER (ORDER BY place) AS open
            FROM regexp_matches(bare, '[][{}]', 'g') WITH ORDINALITY AS marks(mark, place)) steps) > 192
    THEN
        RETURN 'is nested too deeply: 192 levels are the most';
    END IF;
    IF bare ~ '[0-9]{16}' AND EXISTS (
        SELECT FROM regexp_matches(bare, number, 'g') AS found(it)
        WHERE it[1] !~ '[.eE]' AND abs(it[1]::numeric) > 9007199254740991)
    THEN
        RETURN 'holds an integer beyond 9007199254740991; write it as a text';
    END IF;
    IF bare ~ '[0-9][eE]|[0-9]{255}' THEN
        PERFORM it[1]::float8 FROM regexp_matches(bare, number, 'g') AS found(it);
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN numeric_value_out_of_range THEN
        RETURN 'holds a number that is too large or too small for a double; write it as a text';
    WHEN data_exception OR statement_too_complex THEN
        RETURN 'is not JSON, or not such as all programs read';
END $$;

CREATE FUNCTION workstation_values_v1() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    problem text;
BEGIN
    IF NEW.equipment IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.equipment IS DISTINCT FROM OLD.equipment) THEN
        problem := json_problem_v1(NEW.equipment);
        IF problem IS NOT NULL THEN
            RAISE check_violation USING MESSAGE = 'equipment ' || problem, CONSTRAINT = 'workstations_equipment_check';
        END IF;
    END IF;
    IF length(NEW.notes) > 10000 AND (TG_OP = 'INSERT' OR NEW.notes IS DISTINCT FROM OLD.notes) THEN
        RAISE check_violation USING MESSAGE = 'notes take at most 10,000 characters',
            CONSTRAINT = 'workstations_notes_check';
    END IF;
    IF 'NaN' IN (NEW.x_position, NEW.y_position, NEW.width, NEW.height) THEN
        RAISE check_violation USING MESSAGE = 'coordinates and sizes must be numbers, NaN is none',
            CONSTRAINT = 'workstations_numbers_check';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER workstations_values_v1
    BEFORE INSERT OR UPDATE OF equipment, notes, x_position, y_position, width, height ON workstations
    FOR EACH ROW EXECUTE FUNCTION workstation_values_v1();
"""


def upgrade() -> None:
    for table, columns in MOMENTS.items():
        inside = {column: f"{column} BETWEEN '{FIRST}' AND '{LAST}'" for column in columns}
        for column, condition in inside.items():
            nearest = f"least(greatest({column}, '{FIRST}'), '{LAST}')"
            op.execute(f"UPDATE {table} SET {column} = {nearest} WHERE NOT ({condition})")  # noqa: S608  # words of this file
        op.create_check_constraint(f"{table}_moments_check", table, sa.text(" AND ".join(inside.values())))
    for column, instead in NUMBERS.items():
        op.execute(f"UPDATE workstations SET {column} = {instead} WHERE {column} = 'NaN'")  # noqa: S608  # words of this file
    for statement in VALUES.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER workstations_values_v1 ON workstations")
    op.execute("DROP FUNCTION workstation_values_v1()")
    op.execute("DROP FUNCTION json_problem_v1(text)")
    for table in MOMENTS:
        op.drop_constraint(f"{table}_moments_check", table)

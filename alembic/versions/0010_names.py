"""Names are kept in one normal form, and without characters that nobody sees: what looks the same is the same.

Names that are there already are brought into that form. Where another row has the name by then, this one gets a number
behind it, ` (2)`: nothing is lost, and a line of the log says which. What is merged is for people to decide.
"""

import logging
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

logger = logging.getLogger("alembic.names")

# As in domain/names.
UNSEEN = (
    r"[\u0001-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    r"\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    r"\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
# Table and column -> normal form, length, and when another row keeps this one from having a name.
NAMES = {
    ("buildings", "name"): ("NFC", 50, "other.name = :name"),
    ("floors", "name"): ("NFC", 100, "false"),
    ("departments", "name"): ("NFC", 100, "other.name = :name"),
    ("employees", "name"): ("NFC", 100, "false"),
    ("employees", "employee_number"): ("NFC", 32, "other.employee_number = :name"),
    ("workstations", "name"): (
        "NFC",
        100,
        "other.name = :name AND (other.building, other.floor_number) = (this.building, this.floor_number)",
    ),
    ("accounts", "name"): ("NFKC", 100, "lower(other.name) = lower(:name)"),
}


def upgrade() -> None:
    op.execute("SELECT set_config('graphql_app.actor', 'command:migrate', true)")
    op.execute("SELECT set_config('graphql_app.transport', 'command', true)")
    for (table, column), (form, length, taken) in NAMES.items():
        mend(table, column, form, length, taken)
    op.execute("SET CONSTRAINTS ALL IMMEDIATE")  # a table with checks outstanding cannot be altered
    for (table, column), (form, _, _) in NAMES.items():
        op.create_check_constraint(f"{table}_{column}_form_check", table, is_plain(column, form))


def downgrade() -> None:
    for table, column in NAMES:
        op.drop_constraint(f"{table}_{column}_form_check", table)


def is_plain(column: str, form: str) -> str:
    return f"{column} IS {form} NORMALIZED AND {column} !~ '{UNSEEN}'"


def mend(table: str, column: str, form: str, length: int, taken: str) -> None:
    plain = f"btrim(normalize(regexp_replace(normalize({column}, {form}), '{UNSEEN}', '', 'g'), {form}))"
    found = op.get_bind().exec_driver_sql(
        f"SELECT id, {column}, {plain} FROM {table} WHERE NOT ({is_plain(column, form)}) ORDER BY id"  # noqa: S608
    )
    for key, before, after in found.all():
        name = next(name for name in candidates(after or f"{key}", length) if is_free(table, key, name, taken))
        op.get_bind().execute(
            sa.text(f"UPDATE {table} SET {column} = :name WHERE id = :key"),  # noqa: S608  # of this file alone
            {"name": name, "key": key},
        )
        logger.warning("%s %d: %s is %r now, it was %s", table, key, column, name, ascii(before))


def candidates(name: str, length: int) -> Iterator[str]:
    yield name[:length]
    for number in range(2, 100_000):
        behind = f" ({number})"
        yield name[: length - len(behind)] + behind


def is_free(table: str, key: int, name: str, taken: str) -> bool:
    is_taken = sa.text(
        f"SELECT EXISTS (SELECT FROM {table} this JOIN {table} other ON other.id <> this.id"  # noqa: S608
        f" WHERE this.id = :key AND {taken})"
    ).bindparams(sa.bindparam("key", type_=sa.Integer))
    if ":name" in taken:
        is_taken = is_taken.bindparams(sa.bindparam("name", name, type_=sa.String))
    return not op.get_bind().execute(is_taken, {"key": key}).scalar()

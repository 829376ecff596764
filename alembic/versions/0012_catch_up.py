"""Indexes of the change log by what is followed, and by what waits to be numbered: who comes back reads what they
missed, and not what everybody did; a read of a floor finds what of it has no revision yet; and small transactions are
found behind a large one.

Nearly every change leaves a workstation on its floor: where it was is listed for those alone that moved.
"""

from graphql_app.store.schema.indexing import create_indexes, drop_indexes

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEXES = {
    "change_log_place_idx": "((coalesce(after, before) ->> 'building'), (coalesce(after, before) ->> 'floor_number'),"
    " revision) WHERE entity = 'workstation'",
    "change_log_left_idx": "((before ->> 'building'), (before ->> 'floor_number'), revision)"
    " WHERE entity = 'workstation' AND (before ->> 'building' IS DISTINCT FROM after ->> 'building'"
    " OR before ->> 'floor_number' IS DISTINCT FROM after ->> 'floor_number')",
    "change_log_waiting_transactions_idx": "(transaction_id) WHERE revision IS NULL",
    "change_log_waiting_entities_idx": "(entity, entity_id, seq) WHERE revision IS NULL",
}


def upgrade() -> None:
    create_indexes("change_log", INDEXES)


def downgrade() -> None:
    drop_indexes(INDEXES)

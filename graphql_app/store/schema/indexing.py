"""Makes indexes in migrations without keeping others from writing the table."""

from collections.abc import Mapping

from alembic import op


def create_indexes(table: str, indexes: Mapping[str, str]) -> None:
    """Makes each as it is described (`(columns) WHERE rows`), outside of a transaction: that takes longer, and a
    failure leaves an invalid index behind, which the next attempt drops."""
    with op.get_context().autocommit_block():
        for name, described in indexes.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} {described}")


def drop_indexes(names: Mapping[str, str]) -> None:
    """Drops each, if it is there, outside of a transaction."""
    with op.get_context().autocommit_block():
        for name in names:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")

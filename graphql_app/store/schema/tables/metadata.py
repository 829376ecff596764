"""The metadata that all tables belong to, and the checks that several of them have."""

from sqlalchemy import CheckConstraint, MetaData

from graphql_app.domain.names import UNSEEN

metadata = MetaData()

# As domain/values.py has them: a day inside of what Python holds.
_MOMENTS = "'0001-01-02 00:00:00+00' AND '9999-12-30 23:59:59.999999+00'"


def moments_check(table: str, *columns: str) -> CheckConstraint:
    """Makes the check that these columns of a table hold moments that Python can hold."""
    conditions = " AND ".join(f"{column} BETWEEN {_MOMENTS}" for column in columns)
    return CheckConstraint(conditions, name=f"{table}_moments_check")


def normal_form_check(table: str, column: str, form: str) -> CheckConstraint:
    """Makes the check that a name is in a normal form of Unicode, without characters that nobody sees."""
    return CheckConstraint(
        f"{column} IS {form} NORMALIZED AND {column} !~ '{UNSEEN}'", name=f"{table}_{column}_form_check"
    )

"""The tables of counted workstations, which the log keeps true."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    true,
)

from graphql_app.store.schema.tables.metadata import metadata

# How many workstations there are of each kind as of the revision in `counted`; the log says what has happened since.
workstation_counts = Table(
    "workstation_counts",
    metadata,
    Column("building", String(50)),
    Column("floor_number", Integer),
    Column("department_id", Integer),
    Column("department", Text),
    Column("status", String(20), nullable=False),
    Column("workstations", BigInteger, nullable=False),
    UniqueConstraint(
        "building",
        "floor_number",
        "department_id",
        "department",
        "status",
        name="workstation_counts_key",
        postgresql_nulls_not_distinct=True,
    ),
)

counted = Table(
    "counted",
    metadata,
    Column("singleton", Boolean, primary_key=True, server_default=true()),
    Column("revision", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("singleton", name="counted_singleton_check"),
)

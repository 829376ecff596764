"""What the database reports, and how much of it goes on."""

import asyncpg
import pytest

from graphql_app.domain.errors import NameTaken
from graphql_app.store.failures import translated

# As the server says it: with the whole row, whatever of it is hidden from whom.
ROW = {"C": "23514", "M": 'new row violates check constraint "x"', "D": "Failing row contains (1, A-01, 71010001.25)."}


def test_the_row_that_the_database_repeats_goes_into_no_log() -> None:
    """Neither as the error itself nor as what is behind a refusal."""
    with pytest.raises(asyncpg.CheckViolationError) as unknown, translated():
        raise asyncpg.PostgresError.new(ROW)
    with pytest.raises(NameTaken) as refused, translated():
        raise asyncpg.PostgresError.new({**ROW, "C": "23505", "n": "workstations_place_name_key"})

    for error in (unknown.value, refused.value.__cause__):
        assert "violates check constraint" in str(error)
        assert "71010001" not in str(error)

"""What the database reports, and how much of it goes on."""

import asyncpg
import pytest

from graphql_app.domain.errors import Contention, NameTaken, ReadOnly, Refusal, Unavailable
from graphql_app.store.postgres.failures import Trouble, is_lost, refusal_for, translated, trouble_of

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


@pytest.mark.parametrize(
    ("state", "refusal", "trouble"),
    [
        ("08006", Unavailable, Trouble.LOST),
        ("25006", ReadOnly, Trouble.READ_ONLY),
        ("25P03", Unavailable, Trouble.LOST),
        ("25P04", Unavailable, Trouble.LOST),
        ("28P01", Unavailable, None),
        ("3D000", Unavailable, None),
        ("40001", Contention, Trouble.RETRY),
        ("40P01", Contention, Trouble.RETRY),
        ("53000", Unavailable, None),
        ("53100", Unavailable, Trouble.FULL),
        ("53200", Unavailable, None),
        ("53300", Unavailable, None),
        ("53400", Unavailable, None),
        ("55P03", Contention, Trouble.RETRY),
        ("57014", Unavailable, None),
        ("57P01", Unavailable, Trouble.LOST),
        ("57P02", Unavailable, Trouble.LOST),
        ("57P03", Unavailable, None),
        ("57P04", Unavailable, Trouble.LOST),
        ("57P05", Unavailable, Trouble.LOST),
        ("58030", Unavailable, Trouble.FULL),
    ],
)
def test_every_trouble_of_the_server_is_a_refusal_that_says_what_to_do(
    state: str, refusal: type[Refusal], trouble: Trouble | None
) -> None:
    error = asyncpg.PostgresError.new({"C": state, "M": "as PostgreSQL says it"})
    told = refusal_for(error)
    assert told is not None
    assert type(told) is refusal
    assert trouble_of(error) is trouble
    assert is_lost(error) is (trouble is Trouble.LOST)
    assert any(hint in told.message for hint in ("try again", "Try again", "Tell the operators"))


@pytest.mark.parametrize("state", ["XX000", "XX001", "42P01", "0A000"])
def test_what_is_a_fault_of_ours_or_of_the_data_stays_one(state: str) -> None:
    error = asyncpg.PostgresError.new({"C": state, "M": "as PostgreSQL says it"})
    assert refusal_for(error) is None
    assert trouble_of(error) is None


def test_where_no_host_takes_writes_none_was_lost() -> None:
    error = asyncpg.TargetServerAttributeNotMatched("none of the hosts takes writes")
    assert isinstance(refusal_for(error), Unavailable)
    assert not is_lost(error)

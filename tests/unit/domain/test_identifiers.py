"""Global IDs: what is made is read again, and nothing else is."""

from base64 import b64encode
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.errors import InvalidInput
from graphql_app.domain.identifiers import ROW_MOST, global_id, parse, public_key, row


def coded(text: str) -> str:
    return b64encode(text.encode()).decode()


@given(st.integers(0, ROW_MOST), st.sampled_from(["Workstation", "Floor", "Department"]))
def test_the_id_of_a_row_is_read_again(key: int, type_name: str) -> None:
    assert row(global_id(type_name, key), type_name) == key


@given(st.uuids())
def test_the_id_of_a_person_is_read_again(key: UUID) -> None:
    assert public_key(global_id("Employee", key), "Employee") == key


def test_ids_of_different_types_differ() -> None:
    assert global_id("Workstation", 1) != global_id("Floor", 1)


@given(st.text())
def test_any_other_text_is_refused_as_input(text: str) -> None:
    for read in (parse, lambda given: row(given, "Workstation"), lambda given: public_key(given, "Employee")):
        with pytest.raises(InvalidInput):
            read(text + "!")


@given(st.text())
def test_any_text_in_place_of_a_key_is_refused_or_is_a_row_that_a_table_can_have(key: str) -> None:
    try:
        number = row(coded(f"Workstation:{key}"), "Workstation")
    except InvalidInput:
        return
    assert 0 <= number <= ROW_MOST


@pytest.mark.parametrize(
    "key",
    [
        "-1",
        "+1",
        " 1",
        "1.0",
        "1_0",
        "٣",
        "²",
        str(ROW_MOST + 1),
        "9" * 5000,
        "0" * 5000,
        "0" * 10 + "9" * 11,
        "1\n",
        "",
        "1:2",
    ],
)
def test_what_is_no_row_number_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput):
        row(coded(f"Workstation:{key}"), "Workstation")


def test_an_id_of_another_type_is_refused_and_the_wanted_type_named() -> None:
    with pytest.raises(InvalidInput, match="Workstation") as refused:
        row(global_id("Floor", 1), "Workstation", "ids")

    assert refused.value.field == "ids"


@pytest.mark.parametrize("key", ["1", "not-a-uuid", "{}", ""])
def test_what_is_no_public_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput):
        public_key(coded(f"Employee:{key}"), "Employee")


@pytest.mark.parametrize(
    "text", ["", "x", "Workstation:1", "V29ya3N0YXRpb246MQ", "V29y a3N0YXRpb246MQ==", "é", "=" * 8]
)
def test_what_is_not_base64_of_a_type_and_a_key_is_no_id(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse(text)


def test_a_refused_id_is_not_repeated_at_length() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse("x" * 100_000)

    assert len(refused.value.message) < 200

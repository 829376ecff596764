"""What is sealed can be read and made by nobody else."""

from base64 import urlsafe_b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.seal import BrokenSeal, Numbers, Seal

SECRET = "a secret of thirty-two characters"
SEAL = Seal(SECRET, "page cursor")


@given(st.binary())
def test_what_was_closed_is_opened_again(content: bytes) -> None:
    assert SEAL.open(SEAL.close(content)) == content
    assert SEAL.open_text(SEAL.close_text(content)) == content


@given(st.binary(max_size=40), st.data())
def test_one_changed_bit_breaks_the_seal(content: bytes, data: st.DataObject) -> None:
    sealed = bytearray(SEAL.close(content))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(BrokenSeal):
        SEAL.open(bytes(sealed))


@given(st.binary(max_size=40), st.data())
def test_what_is_cut_short_breaks_the_seal(content: bytes, data: st.DataObject) -> None:
    sealed = SEAL.close(content)

    with pytest.raises(BrokenSeal):
        SEAL.open(sealed[: data.draw(st.integers(0, len(sealed) - 1))])


@given(st.binary())
def test_what_was_never_sealed_is_not_opened(content: bytes) -> None:
    with pytest.raises(BrokenSeal):
        SEAL.open(content)


@given(st.text())
def test_a_text_that_was_never_sealed_is_not_opened(text: str) -> None:
    with pytest.raises(BrokenSeal):
        SEAL.open_text(text)


@pytest.mark.parametrize("stranger", [Seal(SECRET, "feed cursor"), Seal(SECRET + "!", "page cursor")])
def test_a_seal_for_another_purpose_or_of_another_secret_does_not_open_it(stranger: Seal) -> None:
    with pytest.raises(BrokenSeal):
        stranger.open(SEAL.close(b"content"))


def test_the_same_secret_and_purpose_open_it_in_another_process() -> None:
    assert Seal(SECRET, "page cursor").open(SEAL.close(b"content")) == b"content"


def test_equal_contents_do_not_look_equal() -> None:
    assert SEAL.close(b"content") != SEAL.close(b"content")


def test_the_content_cannot_be_read_from_outside() -> None:
    text = SEAL.close_text(b"employee number E-1001")

    assert b"E-1001" not in urlsafe_b64decode(text + "=" * (-len(text) % 4))


@given(st.binary())
def test_a_sealed_text_needs_no_escaping_in_a_url(content: bytes) -> None:
    text = SEAL.close_text(content)

    assert text.isascii()
    assert not set(text) & set("+/=&?# ")


def test_a_number_has_one_name_that_tells_nothing_of_it() -> None:
    numbers = Numbers("secret" * 6, "rows")
    named = [numbers.close(number) for number in range(200)]

    assert [numbers.open(name) for name in named] == list(range(200))
    assert named == [Numbers("secret" * 6, "rows").close(number) for number in range(200)]
    assert len(set(named)) == 200
    assert named != sorted(named)
    assert len({len(name) for name in [*named, numbers.close(2**63 - 1)]}) == 1
    assert named[7] != Numbers("secret" * 6, "other rows").close(7) != Numbers("other" * 7, "rows").close(7)


@given(st.text(max_size=50))
def test_a_name_that_was_not_given_here_is_of_no_row(name: str) -> None:
    with pytest.raises(BrokenSeal):
        Numbers("secret" * 6, "rows").open(name)


def test_a_name_that_was_changed_is_of_no_row() -> None:
    numbers = Numbers("secret" * 6, "rows")
    name = numbers.close(17)
    for place in range(len(name) - 1):
        with pytest.raises(BrokenSeal):
            numbers.open(name[:place] + ("A" if name[place] != "A" else "B") + name[place + 1 :])

"""Text of clients, as it may stand in a log."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.texts import is_request_id, plain, plain_lines

PLAIN = {
    "r-17": "r-17",
    "总部A座 é": "总部A座 é",
    "a\r\nb": r"a\r\nb",
    "\x1b[31mred": r"\x1b[31mred",
    "gnp\u202eexe": r"gnp\u202eexe",
    "\u2066x\u2069\u200b\ufeff": r"\u2066x\u2069\u200b\ufeff",
    "\x00\x85\u2028": r"\x00\x85\u2028",
    "\ud800": r"\ud800",
}


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_not_plain_is_written_as_an_escape(text: str) -> None:
    assert plain(text) == PLAIN[text]


@given(st.text())
def test_a_plain_text_is_one_line_that_turns_nothing_around(text: str) -> None:
    made = plain(text)

    assert len(made.splitlines()) <= 1
    assert plain(made) == made
    made.encode()  # whoever writes it, can
    assert plain_lines(text) == "\n".join(plain(line) for line in text.split("\n"))


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a\x1bb", b"a\r\nb", b"\xc3\xa9", b"\x7f"])
def test_what_may_not_stand_in_a_header_is_no_request_id(given: bytes) -> None:
    assert not is_request_id(given)
    assert is_request_id(b"r-17")

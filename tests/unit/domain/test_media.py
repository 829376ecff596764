"""What clients list with a preference, and what a body is said to be."""

import pytest

from graphql_app.domain.errors import UnsupportedMedia
from graphql_app.domain.media import EVENTS, JSON, quality, quality_by_name, ranges, require_json


@pytest.mark.parametrize(
    ("header", "media", "found"),
    [
        ("*/*", JSON, 1.0),
        ("application/*;q=0.5, */*;q=0.1", JSON, 0.5),
        ("application/*;q=0.5", EVENTS, 0.0),
        ("text/*", EVENTS, 1.0),
        ("Text/Event-Stream; q=0", EVENTS, 0.0),
        ("application/json;Q=0.2, */*", JSON, 0.2),
    ],
)
def test_the_most_specific_range_says_how_much_a_type_is_liked(header: str, media: str, found: float) -> None:
    assert quality(media, ranges(header)) == found


@pytest.mark.parametrize(
    ("header", "found"), [("gzip", 1.0), ("br, GZIP;q=0.5", 0.5), ("gzip;q=0", 0.0), ("*", 0.0), ("", 0.0)]
)
def test_a_wildcard_names_nothing(header: str, found: float) -> None:
    assert quality_by_name("gzip", ranges(header)) == found


@pytest.mark.parametrize(
    "said", [JSON, "Application/JSON", 'application/json; charset="UTF-8"', f"{JSON};charset=utf8"]
)
def test_json_is_json_however_it_is_said(said: str) -> None:
    require_json(said, "")
    require_json(said, "Identity")


@pytest.mark.parametrize(
    "said",
    [
        "",
        "text/plain",
        "text/json",
        f"{JSON}p",
        f"{JSON}; charset=utf-16",
        f"{JSON}; charset=latin-1",
        f"{JSON}, {JSON}",
    ],
)
def test_what_is_not_said_to_be_json_in_utf_8_is_refused_with_what_would_not_be(said: str) -> None:
    with pytest.raises(UnsupportedMedia) as refused:
        require_json(said, "")
    assert refused.value.hint == ("Accept", JSON)


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x"])
def test_a_coded_body_is_refused_with_the_coding_that_is_not(coding: str) -> None:
    with pytest.raises(UnsupportedMedia) as refused:
        require_json(JSON, coding)
    assert refused.value.hint == ("Accept-Encoding", "identity")

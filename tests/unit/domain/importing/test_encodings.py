"""In which encoding a file is: recognised from its bytes, and undone."""

import io
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphql_app.domain.importing import Unreadable, encodings
from graphql_app.domain.importing.encodings import GB18030, UTF8, Utf8Of, recognised

CHINESE = "部门,备注\n研发部,靠窗的座位\n市场部,临近会议室，带显示器\n"


def blocks(raw: bytes, size: int) -> Iterable[bytes]:
    return (raw[at : at + size] for at in range(0, len(raw), size))


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"", UTF8),
        (b"name\nA\n", UTF8),
        (CHINESE.encode(), UTF8),
        (b"\xef\xbb\xbf" + CHINESE.encode(), UTF8),
        (CHINESE.encode("gbk"), GB18030),
        (("name\n" + "A\n" * 5000 + "研发部\n").encode("gbk"), GB18030),
        ("王喆,李祎,张𠮷的座位\n".encode("gb18030"), GB18030),
        (CHINESE.encode("utf-16"), "utf-16"),
        (("\ufeff" + CHINESE).encode("utf-16-be"), "utf-16"),
        ("Müller,Café,Señor Núñez\n".encode("cp1252"), UTF8),  # none of ours: reading it says so
        ("Дмитрий\n".encode("koi8-r")[:-2] + b"\xff\n", UTF8),
    ],
)
def test_an_encoding_is_recognised_from_all_of_the_file(raw: bytes, encoding: str, size: int) -> None:
    assert recognised(lambda: blocks(raw, max(size, 3))) == encoding


@given(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])), st.sampled_from(["utf-16", GB18030, "utf-16-le"])
)
def test_what_is_read_is_what_was_written(text: str, encoding: str) -> None:
    raw = io.BytesIO(text.encode(encoding))
    assert io.BufferedReader(Utf8Of(raw, encoding)).read().decode() == text


@pytest.mark.parametrize(
    ("encoding", "bad"), [(GB18030, b"\xff\xff"), ("utf-16-le", b"\x00\xd8a\x00"), ("ascii", b"\xe9")]
)
def test_what_is_not_valid_is_refused_with_its_line(encoding: str, bad: bytes) -> None:
    for before in (0, 3, 40_000):
        raw = io.BytesIO(("line\n" * before).encode(encoding) + bad + "\n".encode(encoding))
        with pytest.raises(Unreadable) as refused:
            io.BufferedReader(Utf8Of(raw, encoding)).read()
        assert refused.value.line == before + 1
        assert "--encoding" in refused.value.faults[0].reason


@pytest.mark.parametrize(
    ("name", "found"), [("GBK", "gbk"), ("utf8", UTF8), ("latin-1", "iso8859-1"), ("base64", None), ("x", None)]
)
def test_an_encoding_has_a_name(name: str, found: str | None) -> None:
    assert encodings.known(name) == found

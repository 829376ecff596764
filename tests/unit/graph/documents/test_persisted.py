"""Documents by their hash: which text is meant, what may be registered, and what the operator did not list."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from graphql_app import observe
from graphql_app.domain.errors import InvalidInput, TooMany, UnknownDocument, UntrustedDocument
from graphql_app.graph.api.schema import build
from graphql_app.graph.documents.document import Documents, InvalidDocument
from graphql_app.graph.documents.limits import DocumentLimits
from graphql_app.graph.documents.persisted import BadManifest, Persisted, hash_given, manifest
from graphql_app.graph.engine.execution import Execution

SCHEMA = Execution(build(), seconds=1).schema
ME = "{ me { subject } }"
FLOORS = "{ floors { id } }"
OTHER = "{ departments { id } }"


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def persisted(*trusted: str, only_trusted: bool = False, room: int = 100_000) -> Persisted:
    documents = Documents(SCHEMA, DocumentLimits(), kept=100)
    listed = {hashed(text): text for text in trusted}
    return Persisted(documents, listed, only_trusted=only_trusted, registered_bytes=room)


# --- trusted by the operator ----------------------------------------------------------------------------------------


def test_a_listed_document_is_known_by_its_hash() -> None:
    assert persisted(ME).text(None, hashed(ME)) == ME


@pytest.mark.parametrize("given", [(ME, None), (None, hashed(ME)), (ME, hashed(ME))])
def test_where_only_the_trusted_are_answered_they_may_be_sent_or_named(given: tuple[str | None, str | None]) -> None:
    assert persisted(ME, only_trusted=True).text(*given) == ME


@pytest.mark.parametrize("given", [(FLOORS, None), (None, hashed(FLOORS)), (FLOORS, hashed(FLOORS)), (ME + " ", None)])
def test_where_only_the_trusted_are_answered_any_other_is_refused(given: tuple[str | None, str | None]) -> None:
    with pytest.raises(UntrustedDocument) as refused:
        persisted(ME, only_trusted=True).text(*given)

    assert refused.value.data["documentId"] == (given[1] or hashed(given[0] or ""))


def test_what_is_refused_is_counted(news: list[observe.News]) -> None:
    with pytest.raises(UntrustedDocument):
        persisted(only_trusted=True).text(ME, None)

    assert news == [observe.Refused("trusted documents")]


def test_elsewhere_a_document_that_is_not_listed_is_answered_too() -> None:
    assert persisted(ME).text(FLOORS, None) == FLOORS


# --- registered by clients ------------------------------------------------------------------------------------------


def test_a_document_is_registered_by_sending_it_with_its_hash() -> None:
    known = persisted()
    with pytest.raises(UnknownDocument, match=r"^PersistedQueryNotFound$") as unknown:
        known.text(None, hashed(ME))
    assert unknown.value.code == "PERSISTED_QUERY_NOT_FOUND"

    known.text(ME, hashed(ME))

    assert known.text(None, hashed(ME)) == ME


def test_where_none_are_kept_clients_are_told_to_send_their_documents() -> None:
    known = persisted(room=0)
    known.text(ME, hashed(ME))

    with pytest.raises(UnknownDocument, match=r"^PersistedQueryNotSupported$") as unknown:
        known.text(None, hashed(ME))
    assert unknown.value.code == "PERSISTED_QUERY_NOT_SUPPORTED"


def test_nobody_registers_another_document_under_a_hash() -> None:
    known = persisted()

    with pytest.raises(InvalidInput, match="not that of the query"):
        known.text(FLOORS, hashed(ME))
    with pytest.raises(UnknownDocument):
        known.text(None, hashed(ME))


@pytest.mark.parametrize("text", ["{ nothing }", "no document", "{ me { subject } } " + "#" * 70_000])
def test_what_cannot_be_executed_takes_no_room(text: str) -> None:
    known = persisted()

    with pytest.raises((InvalidDocument, TooMany)):
        known.text(text, hashed(text))
    with pytest.raises(UnknownDocument):
        known.text(None, hashed(text))


def test_those_not_asked_for_longest_make_room() -> None:
    known = persisted(room=3 * (4 * 24 + 128))
    texts = [f"{{ me {{ {name}{name}: subject }} }}" for name in "abcd"]
    for text in texts[:3]:
        known.text(text, hashed(text))
    known.text(None, hashed(texts[0]))

    known.text(texts[3], hashed(texts[3]))

    assert known.text(None, hashed(texts[0])) == texts[0]
    with pytest.raises(UnknownDocument):
        known.text(None, hashed(texts[1]))


def test_many_registrations_take_bounded_room() -> None:
    known = persisted(room=20_000)
    for number in range(500):
        text = f"{{ me {{ a{number}: subject }} }}"
        known.text(text, hashed(text))

    assert known._registered.currsize <= 20_000
    assert len(known._registered) < 100


# --- how a request names its document -------------------------------------------------------------------------------

HASH = hashed(ME)


def extension(**given: Any) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH, **given}}}


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        ({}, None),
        ({"extensions": None}, None),
        ({"extensions": {"other": 1}}, None),
        ({"documentId": HASH}, HASH),
        ({"documentId": f"sha256:{HASH.upper()}"}, HASH),
        (extension(), HASH),
        ({"documentId": f"sha256:{HASH}", **extension()}, HASH),
        ({"documentId": "anything"}, "anything"),
    ],
)
def test_a_document_is_named_in_either_way(request_: dict[str, Any], named: str | None) -> None:
    assert hash_given(request_) == named


@pytest.mark.parametrize(
    "request_",
    [
        {"documentId": 5},
        {"documentId": {"a": 1}},
        {"extensions": {"persistedQuery": "x"}},
        {"extensions": {"persistedQuery": {"version": 1}}},
        extension(sha256Hash=5),
        extension(version=2),
        extension(version="1"),
        {"documentId": hashed(FLOORS), **extension()},
    ],
)
def test_any_other_way_is_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        hash_given(request_)


# --- the manifest ---------------------------------------------------------------------------------------------------


def written(folder: Path, content: Any) -> Path:
    path = folder / "documents.json"
    path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [
        {hashed(ME): ME},
        {f"sha256:{hashed(ME)}": ME},
        {
            "format": "apollo-persisted-query-manifest",
            "version": 1,
            "operations": [{"id": hashed(ME), "name": "Me", "type": "query", "body": ME}],
        },
    ],
)
def test_the_lists_of_codegen_relay_and_apollo_are_read(tmp_path: Path, content: Any) -> None:
    assert manifest(written(tmp_path, content)) == {hashed(ME): ME}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        ([ME], "no object of hashes"),
        ({hashed(ME): 5}, "no object of hashes"),
        ({"d41d8cd98f00b204e9800998ecf8427e": ME}, "not the SHA-256"),
        ({hashed(ME): FLOORS}, "not the SHA-256"),
        ({"format": "apollo-persisted-query-manifest", "operations": [{"id": hashed(ME)}]}, "no object of hashes"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_in_a_sentence(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(BadManifest, match=said):
        manifest(written(tmp_path, content))


def test_a_list_that_is_not_there_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadManifest, match="No such file"):
        manifest(tmp_path / "nothing.json")

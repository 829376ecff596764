"""Documents that are known by their hash: those that the operator trusts, and those that clients registered (APQ).

A request names one as `documentId` (GraphQL over HTTP, appendix on persisted documents) or as
`extensions.persistedQuery.sha256Hash` (Apollo's automatic persisted queries); both are the SHA-256 of its text.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from cachetools import LRUCache

from graphql_app.domain.errors import InvalidInput, UnknownDocument, UntrustedDocument
from graphql_app.graph.documents.document import Documents
from graphql_app.observe import Refused, note

PREFIX = "sha256:"
HASH_LENGTH = 64


class BadManifest(Exception):
    """A list of trusted documents that cannot be used; the message says why, in one line."""


def hash_given(request: Mapping[str, Any]) -> str | None:
    """Returns the hash by which a request names its document, if it does. Raises InvalidInput for a malformed one."""
    given, extension = request.get("documentId"), (request.get("extensions") or {}).get("persistedQuery")
    if not isinstance(given, (str, type(None))):
        raise InvalidInput("`documentId` must be a text.", field="documentId")
    if extension is not None:
        if not isinstance(extension, dict) or not isinstance(extension.get("sha256Hash"), str):
            raise InvalidInput("`extensions.persistedQuery` must be an object with a `sha256Hash`.", field="extensions")
        if extension.get("version") != 1:
            raise InvalidInput("Only version 1 of `extensions.persistedQuery` is known here.", field="extensions")
        if given is not None and _plain(given) != _plain(extension["sha256Hash"]):
            raise InvalidInput("`documentId` and `extensions.persistedQuery` name different documents.")
        given = extension["sha256Hash"]
    return None if given is None else _plain(given)


class Persisted:
    """Resolves which document is meant, for every door. `registered_bytes`: room for what clients register; 0 for
    none."""

    def __init__(
        self, documents: Documents, trusted: Mapping[str, str], *, only_trusted: bool, registered_bytes: int
    ) -> None:
        self._documents = documents
        self._trusted = trusted
        self._texts = frozenset(trusted.values())
        self._only_trusted = only_trusted
        self._registered: LRUCache[str, str] = LRUCache(0 if only_trusted else registered_bytes, getsizeof=_size)

    def text(self, query: str | None, digest: str | None) -> str:
        """Returns the text of the document. Raises UntrustedDocument, UnknownDocument, InvalidInput when hash and text
        differ, and what Documents.get raises for one that is to be registered."""
        if not query and digest is not None:  # clients of sockets must send a text, and send an empty one
            return self._known(digest)
        assert query is not None, "the doors see to it that one of the two is given"
        if digest is not None and digest != _hash(query):
            raise InvalidInput("The hash is not that of the query; it is the SHA-256 of its very text.")
        if self._only_trusted and query not in self._texts:
            raise _untrusted(_hash(query))
        if digest is not None and digest not in self._trusted:
            self._register(query, digest)
        return query

    def _known(self, digest: str) -> str:
        text = self._trusted.get(digest)
        if text is not None:
            return text
        if self._only_trusted:
            raise _untrusted(digest)
        text = self._registered.get(digest)
        if text is None:
            raise UnknownDocument(can_register=self._registered.maxsize > 0)
        return text

    def _register(self, query: str, digest: str) -> None:
        """Registers a document; those not asked for longest make room. What cannot be executed is not kept."""
        if not self._registered.maxsize or digest in self._registered:
            return
        self._documents.get(query)
        if _size(query) <= self._registered.maxsize:
            self._registered[digest] = query


def manifest(path: Path) -> Mapping[str, str]:
    """Reads hash -> document, as graphql-codegen, relay-compiler or Apollo write it. Raises BadManifest."""
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise BadManifest(f"{path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise BadManifest(f"{path} is not JSON: {error}") from error
    if isinstance(content, dict) and content.get("format") == "apollo-persisted-query-manifest":
        content = _of_apollo(content.get("operations"))
    if not isinstance(content, dict) or not all(isinstance(text, str) for text in content.values()):
        raise BadManifest(f"{path} is no object of hashes and documents")
    for name, text in content.items():
        if _plain(name) != _hash(text):
            raise BadManifest(f"{path}: {name[:80]} is not the SHA-256 of its document; have it made with that hash")
    return {_plain(name): text for name, text in content.items()}


def _of_apollo(operations: object) -> dict[str, Any] | None:
    try:
        return {str(one["id"]): one["body"] for one in operations}  # type: ignore[attr-defined]  # whatever it is
    except (TypeError, KeyError):
        return None


def _untrusted(digest: str) -> UntrustedDocument:
    note(Refused("trusted documents"))
    return UntrustedDocument(
        "This server answers only the documents that its operator listed, and this is none of them.", documentId=digest
    )


def _hash(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def _plain(name: str) -> str:
    return name.removeprefix(PREFIX).lower()


def _size(text: str) -> int:
    return 4 * len(text) + 2 * HASH_LENGTH

"""What a developer gets without asking: embedded servers where no URL is set, and keys made on the first start."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from graphql_app.settings import Settings


@contextmanager
def completed(settings: Settings) -> Iterator[Settings]:
    """The settings with every URL and key in place. What is set is used as it is; in production all of it is set."""
    if settings.mode == "production":
        yield settings
        return
    settings = with_keys(settings)
    if settings.database_url and settings.redis_url:
        yield settings
        return
    from graphql_app.embedded import running  # noqa: PLC0415  # needs Unix; with both URLs set, nothing here does

    with running(settings.data) as servers:
        yield settings.model_copy(
            update={
                "database_url": settings.database_url or servers.database_url,
                "redis_url": settings.redis_url or servers.redis_url,
            }
        )


def with_keys(settings: Settings) -> Settings:
    """The settings with a secret and a signing key, kept under the data directory."""
    changes: dict[str, object] = {}
    if settings.secret is None:
        changes["secret"] = SecretStr(_kept(settings.data / "keys" / "secret", secrets.token_urlsafe(32)))
    if settings.token_private_key is None and settings.token_public_key is None:
        changes["token_private_key"] = SecretStr(_kept(settings.data / "keys" / "token.pem", _new_key()))
    return settings.model_copy(update=changes)


def _new_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _kept(file: Path, new: str) -> str:
    """The content of the file; made with `new` where there is none, readable by its owner alone."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return file.read_text()
    with os.fdopen(descriptor, "w") as handle:
        handle.write(new)
    return new

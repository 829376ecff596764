"""What a developer gets without asking: embedded servers where no URL is set, and keys made on the first start."""

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from graphql_app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from graphql_app.embedded import Servers


@contextmanager
def completed(settings: Settings, joined: Callable[[int], None] = lambda _: None) -> Iterator[Settings]:
    """Yields the settings with every URL and key in place. What is set is used as it is; in production all of it is.

    `joined` is told the process whose embedded servers these are, if it is another one: they end with it. Raises
    SettingsError where keys cannot be kept, or the embedded servers not be started.
    """
    if settings.mode == "production":
        yield settings
        return
    settings = with_keys(settings)
    if settings.database_url and settings.redis_url:
        yield settings
        return
    from graphql_app.embedded import EmbeddedError, running  # noqa: PLC0415  # with both URLs set, nothing needs Unix

    try:
        with running(settings.data) as servers:
            if servers.owner != os.getpid():
                joined(servers.owner)
            yield _with_urls(settings, servers)
    except EmbeddedError as error:
        raise SettingsError(str(error)) from error


def with_running(settings: Settings) -> Settings:
    """Returns the settings with the URLs of the embedded servers, where `serve` runs them at this moment. Raises
    SettingsError where it could not."""
    if settings.mode == "production" or (settings.database_url and settings.redis_url):
        return settings
    from graphql_app.embedded import EmbeddedError, found  # noqa: PLC0415  # with both URLs set, nothing needs Unix

    try:
        servers = found(settings.data)
    except EmbeddedError as error:
        raise SettingsError(str(error)) from error
    return settings if servers is None else _with_urls(settings, servers)


def _with_urls(settings: Settings, servers: "Servers") -> Settings:
    """Returns the settings with the URLs of the servers where none is set."""
    return settings.model_copy(
        update={
            "database_url": settings.database_url or servers.database_url,
            "redis_url": settings.redis_url or servers.redis_url,
        }
    )


def with_keys(settings: Settings, made: Callable[[Path], None] = lambda _: None) -> Settings:
    """Returns the settings with a secret and a signing key, kept under the data directory. `made` is told each file
    that was not there before. Raises SettingsError."""
    changes: dict[str, object] = {}
    if settings.secret is None:
        changes["secret"] = SecretStr(_kept(settings.data / "keys" / "secret", secrets.token_urlsafe(32), made))
    if settings.token_private_key is None and settings.token_public_key is None:
        changes["token_private_key"] = SecretStr(_kept(settings.data / "keys" / "token.pem", _new_key(), made))
    return settings.model_copy(update=changes)


def _new_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _kept(file: Path, new: str, made: Callable[[Path], None]) -> str:
    """Returns the content of the file; made with `new` where there is none, readable by its owner alone. Raises
    SettingsError where that cannot be."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            _make(file, new)
            made(file)
        return file.read_text()
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be kept: {error.strerror}; set {Settings.variable('data')} to a folder that can be written"
        ) from error


def _make(file: Path, content: str) -> None:
    """Makes the file whole or not at all; one that another process made meanwhile is left as it is."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        with os.fdopen(descriptor, "w") as handle:
            handle.write(content)
    except OSError:  # a full disk: an empty key would be taken for one at the next start
        file.unlink()
        raise

"""Every setting: its type, its default, its meaning, and which settings must fit together."""

import json
import re
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from graphql_app.domain.reservation import Visibility
from graphql_app.settings.production import weaknesses

PREFIX = "GRAPHQL_APP_"
SECRET_CHARACTERS_LEAST = 32
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")  # RFC 6454, 6.2; as browsers write it

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Whole = Annotated[int, Field(ge=0)]
Limit = Annotated[float, Field(ge=0)]


def _by_mode(production: float, development: float, description: str) -> Any:
    """Makes a field whose default depends on the mode; development gets the generous one."""

    def default(given: dict[str, Any]) -> float:
        return production if given.get("mode") == "production" else development

    return Field(default_factory=default, description=f"{description} (default {production:g} in production)")


def _as_long_as(other: str, description: str) -> Any:
    """Makes a field whose default is the value of another one before it."""
    return Field(
        default_factory=lambda given: given[other], description=f"{description} (default {PREFIX}{other.upper()})"
    )


class Settings(BaseSettings):
    """Holds every setting, frozen. Variables are GRAPHQL_APP_<NAME>, but for the five that tools expect bare."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        populate_by_name=True,
        extra="ignore",
        env_ignore_empty=True,
        enable_decoding=False,  # _from_json says what a setting takes, and pydantic-settings stops at the first
        hide_input_in_errors=True,
    )

    database_url: str | None = Field(
        None, validation_alias="DATABASE_URL", repr=False, description="PostgreSQL 16 or newer"
    )
    redis_url: str | None = Field(
        None, validation_alias="REDIS_URL", repr=False, description="Redis 7 or Valkey 8, or newer"
    )
    host: str = Field("127.0.0.1", validation_alias="HOST", description="address to listen on")
    port: int = Field(
        8080, ge=0, le=65535, validation_alias="PORT", description="port to listen on; 0 picks a free one"
    )
    workers: Count = Field(1, validation_alias="WORKERS", description="server processes")

    mode: Literal["development", "production"] = Field("development", description="production asks for real keys")
    data: Path = Field(Path(".data"), description="embedded servers and development keys live here")
    seed: bool = Field(True, description="development: fill an empty database with a demo office")
    metrics_directory: Path | None = Field(None, description="shared by the workers; made by serve")

    secret: SecretStr | None = Field(None, description="seals cursors and all that enters Redis; 32 characters or more")
    token_private_key: SecretStr | None = Field(
        None, description="PEM, Ed25519, P-256 or RSA; signs tokens. Of several the first signs, all verify"
    )
    token_public_key: str | None = Field(
        None, description="PEM, or several; verify tokens besides, of another service or of a key on its way out"
    )
    token_issuer: str = Field("graphql_app", description="the `iss` of every token")
    token_audience: str = Field("graphql_app", description="the `aud` of every token")
    token_seconds: Seconds = Field(8 * 3600, description="how long a token of the `token` command is valid")
    oidc_issuer: str | None = Field(
        None, description="URL of an OpenID issuer whose tokens are believed too; its keys are found from there"
    )
    oidc_audience: str | None = Field(None, description="the `aud` of its tokens that are meant for this server")
    oidc_roles: dict[str, dict[str, str]] = Field(
        default_factory=dict, description='JSON: claim -> value -> role, e.g. {"groups": {"/facilities": "facilities"}}'
    )
    access_seconds: Seconds = Field(600, description="how long an access token of a login is valid")
    refresh_seconds: Seconds = Field(14 * 24 * 3600, description="how long a login lasts that is not used")
    session_seconds: Seconds = Field(90 * 24 * 3600, description="how long a login lasts at most")
    roles: dict[str, list[str]] = Field(
        default_factory=dict,
        description='JSON: role -> scopes, besides the shipped ones, e.g. {"guard": ["workstations:read"]}',
    )
    origins: list[str] = Field(
        default_factory=list, description='JSON: origins whose pages may call, e.g. ["https://office.example"]'
    )
    introspection: bool | None = Field(
        None, description="GraphiQL, introspection, suggestions, API docs; unset: in development alone"
    )

    database_pool: Count = Field(10, description="connections per process")
    database_read_pool: Count = Field(10, description="connections per process besides, for reading floors and lists")
    database_timeout_seconds: Seconds = Field(10, description="longest statement")
    database_acquire_seconds: Seconds = _as_long_as(
        "database_timeout_seconds", "longest wait for a connection while all are in use"
    )
    database_connect_seconds: Seconds = _as_long_as(
        "database_timeout_seconds", "longest that making a connection may take; 2 where DATABASE_URL lists hosts"
    )
    database_idle_seconds: Seconds = Field(300, description="a connection that nobody used for so long is closed")
    database_lifetime_seconds: Seconds = Field(
        3600, description="a connection that is older is replaced when it is next used"
    )
    idempotency_hours: Seconds = Field(24, description="how long an idempotency key is remembered")
    audit_days: Seconds = Field(365, description="how long the audit log is kept")
    notification_hours: Seconds = Field(30 * 24, description="how long a notification is kept")
    presence_ghost_seconds: Seconds = Field(
        60, description="longest that users of a killed process are shown as present"
    )
    booking_check_in_early_minutes: Annotated[int, Field(ge=0)] = Field(
        15, description="how long before the start of a booking one can check in"
    )
    booking_check_in_grace_minutes: Annotated[int, Field(ge=0)] = Field(
        30, description="how long after the start a desk is given up that nobody has checked in to; 0: never"
    )
    booking_visibility: Visibility = Field(
        Visibility.DEPARTMENT, description="who is shown whose a booking is: everyone, department or nobody"
    )
    presence_linger_seconds: Seconds = Field(3, description="who is back so soon was never away")

    trusted_proxies: list[str] = Field(
        default_factory=list,
        description='JSON: proxies whose X-Forwarded-For is believed, e.g. ["10.0.0.5", "10.1.0.0/16"]',
    )
    user_operations_per_second: Limit = _by_mode(
        100, 100_000, "of one user, over all processes and doors; answered with 429 beyond; 0: no limit"
    )
    user_operations_burst: Count = _by_mode(500, 200_000, "so many at once after a rest")
    user_connections: Whole = _by_mode(
        50, 1_000_000, "sockets, event streams and long-polls of one user at once; 0: no limit"
    )
    user_followed_values: Whole = _by_mode(
        10_000,
        1_000_000,
        "ids, departments and statuses in all filters that one user follows by one process; 0: no limit",
    )
    address_requests_per_second: Limit = _by_mode(
        1000, 100_000, "from one address (IPv6: one /64), behind which may be a whole office; 0: no limit"
    )
    address_requests_burst: Count = _by_mode(5000, 200_000, "so many at once after a rest")
    address_connections: Whole = _by_mode(10_000, 1_000_000, "connections from one address at once; 0: no limit")
    logins_per_second: Limit = _by_mode(5, 1000, "attempts to log in from one address; 0: no limit")
    logins_burst: Count = _by_mode(100, 2000, "so many at once after a rest")

    page_most: Count = Field(500, description="largest `first` or `last`")
    snapshot_part: Count = Field(500, description="workstations in a snapshot that comes whole; more come in parts")
    batch_window_ms: Annotated[int, Field(ge=0)] = Field(100, description="longest that a change waits for company")
    batch_changes: Count = Field(50, description="most workstations in one payload; a full one does not wait")
    batch_eager: Annotated[int, Field(ge=0)] = Field(
        4, description="changes within one window that are sent at once, before others wait for company"
    )
    progress_seconds: Seconds = Field(20, description="how often an idle subscription's cursor moves on")
    catch_up_most: Count = Field(
        5000, description="changes of what is followed; a larger catch-up is a RESYNC, if a snapshot is less"
    )
    recent_changes: Count = Field(10_000, description="changes kept in memory for those who come back")
    log_hours: Seconds = Field(24, description="how long the change log is kept, and so how old a cursor may be")

    cache_rows: Annotated[int, Field(ge=0)] = Field(
        50_000, description="workstations kept in memory, per process; 0: none, every read asks the database"
    )
    cache_unused_seconds: Seconds = Field(600, description="a floor that nobody read for so long leaves memory")
    cache_shared_seconds: Annotated[float, Field(ge=0)] = Field(
        600, description="how long a floor is kept in Redis for other processes; 0: not at all"
    )

    connection_init_seconds: Seconds = Field(10, description="a socket without connection_init is closed after this")
    socket_message_bytes: Count = Field(128 * 1024, description="largest message that a client may send")
    socket_messages_per_second: Count = Field(1000, description="a client that sends more is cut")
    socket_operations: Count = Field(100, description="subscriptions open at once on one socket")
    socket_stall_seconds: Seconds = Field(
        20, description="a client that reads nothing is cut after this, over HTTP too"
    )
    socket_ping_seconds: Seconds = Field(
        20, description="a silent client is asked whether it is there, and given as long"
    )
    socket_compression: bool = Field(False, description="permessage-deflate; doubles the cost of a delivery")
    drain_seconds: Annotated[float, Field(ge=0, le=8)] = Field(
        4, description="on SIGTERM, open subscriptions are ended spread over this; the process has 10 s in all"
    )
    request_bytes: Count = Field(128 * 1024, description="largest HTTP body; reading JSON holds up everybody else")
    document_bytes: Count = Field(64 * 1024, description="largest GraphQL document")
    document_tokens: Count = Field(
        2000, description="most tokens in a document; parsing and validating take 20 µs each"
    )
    document_depth: Count = Field(12, description="deepest selection; introspection is exempt")
    document_aliases: Count = Field(200, description="most aliases in a document, its fragments in place")
    document_directives: Count = Field(200, description="most directives in a document, its fragments in place")
    document_nodes: Count = Field(5000, description="most fields, arguments and values, its fragments in place")
    document_comparisons: Count = Field(5000, description="most comparisons of fields with equal names at one place")
    document_cost: Count = Field(100_000, description="most values in an answer, as estimated from its page sizes")
    documents_kept: Count = Field(500, description="parsed documents kept in memory")
    trusted_documents: Path | None = Field(
        None, description="JSON file of hashes and documents; in production no others are answered"
    )
    persisted_bytes: Annotated[int, Field(ge=0)] = Field(
        0, description="room for documents that clients register by hash (APQ), per process; 0 turns it off"
    )
    answers_bytes: Annotated[int, Field(ge=0)] = Field(
        64 * 1024 * 1024, description="finished answers kept in memory, per process; 0 turns it off"
    )
    answers_seconds: Seconds = Field(60, description="how long one is kept at most; a change drops it at once")
    operation_seconds: Seconds = Field(15, description="longest query or mutation")

    @property
    def is_private(self) -> bool:
        """Whether the server can be reached from this machine alone."""
        return self.mode == "development" and self.host in ("127.0.0.1", "::1", "localhost")

    @property
    def is_explorable(self) -> bool:
        """Whether the server shows its schema, GraphiQL and the API documentation to everybody."""
        return self.mode == "development" if self.introspection is None else self.introspection

    @field_validator("origins", "roles", "oidc_roles", "trusted_proxies", mode="before")
    @classmethod
    def _from_json(cls, given: object, info: ValidationInfo) -> object:
        if not isinstance(given, str):
            return given
        try:
            return json.loads(given)
        except ValueError as error:
            assert info.field_name is not None
            raise ValueError(f"takes {cls.model_fields[info.field_name].description}") from error

    @field_validator("origins")
    @classmethod
    def _are_origins(cls, origins: list[str]) -> list[str]:
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is none: an origin is https://office.example or http://localhost:3000, in lower case,"
                    " with no path, and never a wildcard"
                )
        return origins

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and len(secret.get_secret_value()) < SECRET_CHARACTERS_LEAST:
            raise ValueError(
                f"takes {SECRET_CHARACTERS_LEAST} characters or more, e.g. the output of `openssl rand -base64 32`"
            )
        return secret

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, given: list[str]) -> list[str]:
        for one in given:
            ip_network(one, strict=False)
        return given

    @model_validator(mode="after")
    def _openid_is_complete(self) -> Self:
        if self.oidc_issuer is None:
            return self
        schemes = "https" if self.mode == "production" else "https?"
        if not re.fullmatch(rf"{schemes}://[^/?#\[\]\s]+(/[^?#\s]*)?", self.oidc_issuer):
            raise ValueError(f"{PREFIX}OIDC_ISSUER takes a URL, https in production, as its tokens say it in `iss`")
        if not self.oidc_audience:
            raise ValueError(f"{PREFIX}OIDC_ISSUER needs {PREFIX}OIDC_AUDIENCE: tokens for others must not open this")
        if self.oidc_issuer == self.token_issuer:
            raise ValueError(f"{PREFIX}OIDC_ISSUER must differ from {PREFIX}TOKEN_ISSUER")
        return self

    @model_validator(mode="after")
    def _production_is_complete_and_safe(self) -> Self:
        if self.mode == "production":
            secret = self.secret.get_secret_value() if self.secret is not None else None
            weak = weaknesses(secret, self.database_url, self.redis_url, self.trusted_proxies, prefix=PREFIX)
            if faults := [*self._missing(), *weak]:
                raise ValueError("\n".join(faults))
        return self

    def _missing(self) -> Iterator[str]:
        needed = {
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            f"{PREFIX}SECRET": self.secret,
            f"{PREFIX}TOKEN_PRIVATE_KEY, {PREFIX}TOKEN_PUBLIC_KEY or {PREFIX}OIDC_ISSUER": self.token_private_key
            or self.token_public_key
            or self.oidc_issuer,
        }
        return (f"production mode needs {name}" for name, value in needed.items() if value is None)

    @classmethod
    def variable(cls, name: str) -> str:
        """Returns the environment variable of a field."""
        alias = cls.model_fields[name].validation_alias
        return str(alias) if alias else PREFIX + name.upper()

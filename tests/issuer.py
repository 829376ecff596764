"""A small real OpenID issuer: HTTP on a free port, real keys that it exchanges, and every way to be away."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/keys"
AUDIENCE = "office-api"


class OpenIdServer:
    """Signs with its newest key, and publishes those in `published`. A path in `answers` is answered with that."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []  # the paths
        self.answers: dict[str, bytes] = {}
        self.is_hanging = asyncio.Event()
        self.published: dict[str, rsa.RSAPrivateKey] = {}
        self.signing = self.new_key("2026-01")

    def new_key(self, kid: str) -> str:
        self.published[kid] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        return kid

    def rotate(self, kid: str) -> None:
        self.signing = self.new_key(kid)

    def token(self, *, headers: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        good = {"iss": self.url, "aud": AUDIENCE, "sub": "u-17", "iat": now, "exp": now + 300}
        key = self.published[self.signing]
        return jwt.encode({**good, **claims}, key, "RS256", headers={"kid": self.signing, **(headers or {})})

    def jwks(self) -> list[dict[str, Any]]:
        return [
            {**RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": "RS256", "use": "sig"}
            for kid, key in self.published.items()
        ]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self.asked.append(path)
            if self.is_hanging.is_set():
                await reader.read()  # until the client has had enough
                return
            writer.write(self.answers.get(path) or self._answer(path))
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    def _answer(self, path: str) -> bytes:
        documents = {
            DISCOVERY: {"issuer": self.url, "jwks_uri": self.url + KEYS},
            KEYS: {"keys": self.jwks()},
        }
        return answer(200, orjson.dumps(documents[path])) if path in documents else answer(404, b"{}")


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} x", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def openid_server(port: int = 0) -> AsyncIterator[OpenIdServer]:
    issuer = OpenIdServer()
    async with await asyncio.start_server(issuer.serve, "127.0.0.1", port) as server:
        issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield issuer
        server.close()

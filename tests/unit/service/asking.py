"""Ask an application as a client would, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx


def ask(
    app: Any, method: str, path: str, *, token: str = "", headers: Mapping[str, str] | None = None,
    content: bytes | AsyncIterator[bytes] | None = None, address: str = "192.0.2.1", scheme: str = "http",
) -> httpx.Response:
    """The answer to a request; what an application raises beyond it is the server's matter, as it would be."""

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=(address, 5000))
        async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://lockstep.test") as client:
            return await client.request(
                method, path, content=content,
                headers={**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})},
            )

    return asyncio.run(asked())

"""The calls to the server."""

import os

import httpx
import verifiers.v1 as vf
from pydantic import Field

TOKEN = "AGOGE_ENV_TOKEN"


def headers() -> dict[str, str]:
    """The server's token stays in the environment: it is in no config, no trace and no state."""
    token = os.environ.get(TOKEN, "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


class AgogeState(vf.State):
    """One rollout's session."""

    url: str = ""
    session: str = ""
    timeout: float = 60.0
    tools: list[dict] = Field(default_factory=list)
    spoken: bool = False
    """True once the session's own user has heard the agent's texts."""

    async def post(self, path: str, body: dict) -> httpx.Response:
        """Posts to the rollout's session."""
        async with httpx.AsyncClient(headers=headers(), timeout=self.timeout) as client:
            return await client.post(f"{self.url}/sessions/{self.session}/{path}", json=body)


def raised(response: httpx.Response) -> httpx.Response:
    """Raises for an answer that is an error, with the server's own words."""
    if response.is_error:
        raise RuntimeError(f"the environment answers {response.status_code}: {response.text}")
    return response

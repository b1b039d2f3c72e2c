"""The tasks of the server, and their reward."""

from collections.abc import Iterator

import httpx
import verifiers.v1 as vf
from verifiers.v1.mcp import SharedToolsetConfig, Toolset

from @MODULE@.server import AgogeState, headers, raised
from @MODULE@.toolset import AgogeToolset

# The domain that this package was written for. A server of another one is refused.
DIGEST = "@DIGEST@"


class AgogeData(vf.TaskData):
    task: str
    """The task's id on the server."""
    split: str
    """The part of the data."""


class AgogeTaskConfig(vf.TaskConfig):
    url: str = "@URL@"
    """The server's address."""
    timeout: float = 60.0
    """Seconds that one request may take."""


class AgogeConfig(vf.TasksetConfig):
    split: str = "@SPLIT@"
    """The part of the tasks: trainSft, trainRl, heldout or unseen."""
    tools: SharedToolsetConfig = SharedToolsetConfig()
    task: AgogeTaskConfig = AgogeTaskConfig()


class AgogeTask(vf.Task[AgogeData, AgogeState, AgogeTaskConfig]):
    async def setup(self, trace: vf.Trace, runtime: vf.Runtime) -> None:
        url = self.config.url.rstrip("/")
        async with httpx.AsyncClient(headers=headers(), timeout=self.config.timeout) as client:
            response = await client.post(f"{url}/sessions", json={"task": self.data.task})
        opened = raised(response).json()
        state = trace.state
        state.url, state.timeout = url, self.config.timeout
        state.session, state.tools = opened["session"], opened["tools"]

    @vf.reward(weight=1.0)
    async def agoge(self, trace: vf.Trace) -> float:
        if not trace.state.session:
            raise RuntimeError("the rollout has no session, so there is no verdict on it")
        unheard = [] if trace.state.spoken else said(trace)
        response = await trace.state.post("verify", {"said": unheard})
        verdict = raised(response).json()
        for part in verdict["parts"]:
            trace.record_metric(f"check.{part['name']}", float(part["pass"]))
        return float(verdict["reward"])


def said(trace: vf.Trace) -> list[str]:
    """The texts of the agent, in their order."""
    nodes = trace.branches[-1].nodes if trace.branches else []
    own = [node.message for node in nodes if node.sampled and isinstance(node.message, vf.AssistantMessage)]
    texts = [message.content for message in own if isinstance(message.content, str)]
    return [text for text in texts if text.strip()]


class AgogeTaskset(vf.Taskset[AgogeTask, AgogeConfig]):
    @classmethod
    def toolsets(cls, config: AgogeConfig) -> list[Toolset]:
        return [AgogeToolset(config.tools)]

    def load(self) -> Iterator[AgogeTask]:
        config = self.config
        url = f"{config.task.url.rstrip('/')}/tasks"
        response = httpx.get(
            url, params={"split": config.split}, headers=headers(), timeout=config.task.timeout
        )
        served = raised(response).json()
        if DIGEST and served["digest"] != DIGEST:
            raise ValueError(
                f"{config.task.url} serves {served['domain']} {served['digest']}, not {DIGEST}, "
                "for which this package was written; serve that domain, or export the package again"
            )
        if not served["tasks"]:
            raise ValueError(f"the server has no task in {config.split}; it has {served['splits']}")
        for row in served["tasks"]:
            yield AgogeTask(
                AgogeData(
                    id=row["id"],
                    name=row["id"],
                    prompt=row["opening"],
                    system_prompt=served["policy"],
                    task=row["id"],
                    split=row["split"],
                ),
                config.task,
            )

"""One task as a dialogue: the agent speaks, and the server's scripted user answers until it closes the dialogue."""

import verifiers.v1 as vf

from @MODULE@.server import raised


class AgogeEnvConfig(vf.EnvConfig):
    agent: vf.AgentConfig = vf.AgentConfig()
    """The agent that is evaluated or trained."""
    user_turns: int = 12
    """Answers of the user at most."""


class AgogeEnv(vf.Env[AgogeEnvConfig]):
    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        async with agents.agent.interaction(task) as agent:
            said = await agent.turn()
            for _ in range(self.config.user_turns):
                if said.terminated or not said.last_reply:
                    break
                state = agent.trace.state
                state.spoken = True
                answer = raised(await state.post("say", {"text": said.last_reply})).json()
                if answer["done"]:
                    break
                said = await agent.turn(answer["reply"])

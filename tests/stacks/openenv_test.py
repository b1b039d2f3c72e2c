"""OpenEnv's own clients on `agoge env serve`: episodes over websockets, concurrent sessions, and a stopped checker."""

import asyncio

import httpx
from openenv import GenericEnvClient
from openenv.core import CallToolAction
from openenv.core.mcp_client import MCPToolClient
from served import COURIER, TOKEN, acting, courier_tasks, lamps, raises, run, serving, words


def call(tool: str, arguments: dict) -> dict:
    return {"type": "call_tool", "tool_name": tool, "arguments": arguments}


async def play(env, task: dict, said: str):
    """Does what gold does and ends the episode."""
    for one in task["gold"]:
        result = await env.step(call(one["name"], one["arguments"]))
        assert result.reward is None and not result.done and not result.observation["error"], result
    return await env.step({"type": "finish", "said": said})


def an_episode_is_rewarded_for_gold_alone():
    task = acting(courier_tasks())

    async def whole(url: str):
        async with GenericEnvClient(base_url=url) as env:
            opened = await env.reset(task=task["id"])
            assert opened.observation["opening"] == task["user"]["opening"], opened
            assert opened.observation["metadata"]["policy"] and not opened.done
            ended = await play(env, task, words(task))
            assert (ended.reward, ended.done) == (1.0, True), ended
            await env.reset(task=task["id"])
            ended = await env.step({"type": "finish"})
            assert (ended.reward, ended.done) == (0.0, True), ended

    with serving(COURIER) as server:
        asyncio.run(whole(server.url))


def the_scripted_user_answers_and_closes():
    task = acting(courier_tasks())

    async def whole(url: str):
        async with GenericEnvClient(base_url=url) as env:
            await env.reset(task=task["id"])
            for one in task["gold"]:
                await env.step(call(one["name"], one["arguments"]))
            ended = await env.step({"type": "say", "text": words(task)})
            assert ended.done and ended.reward == 1.0 and "###" in ended.observation["reply"], ended
            state = await env.state()
            assert state["done"] and state["step_count"] == len(task["gold"]) + 1, state

    with serving(COURIER) as server:
        asyncio.run(whole(server.url))


def sessions_run_at_once_and_see_nothing_of_each_other():
    async def whole(url: str):
        async def switch(on: bool) -> str:
            async with GenericEnvClient(base_url=url) as env:
                await env.reset(task="hall")
                if on:
                    await env.step(call("switch", {"lamp": "hall", "on": True}))
                await asyncio.sleep(0.2)
                seen = await env.step(call("look", {"lamp": "hall"}))
                return seen.observation["result"]

        seen = await asyncio.gather(*(switch(number % 2 == 0) for number in range(20)))
        assert seen == ["on", "off"] * 10, seen

    with lamps() as (domain, tasks), serving(domain, "--tasks", tasks) as server:
        asyncio.run(whole(server.url))


def the_client_for_tools_lists_and_calls_them_with_the_token_in_its_address():
    async def whole(url: str):
        async with MCPToolClient(base_url=url.replace("http://", f"http://agoge:{TOKEN}@")) as env:
            await env.reset(task="hall")
            tools = await env.list_tools()
            assert [tool.name for tool in tools] == ["switch", "look"], tools
            assert await env.call_tool("look", lamp="hall") == "off"
            step = await env.step(CallToolAction(tool_name="look", arguments={"lamp": "none"}))
            assert step.observation.error is not None, step

    async def without(url: str):
        async with GenericEnvClient(base_url=url) as env:
            await env.reset()

    with lamps() as (domain, tasks), serving(domain, "--tasks", tasks, token=TOKEN) as server:
        asyncio.run(whole(server.url))
        raises(lambda: asyncio.run(without(server.url)))
        assert httpx.get(f"{server.url}/health").json() == {"status": "healthy"}
        schema = httpx.get(f"{server.url}/schema", auth=("agoge", TOKEN)).json()
        assert set(schema) == {"action", "observation", "state"}, schema


def a_stopped_checker_is_an_error_and_no_reward():
    async def whole(url: str):
        async with GenericEnvClient(base_url=url) as env:
            await env.reset(task="endless")
            await env.step(call("switch", {"lamp": "hall", "on": True}))
            return await env.step({"type": "finish", "said": "It is done."})

    with lamps() as (domain, tasks), serving(domain, "--tasks", tasks) as server:
        why = raises(lambda: asyncio.run(whole(server.url)), RuntimeError)
        assert "EXECUTION_ERROR" in why and "stopped" in why, why


run(
    an_episode_is_rewarded_for_gold_alone,
    the_scripted_user_answers_and_closes,
    sessions_run_at_once_and_see_nothing_of_each_other,
    the_client_for_tools_lists_and_calls_them_with_the_token_in_its_address,
    a_stopped_checker_is_an_error_and_no_reward,
)

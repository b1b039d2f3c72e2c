"""The official MCP client on `agoge env serve`: a session's tools, the policy, rewards, isolation, and a stopped checker."""

import asyncio

import httpx2
from mcp import Client
from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client
from served import COURIER, TOKEN, acting, courier_tasks, lamps, raises, run, serving, words


def begin(server, task: str, token: str | None = None) -> dict:
    status, opened = server.ask("POST", "/sessions", {"task": task}, token)
    assert status == 201, opened
    return opened


def in_session(url: str, act, token: str | None = None):
    """Runs `act` with a client of a session."""

    async def whole():
        headers = {"Authorization": f"Bearer {token}"} if token else None
        async with create_mcp_http_client(headers=headers, timeout=httpx2.Timeout(60)) as http:
            async with Client(streamable_http_client(url, http_client=http)) as client:
                return await act(client)

    return asyncio.run(whole())


def play(task: dict):
    async def act(client):
        for call in task["gold"]:
            result = await client.call_tool(call["name"], call["arguments"])
            assert not result.is_error, result

    return act


def an_episode_is_rewarded_for_gold_alone():
    task = acting(courier_tasks())
    with serving(COURIER, token=TOKEN) as server:
        idle = begin(server, task["id"], TOKEN)
        status, verdict = server.ask("POST", f"/sessions/{idle['session']}/verify", {}, TOKEN)
        assert (status, verdict["reward"]) == (200, 0.0), verdict
        opened = begin(server, task["id"], TOKEN)
        in_session(opened["mcp_url"], play(task), TOKEN)
        said = {"said": [words(task)]}
        status, verdict = server.ask("POST", f"/sessions/{opened['session']}/verify", said, TOKEN)
        assert (status, verdict["reward"]) == (200, 1.0), verdict
        # The other session has seen nothing of it.
        status, state = server.ask("GET", f"/sessions/{idle['session']}", token=TOKEN)
        assert status == 200 and state["diff"] == [] and state["steps"] == 0, state
        raises(lambda: in_session(opened["mcp_url"], play(task)))


def tools_schemas_and_the_policy_are_listed():
    with serving(COURIER) as server:
        opened = begin(server, courier_tasks()[0]["id"])

        async def act(client):
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert set(tools) == {tool["function"]["name"] for tool in opened["tools"]}
            schema = tools["move"].input_schema
            assert schema["type"] == "object" and set(schema["properties"]) == {"parcel", "point"}, schema
            resources = (await client.list_resources()).resources
            policy = await client.read_resource(resources[0].uri)
            assert policy.contents[0].text == opened["policy"]
            unknown = await client.call_tool("find", {"parcel": "00000"})
            assert unknown.is_error and unknown.content[0].text.startswith("error:"), unknown

        in_session(opened["mcp_url"], act)
        other = opened["mcp_url"].replace(opened["session"], "0" * 32)
        raises(lambda: in_session(other, act))


def a_stopped_checker_is_an_error_and_no_reward():
    with lamps() as (domain, tasks), serving(domain, "--tasks", tasks) as server:
        for task, wanted in (("hall", 200), ("endless", 500)):
            opened = begin(server, task)
            gold = {"gold": [{"name": "switch", "arguments": {"lamp": "hall", "on": True}}]}
            in_session(opened["mcp_url"], play(gold))
            said = {"said": ["It is done."]}
            status, verdict = server.ask("POST", f"/sessions/{opened['session']}/verify", said)
            assert status == wanted, verdict
            assert verdict.get("reward") == (1.0 if wanted == 200 else None), verdict


run(
    an_episode_is_rewarded_for_gold_alone,
    tools_schemas_and_the_policy_are_listed,
    a_stopped_checker_is_an_error_and_no_reward,
)

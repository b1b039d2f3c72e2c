"""NeMo Gym's own agent on `agoge env serve` as its resources server, with a model that answers from a list."""

import asyncio
import contextlib
import json
import socket
import threading
import time

import uvicorn
from exported import exported, rows, run_folder, says_what_made_it
from fastapi import FastAPI, Request
from nemo_gym.config_types import BaseServerConfig, ModelServerRef, ResourcesServerRef
from nemo_gym.server_utils import (
    GlobalAIOHTTPAsyncClientConfig,
    ServerClient,
    global_aiohttp_client_exit,
    set_global_aiohttp_client,
)
from omegaconf import OmegaConf
from responses_api_agents.simple_agent.app import SimpleAgent, SimpleAgentConfig, SimpleAgentRunRequest
from served import COURIER, acting, courier_tasks, lamps, run, serving, words


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def hosting(app: FastAPI, port: int):
    """Runs an app in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise RuntimeError("the app did not start")
        time.sleep(0.05)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


def model(tasks: dict[str, dict]) -> FastAPI:
    """A model server that does what the gold of the task in its instructions does, one call a turn, or nothing for `idle`."""
    app = FastAPI()

    @app.post("/v1/responses")
    async def responses(request: Request) -> dict:
        body = await request.json()
        task = tasks[body["metadata"]["task"]]
        done = sum(1 for item in body["input"] if item.get("type") == "function_call_output")
        if done < len(task["gold"]):
            call = task["gold"][done]
            item = {
                "type": "function_call",
                "call_id": f"call_{done}",
                "name": call["name"],
                "arguments": json.dumps(call["arguments"]),
            }
        else:
            content = [{"type": "output_text", "text": task["said"], "annotations": []}]
            item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
        return {
            "id": "r",
            "created_at": 0.0,
            "model": "gold",
            "object": "response",
            "output": [item],
            "parallel_tool_calls": False,
            "tool_choice": "auto",
            "tools": [],
        }

    return app


@contextlib.contextmanager
def agent(resources: str, tasks: dict[str, dict]):
    """NeMo Gym's simple agent over the server, and a function that runs rows."""
    ports = {"agent": free_port(), "model": free_port(), "resources": int(resources.rsplit(":", 1)[1])}
    places = {name: {"kind": {"impl": {"host": "127.0.0.1", "port": port}}} for name, port in ports.items()}
    client = ServerClient(
        head_server_config=BaseServerConfig(host="127.0.0.1", port=1), global_config_dict=OmegaConf.create(places)
    )
    config = SimpleAgentConfig(
        name="agent",
        host="127.0.0.1",
        port=ports["agent"],
        entrypoint="app.py",
        resources_server=ResourcesServerRef(type="resources_servers", name="resources"),
        model_server=ModelServerRef(type="responses_api_models", name="model"),
    )
    simple = SimpleAgent(config=config, server_client=client)
    app = simple.setup_webserver()

    @app.on_event("startup")
    async def connect() -> None:
        # The agent's client belongs to the loop that it runs in.
        set_global_aiohttp_client(GlobalAIOHTTPAsyncClientConfig())

    async def rows(names: list[str]) -> list[tuple[int, dict]]:
        import aiohttp

        async def one(session: aiohttp.ClientSession, name: str):
            params = {"input": [{"role": "user", "content": tasks[name]["opening"]}], "metadata": {"task": name}}
            row = {"task_id": tasks[name]["id"], "responses_create_params": params}
            async with session.post(f"http://127.0.0.1:{ports['agent']}/run", json=row) as answer:
                text = await answer.text()
                return answer.status, json.loads(text) if text.startswith("{") else {"error": text}

        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            return await asyncio.gather(*(one(session, name) for name in names))

    with hosting(model(tasks), ports["model"]), hosting(app, ports["agent"]):
        yield lambda names: asyncio.run(rows(names))
    # One client at a time, and the next agent has a loop of its own.
    global_aiohttp_client_exit()


def an_episode_is_rewarded_for_gold_alone():
    task = acting(courier_tasks())
    base = {"id": task["id"], "opening": task["user"]["opening"]}
    tasks = {
        "gold": base | {"gold": task["gold"], "said": words(task)},
        "idle": base | {"gold": [], "said": "I can do nothing for you."},
    }
    with serving(COURIER) as server, agent(server.url, tasks) as rows:
        # Many at once: each has its own session, or the idle ones would have the others' state.
        for name, (status, result) in zip(["gold", "idle"] * 6, rows(["gold", "idle"] * 6), strict=True):
            assert status == 200, result
            assert result["reward"] == (1.0 if name == "gold" else 0.0), result
            outputs = [item for item in result["response"]["output"] if item["type"] == "function_call_output"]
            assert len(outputs) == len(tasks[name]["gold"]), result
            assert name == "idle" or outputs[-1]["output"] == "ok", outputs


def a_stopped_checker_is_an_error_and_no_reward():
    gold = {
        "opening": "The hall lamp on, please.",
        "gold": [{"name": "switch", "arguments": {"lamp": "hall", "on": True}}],
        "said": "It is done.",
    }
    tasks = {"hall": gold | {"id": "hall"}, "endless": gold | {"id": "endless"}}
    with lamps() as (domain, file), serving(domain, "--tasks", file) as server, agent(server.url, tasks) as rows:
        (status, result), (failed, error) = rows(["hall", "endless"])
        assert (status, result["reward"]) == (200, 1.0), result
        assert failed >= 500 and "reward" not in error, (failed, error)


def exported_rows_are_requests_of_the_agent_and_the_server_finds_their_tasks():
    lines = rows(exported("nemo-gym") / "train.jsonl")
    assert lines
    with serving("--out", run_folder()) as server:
        for row in lines[:20]:
            request = SimpleAgentRunRequest.model_validate(row)
            assert request.responses_create_params.input and request.responses_create_params.tools
            says_what_made_it(row)
            status, answer = server.ask("POST", "/seed_session", row)
            assert status == 200, answer


run(
    an_episode_is_rewarded_for_gold_alone,
    a_stopped_checker_is_an_error_and_no_reward,
    exported_rows_are_requests_of_the_agent_and_the_server_finds_their_tasks,
)

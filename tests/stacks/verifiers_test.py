"""verifiers plays the package that `agoge env package` writes: its own evaluation, its null harness, a model that answers from
a list, and the reward of `agoge env serve`."""

import json
import sys
import tempfile
from pathlib import Path

import vf
from chat import answering
from served import COURIER, TOKEN, acting, courier_tasks, lamps, run, serving, words


def model(tasks: list[dict]):
    """A chat endpoint for tasks of different openings: it asks the task's questions, does what gold does, one call a turn, then says
    the answer."""

    def answer(asked: dict) -> tuple[int, dict]:
        text = json.dumps(asked["messages"])
        task = next(task for task in tasks if json.dumps(task["opening"])[1:-1] in text)
        done, heard = (sum(1 for message in asked["messages"] if message["role"] == role) for role in ("tool", "user"))
        if heard <= len(task.get("asks", [])):
            message, reason = {"role": "assistant", "content": task["asks"][heard - 1]}, "stop"
        elif done == len(task["gold"]):
            message, reason = {"role": "assistant", "content": task["said"]}, "stop"
        else:
            call = task["gold"][done]
            function = {"name": call["name"], "arguments": json.dumps(call["arguments"])}
            calls = [{"id": f"call_{done}", "type": "function", "function": function}]
            message, reason = {"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return 200, {"id": "c", "object": "chat.completion", "created": 0, "model": "gold", "choices": [choice], "usage": usage}

    return answering(answer)


def evaluate(domain: Path, server, tasks: list[dict]) -> dict[str, dict]:
    """Runs vf-eval on these tasks, and returns the trace of each."""
    ids = json.dumps([task["id"] for task in tasks])
    with tempfile.TemporaryDirectory() as folder, model(tasks) as endpoint:
        options = ("--model", "gold", "--select.include.ids", ids)
        played = vf.evaluate(Path(sys.executable), domain, server.url, endpoint, Path(folder), *options)
    found = {trace["task"]["data"]["id"]: trace for trace in played}
    assert len(found) == len(tasks), list(found)
    return found


def an_episode_is_rewarded_for_gold_alone():
    all_tasks = courier_tasks()
    good = acting(all_tasks)
    bad = next(task for task in all_tasks if len(task["gold"]) >= 2 and task["id"] != good["id"])
    tasks = [
        {"id": good["id"], "opening": good["user"]["opening"], "gold": good["gold"], "said": words(good)},
        {"id": bad["id"], "opening": bad["user"]["opening"], "gold": [], "said": "I can do nothing for you."},
    ]
    assert tasks[0]["opening"] != tasks[1]["opening"]
    with serving(COURIER, token=TOKEN) as server:
        found = evaluate(COURIER, server, tasks)
    assert vf.reward(found[good["id"]]) == 1.0, found[good["id"]]
    assert vf.reward(found[bad["id"]]) == 0.0, found[bad["id"]]
    assert not vf.errors(found[good["id"]]), found[good["id"]]["errors"]


def the_scripted_user_answers_what_the_agent_asks():
    held = next(task for task in courier_tasks(held=True) if len(task["agent"]["ask"]) == 1)
    (question,) = held["agent"]["ask"].values()
    task = {"id": held["id"], "opening": held["user"]["opening"], "gold": held["gold"], "said": words(held), "asks": [question]}
    with serving(COURIER, token=TOKEN) as server:
        found = evaluate(COURIER, server, [task])[held["id"]]
    (fact,) = (fact for fact in held["user"]["facts"] if fact.get("held"))
    assert fact["answer"] in json.dumps(found["nodes"]), found
    assert vf.reward(found) == 1.0 and not vf.errors(found), found


def a_stopped_checker_is_an_error_and_no_reward():
    gold = [{"name": "switch", "arguments": {"lamp": "hall", "on": True}}]
    task = {"id": "endless", "opening": "The hall lamp on, please.", "gold": gold, "said": "It is done."}
    with lamps() as (domain, file), serving(domain, "--tasks", file, token=TOKEN) as server:
        found = evaluate(domain, server, [task])["endless"]
    assert not vf.reward(found), found
    assert "stopped" in json.dumps(vf.errors(found)), found


run(
    an_episode_is_rewarded_for_gold_alone,
    the_scripted_user_answers_what_the_agent_asks,
    a_stopped_checker_is_an_error_and_no_reward,
)

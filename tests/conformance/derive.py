#!/usr/bin/env python3
"""Writes golden rows of one domain of an installed tau2-bench, in the layout that `conformance` replays.

    python derive.py --domain retail --out DIR [--only N] [--edits]

DIR gets db.json and user_db.json (validated by tau2's own models, fields in their order), tasks.json, split_tasks.json, the
policy, and golden.jsonl: for each task the results of its gold calls, hashes and differences before and after, and the reward
that tau2's evaluator gives to gold and to an empty dialogue. An NL_ASSERTION in a basis is left out (a model judges it), and
the row says so. With --edits there is edits.jsonl too: gold trajectories of which one call is dropped, or one writing call is
made twice, with their results and the evaluator's reward.
"""

import argparse
import copy
import importlib
import json
import os
import shutil
import sys
from pathlib import Path

# The price list of models is of no use here, and fetching it needs a network.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from loguru import logger

logger.remove()

import tau2
from tau2.data_model.message import AssistantMessage, ToolCall, ToolMessage, UserMessage
from tau2.data_model.simulation import SimulationRun, TerminationReason
from tau2.data_model.tasks import RewardType, Task
from tau2.evaluator import evaluator
from tau2.evaluator.evaluator import EvaluationType, evaluate_simulation


def data_folder(domain):
    """The domain's data: inside the package, or beside it in a checkout."""
    package = Path(tau2.__file__).parent
    for root in (package / "data", package.parent.parent / "data"):
        folder = root / "tau2" / "domains" / domain
        if folder.is_dir():
            return folder
    sys.exit(f"tau2 is installed without its data: there is no data/tau2/domains/{domain}")


class Fresh:
    """Environments of a domain; the databases are read once and copied for each."""

    def __init__(self, domain):
        self.constructor = importlib.import_module(f"tau2.domains.{domain}.environment").get_environment
        first = self.constructor()
        self.db = first.tools.db
        self.user_db = first.user_tools.db if first.user_tools else None

    def __call__(self, **kwargs):
        given = {"db": self.db.model_copy(deep=True)}
        if self.user_db is not None:
            given["user_db"] = self.user_db.model_copy(deep=True)
        return self.constructor(**given, **kwargs)


def plain(model):
    return None if model is None else json.loads(json.dumps(model.model_dump(), default=str))


def states(env):
    return plain(env.tools.db), plain(env.user_tools.db if env.user_tools else None)


def differences(before, after, path=()):
    """Object by object; lists and plain values are replaced whole."""
    if before is None and after is None:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        found = [{"op": "remove", "path": [*path, key]} for key in before if key not in after]
        for key, value in after.items():
            if key not in before:
                found.append({"op": "add", "path": [*path, key], "value": value})
            else:
                found.extend(differences(before[key], value, (*path, key)))
        return found
    return [] if before == after else [{"op": "replace", "path": list(path), "value": after}]


def set_up(env, task):
    start = task.initial_state
    env.set_state(
        initialization_data=start and start.initialization_data,
        initialization_actions=start and start.initialization_actions,
        message_history=(start and start.message_history) or [],
    )
    return env


def simulation(task, messages):
    return SimulationRun(
        id="derived", task_id=task.id, start_time="", end_time="", duration=0.0, messages=messages,
        termination_reason=TerminationReason.USER_STOP, agent_cost=0.0, user_cost=0.0,
    )


def dialogue(task, made, outputs):
    """The task's own history, one message a call, and an answer that says every output."""
    start = task.initial_state
    messages = list((start and start.message_history) or [])
    messages += [AssistantMessage(role="assistant", content="Hello."), UserMessage(role="user", content="hello")]
    for n, (action, response) in enumerate(made):
        call = ToolCall(id=f"g{n}", name=action.name, arguments=action.arguments, requestor=action.requestor)
        side = UserMessage if action.requestor == "user" else AssistantMessage
        messages.append(side(role=action.requestor, content=None, tool_calls=[call]))
        messages.append(ToolMessage(id=call.id, role="tool", content=response.content, requestor=action.requestor, error=response.error))
    messages.append(AssistantMessage(role="assistant", content=" ; ".join(["Done.", *outputs])))
    messages.append(UserMessage(role="user", content="###STOP###"))
    return messages


def judged(domain, task, messages):
    """Reward, breakdown, the whole verdict; or the evaluator's own error."""
    try:
        info = evaluate_simulation(simulation(task, messages), task, EvaluationType.ALL, False, domain)
    except Exception as error:
        return None, {}, None, f"{type(error).__name__}: {error}"
    parts = {getattr(key, "value", key): value for key, value in (info.reward_breakdown or {}).items()}
    return info.reward, parts, info, None


def without_opinions(task):
    """The task with a reward that no model decides; whether that changed it."""
    basis = task.evaluation_criteria.reward_basis
    task.evaluation_criteria.reward_basis = [kind for kind in basis if kind != RewardType.NL_ASSERTION]
    return len(basis) != len(task.evaluation_criteria.reward_basis)


def played(env, actions):
    """Makes the calls; each with its response."""
    made = []
    for n, action in enumerate(actions):
        call = ToolCall(id=f"g{n}", name=action.name, arguments=copy.deepcopy(action.arguments), requestor=action.requestor)
        made.append((action, env.get_response(call)))
    return made


def written(made):
    return [
        {
            "name": action.name, "args": action.arguments, "requestor": action.requestor,
            "error" if response.error else "result": response.content,
        }
        for action, response in made
    ]


READING = ("get_", "find_", "list_", "search_", "check_", "calculate", "can_", "run_", "transfer_")


def edits_of(domain, task, fresh):
    """Gold with one call dropped, and with one writing call made twice."""
    without_opinions(task)
    criteria = task.evaluation_criteria
    gold = criteria.actions or []
    for at, action in enumerate(gold):
        edits = [("dropped", gold[:at] + gold[at + 1 :])]
        if not action.name.startswith(READING):
            edits.append(("twice", gold[: at + 1] + gold[at:]))
        for kind, actions in edits:
            made = played(set_up(fresh(), task), actions)
            reward, parts, _, error = judged(domain, task, dialogue(task, made, criteria.communicate_info or []))
            yield {
                "task_id": task.id, "kind": kind, "at": at, "actions": written(made),
                "reward": reward, "reward_breakdown": parts, "eval_error": error,
            }


def row_of(domain, task, fresh):
    dropped = without_opinions(task)
    criteria = task.evaluation_criteria
    actions = criteria.actions or []

    env = set_up(fresh(), task)
    untouched = fresh()
    initial, initial_user = states(env)
    row = {
        "domain": domain,
        "task_id": task.id,
        "reward_basis": [kind.value for kind in criteria.reward_basis],
        "nl_assertion_dropped_from_basis": dropped,
        "initial_db_hash": env.get_db_hash(),
        "initial_user_db_hash": env.get_user_db_hash(),
    }
    made = played(env, actions)
    row["actions"] = written(made)
    final, final_user = states(env)
    row["final_db_hash"], row["final_user_db_hash"] = env.get_db_hash(), env.get_user_db_hash()

    unsynced = set_up(fresh(), task)
    for action in actions:
        try:
            unsynced.make_tool_call(tool_name=action.name, requestor=action.requestor, **copy.deepcopy(action.arguments))
        except Exception:
            pass
    row["gold_nosync_db_hash"], row["gold_nosync_user_db_hash"] = unsynced.get_db_hash(), unsynced.get_user_db_hash()
    row["db_diff"] = differences(initial, final)
    row["user_db_diff"] = differences(initial_user, final_user)

    reward, parts, info, error = judged(domain, task, dialogue(task, made, criteria.communicate_info or []))
    row["reward"], row["reward_breakdown"] = reward, parts
    row["action_match"] = [check.action_match for check in (info and info.action_checks) or []]
    row["env_assertion_met"] = [check.met for check in (info and info.env_assertions) or []]
    row["db_match"] = info.db_check.db_match if info and info.db_check else None
    row["eval_error"] = error
    reward, parts, _, _ = judged(domain, task, dialogue(task, [], []))
    row["reward_if_no_actions"], row["reward_breakdown_if_no_actions"] = reward, parts
    first, first_user = states(untouched)
    row["initial_db_diff"] = differences(first, initial)
    row["initial_user_db_diff"] = differences(first_user, initial_user)
    start = task.initial_state
    row["initialization_actions"] = [call.model_dump() for call in (start and start.initialization_actions) or []]
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", required=True, choices=["airline", "mock", "retail", "telecom"])
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--only", type=int, help="the first so many tasks")
    parser.add_argument("--edits", action="store_true", help="write edits.jsonl too")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)

    source = data_folder(args.domain)
    for pattern in ("tasks.json", "split_tasks.json", "*.md"):
        for file in source.glob(pattern):
            shutil.copyfile(file, args.out / file.name)
    fresh = Fresh(args.domain)
    evaluator.registry.get_env_constructor = lambda _domain: fresh
    (args.out / "db.json").write_text(json.dumps(plain(fresh.db)))
    if fresh.user_db is not None:
        (args.out / "user_db.json").write_text(json.dumps(plain(fresh.user_db)))

    tasks = json.loads((args.out / "tasks.json").read_text())[: args.only]
    with open(args.out / "golden.jsonl", "w") as golden:
        for n, task in enumerate(tasks, 1):
            golden.write(json.dumps(row_of(args.domain, Task.model_validate(task), fresh)) + "\n")
            if n % 100 == 0:
                print(f"{args.domain}: {n} of {len(tasks)}", flush=True)
    print(f"{args.domain}: {len(tasks)} golden rows in {args.out}")
    if args.edits:
        count = 0
        with open(args.out / "edits.jsonl", "w") as edits:
            for task in tasks:
                for row in edits_of(args.domain, Task.model_validate(task), fresh):
                    edits.write(json.dumps(row) + "\n")
                    count += 1
        print(f"{args.domain}: {count} edited trajectories", flush=True)


if __name__ == "__main__":
    main()

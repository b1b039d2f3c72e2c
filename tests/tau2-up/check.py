"""Checks a run of tests/tau2-up: check.py FOLDER, which has domain/, recorded/ and run/."""

import json
import sys
from pathlib import Path

# Tasks whose checker does not qualify, with the reason.
REFUSED = {
    # Its gold has no call, and its own assertion does not hold without one.
    "mock": {"update_task_with_history_and_env_assertions"},
    "airline": set(),
}


def instances(store):
    """The instances of every dataset in a store."""
    for file in sorted(store.glob("objects/**/*")):
        if file.is_file() and file.read_bytes().startswith(b'{"format":"agoge-instances/'):
            yield from (json.loads(line) for line in file.read_text().splitlines()[1:])


def status(run, kind, name):
    return json.loads((run / "objects" / f"{kind}-{name}.json").read_text())["status"]


folder = Path(sys.argv[1])
name, run = folder.name, folder / "run"
given = [json.loads(line) for line in (folder / "domain" / "tasks.jsonl").read_text().splitlines()]
train = {task["id"] for task in given if task["split"] == "train"} - REFUSED[name]
test = {task["id"] for task in given if task["split"] == "heldout"} - REFUSED[name]
assert train and test and not train & test, (train, test)

job = status(run, "synthesisjob", name)
made = {key: value["accepted"] for key, value in job["strategies"].items()}
assert made == {"given": 2 * len(train) + len(test), "sea": 2}, made
assert job["digest"] == status(folder / "recorded", "synthesisjob", name)["digest"], "the replay made another dataset"

of = {}
for row in instances(run / "store"):
    if row.get("gate") == "accepted":
        of.setdefault((row["strategy"], row["split"]), set()).add(row["task"]["id"])
assert of["given", "trainSft"] == train, of["given", "trainSft"] ^ train
assert of["given", "trainRl"] == train, of["given", "trainRl"] ^ train
assert of["given", "heldout"] == test, of["given", "heldout"] ^ test

suite = status(run, "checkersuite", name)
assert suite["phase"] == "Complete", suite
trained = status(run, "grporun", name)
assert trained["phase"] == "Complete", trained
assert trained["stages"]["grpo"]["steps"] == 3, trained["stages"]
arms = json.loads((run / "result.json").read_text())["policy"]
for arm in ("empty", "random", "sft", "grpo"):
    assert arms[arm]["n"] == len(test), (arm, arms[arm], len(test))
assert (run / "report.html").is_file()
table = ", ".join(f"{arm} {arms[arm]['pass^1']:.3f}" for arm in ("grpo", "sft", "random", "empty"))
print(f"tau2-up: {name}: {len(train)} tasks for training, {len(test)} held out, {made['sea']} by sea, 3 steps; pass^1 {table}")

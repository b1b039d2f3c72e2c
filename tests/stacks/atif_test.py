"""Export `atif`, read by its reader (https://pypi.org/project/atif): models that refuse a field they do not know."""

from atif import Trajectory

from exported import exported
from served import run


def every_trajectory_is_read_with_token_ids_and_log_probabilities_of_one_length():
    files = sorted((exported("atif", "--heldout") / "trajectories").glob("*.json"))
    assert files
    with_tokens = 0
    for file in files:
        trajectory = Trajectory.model_validate_json(file.read_text())
        for step in trajectory.steps:
            calls = {call.tool_call_id for call in step.tool_calls or []}
            for result in step.observation.results if step.observation else []:
                assert result.source_call_id is None or result.source_call_id in calls, step
            if metrics := step.metrics:
                with_tokens += 1
                assert metrics.prompt_token_ids and len(metrics.completion_token_ids) == len(metrics.logprobs) > 0
                assert all(logprob <= 0 for logprob in metrics.logprobs), metrics.logprobs
    assert with_tokens > 0


run(every_trajectory_is_read_with_token_ids_and_log_probabilities_of_one_length)

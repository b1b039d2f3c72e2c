#!/usr/bin/env python3
"""Times tau2-bench's own evaluator on golden rows that derive.py wrote.

    python evaluate.py --domain airline --rows DIR --out FILE [--runs 5]

For each task: the median time of `evaluate_simulation` on the gold trajectory, in milliseconds of the clock and of the
processor, its reward and breakdown. Also the time to construct an environment and to hash its database.
"""

import argparse
import importlib
import json
import statistics
import time
from pathlib import Path

from derive import ToolMessage, dialogue, simulation, without_opinions  # sets up the environment, so it comes first
from tau2.data_model.tasks import Task
from tau2.evaluator import evaluator
from tau2.evaluator.evaluator import EvaluationType, evaluate_simulation


def timed(work, runs):
    """Medians of wall and processor time in milliseconds, and the last result."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        walls.append(1e3 * (time.perf_counter() - wall))
        cpus.append(1e3 * (time.process_time() - cpu))
    return statistics.median(walls), statistics.median(cpus), result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--domain", required=True)
    parser.add_argument("--rows", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    constructor = importlib.import_module(f"tau2.domains.{args.domain}.environment").get_environment
    evaluator.registry.get_env_constructor = lambda _domain: constructor
    construct, _, env = timed(constructor, args.runs)
    hashing, _, _ = timed(env.get_db_hash, args.runs)

    tasks = {str(task["id"]): task for task in json.loads((args.rows / "tasks.json").read_text())}
    result = {"domain": args.domain, "runs": args.runs, "construct_ms": construct, "hash_ms": hashing, "tasks": {}}
    for line in (args.rows / "golden.jsonl").read_text().splitlines():
        row = json.loads(line)
        task = Task.model_validate(tasks[row["task_id"]])
        without_opinions(task)
        criteria = task.evaluation_criteria
        made = [
            (action, ToolMessage(id="", role="tool", content=was.get("result", was.get("error")), error="error" in was))
            for action, was in zip(criteria.actions or [], row["actions"])
        ]
        run = simulation(task, dialogue(task, made, criteria.communicate_info or []))
        wall, cpu, info = timed(lambda: evaluate_simulation(run, task, EvaluationType.ALL, False, args.domain), args.runs)
        parts = {getattr(key, "value", key): value for key, value in (info.reward_breakdown or {}).items()}
        result["tasks"][task.id] = {"ms": wall, "cpu_ms": cpu, "reward": info.reward, "breakdown": parts}
    args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

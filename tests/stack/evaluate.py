"""Evaluates policies through verifiers: held-out tasks of a run's suite, one dialogue each, the policy greedy.

    evaluate.py RUN OUT --tasks 60 before=POLICY after=POLICY

The package is the one that `agoge env package` writes; the user and the reward are those of `agoge env serve`. Each policy is served by
`agoge-worker serve`. Writes OUT/evaluate.json. A dialogue without a verdict is counted apart: it is no failure of the policy."""

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import interval
import vf
from chat import answering
from served import COURIER, ROOT, TOKEN, serving

WORKER = ROOT / "target/release/agoge-worker"


@contextlib.contextmanager
def policy(folder: Path):
    """Serves a policy for clients that stream, and gives the address."""
    command = [WORKER, "serve", "--model", folder, "--domain", COURIER / "domain", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        if not found:
            raise RuntimeError(f"{folder} is not served; exit code {process.wait(10)}")

        def answer(asked: dict) -> tuple[int, dict]:
            request = urllib.request.Request(f"{found.group()}/chat/completions", data=json.dumps(asked).encode())
            try:
                with urllib.request.urlopen(request, timeout=120) as answered:
                    return answered.status, json.load(answered)
            except urllib.error.HTTPError as error:
                return error.code, json.load(error)

        with answering(answer) as url:
            yield url
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("policies", nargs="+", help="NAME=FOLDER; the first is what the others are compared with")
    parser.add_argument("--tasks", type=int, default=60)
    parser.add_argument("--at-once", type=int, default=4, help="dialogues at a time")
    options = parser.parse_args()
    result: dict = {
        "versions": {"verifiers": version("verifiers")},
        "tasks": options.tasks,
        "split": "heldout",
        "temperature": 0,
        "rates": {},
        "withoutVerdict": {},
        "seconds": {},
    }
    played: dict[str, dict[str, float]] = {}
    with serving("--out", options.run, token=TOKEN) as server:
        _, served = server.ask("GET", "/tasks?split=heldout", token=TOKEN)
        family = {task["id"]: task["branch"] for task in served["tasks"]}
        for name, folder in (pair.split("=", 1) for pair in options.policies):
            begun = time.monotonic()
            with tempfile.TemporaryDirectory() as scratch, policy(Path(folder)) as endpoint:
                traces = vf.evaluate(
                    Path(sys.executable), COURIER, server.url, endpoint, Path(scratch),
                    "--model", name, "--env.taskset.split", "heldout", "--env.agent.sampling.temperature", "0",
                    "--select.shuffle", "--select.limit", str(options.tasks), "--max-concurrent", str(options.at_once),
                )  # fmt: skip
            rewards = {trace["task"]["data"]["id"]: vf.reward(trace) for trace in traces if not vf.errors(trace)}
            played[name] = {task: reward for task, reward in rewards.items() if reward is not None}
            result["withoutVerdict"][name] = len(traces) - len(played[name])
            result["seconds"][name] = round(time.monotonic() - begun, 1)
            result["rates"][name] = interval.rate([(family[task], reward) for task, reward in played[name].items()])
            print(f"{name}: {result['rates'][name]}", flush=True)
    first, *others = played
    result["differences"] = {
        name: interval.difference(
            [(family[task], played[name][task] - before) for task, before in played[first].items() if task in played[name]]
        )
        for name in others
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "evaluate.json").write_text(json.dumps(result, indent=2) + "\n")


main()

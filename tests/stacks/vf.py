"""verifiers' own evaluation of the package that `agoge env package` writes."""

import json
import os
import subprocess
from pathlib import Path

from served import AGOGE, TOKEN


def evaluate(python: Path, domain: Path, server: str, endpoint: str, folder: Path, *options: str) -> list[dict]:
    """Writes the package into `folder`, plays it with the null harness by the `vf-eval` beside `python`, and returns the traces."""
    package = folder / "package"
    subprocess.run([AGOGE, "env", "package", domain, "--dir", package, "--url", server], check=True)
    (module,) = (path.parent.name for path in package.glob("*/__init__.py"))
    command = [
        python.with_name("vf-eval"), module.replace("_", "-"),
        "--client.base-url", endpoint, "--no-push", "--no-rich",
        "--env.agent.harness.id", "null", "--env.agent.runtime.type", "subprocess",
        "--output-dir", folder / "out", "--run.name", "run", *options,
    ]  # fmt: skip
    environment = os.environ | {
        "PYTHONPATH": str(package),
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "AGOGE_ENV_TOKEN": TOKEN,
        "PRIME_API_KEY": "none",
    }
    ended = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    rows = [json.loads(line) for line in (folder / "out/run/traces.jsonl").read_text().splitlines()]
    # A row is an episode with its traces, or one trace.
    return [trace for row in rows for trace in row.get("traces", [row])]


def reward(trace: dict) -> float | None:
    """The server's reward of a trace; None when there is no verdict."""
    given = trace.get("rewards", {}).get("agoge")
    return given["score"] if isinstance(given, dict) else given


def errors(trace: dict) -> list:
    """The errors that ended a trace."""
    return trace.get("errors") or [error for error in [trace.get("error")] if error]

"""A real `agoge env serve` for the tests of stacks, and tasks with their gold. Only the standard library is used, so that every
stack's environment can import it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AGOGE = ROOT / "target/release/agoge"
COURIER = ROOT / "examples/courier"
TOKEN = "a token of the tests: not secret".replace(" ", "-").replace(":", "")

LAMPS = {
    "domain.yaml": "name: lamps\ntitle: Lamps\nformat: 2\nnow: '2025-01-01T00:00:00'\n",
    "policy.md": "Switch the lamp that the user names, and say `done`.\n",
    "state.json": json.dumps({"lamps": {"hall": {"on": False}, "yard": {"on": False}}}),
    "schema.json": json.dumps(
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["lamps"],
            "properties": {
                "lamps": {
                    "type": "object",
                    "additionalProperties": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["on"],
                        "properties": {"on": {"type": "boolean"}},
                    },
                }
            },
        }
    ),
    "tools.py": '''"""Lamps."""


def switch(lamp: str, on: bool) -> str:
    """Switch a lamp on or off."""
    found = db_get("lamps", lamp)
    if found is None:
        raise ValueError("no such lamp")
    found["on"] = on
    db_put("lamps", lamp, found)
    return "ok"


def look(lamp: str) -> str:
    """Say whether a lamp is on."""
    found = db_get("lamps", lamp)
    if found is None:
        raise ValueError("no such lamp")
    return "on" if found["on"] else "off"
''',
}


def lamp_tasks() -> list[dict]:
    """A task, and the same with a checker that never ends."""
    task = {
        "id": "hall",
        "user": {"instruction": "switch on the hall lamp", "opening": "The hall lamp on, please.", "closing": "Thanks. ###"},
        "agent": {"answer": "It is done."},
        "gold": [{"name": "switch", "arguments": {"lamp": "hall", "on": True}}],
        "outputs": ["done"],
    }
    endless = task | {"id": "endless", "checker": "def check(calls, messages):\n    while True:\n        pass\n"}
    return [{"split": "trainRl", "task": one} for one in (task, endless)]


@contextlib.contextmanager
def lamps():
    """A folder with the domain of lamps and the file of its tasks."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in LAMPS.items():
            (Path(folder) / name).write_text(text)
        tasks = Path(folder) / "suite.jsonl"
        tasks.write_text("".join(json.dumps(task) + "\n" for task in lamp_tasks()))
        yield Path(folder), tasks


def courier_tasks(split: str = "trainRl", held: bool = False) -> list[dict]:
    """The tasks of courier, gold included, whose users tell at once what they know, or hold some of it back until asked."""
    command = [AGOGE, "env", "tasks", COURIER, "--split", split, "--per-split", "60"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    tasks = [json.loads(line)["task"] for line in lines]
    return [task for task in tasks if any(fact.get("held") for fact in task["user"]["facts"]) == held]


def acting(tasks: list[dict]) -> dict:
    """A task whose gold changes something."""
    return next(task for task in tasks if len(task["gold"]) >= 2)


def words(task: dict) -> str:
    """The text that ends the task: the demonstration's answer, with what must be said."""
    return " ".join([task["agent"]["answer"], *task.get("outputs", [])])


class Server:
    """The server's process and address."""

    def __init__(self, process: subprocess.Popen, url: str):
        self.process, self.url = process, url

    def ask(self, method: str, path: str, body: dict | None = None, token: str | None = None):
        """Returns the status and the JSON of an answer."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")


@contextlib.contextmanager
def serving(*arguments, token: str | None = None):
    """Runs the server on a free port until the block ends."""
    environment = {name: value for name, value in os.environ.items() if name != "AGOGE_ENV_TOKEN"}
    if token:
        environment["AGOGE_ENV_TOKEN"] = token
    command = [AGOGE, "env", "serve", *map(str, arguments), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if not found:
            raise RuntimeError(f"the server did not start: {line!r}, exit code {process.wait(10)}")
        yield Server(process, found.group())
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            ended = process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if ended != 0:
            raise RuntimeError(f"the server ended with {ended}")


def run(*tests) -> None:
    """Runs tests, each a function; prints a line for each, and exits with 1 when one fails."""
    failed = 0
    for test in tests:
        name = f"{Path(sys.argv[0]).stem}: {test.__name__}"
        try:
            test()
            print(f"ok    {name}", flush=True)
        except Exception:  # a failed test is reported, and the others still run
            failed += 1
            print(f"FAIL  {name}", flush=True)
            traceback.print_exc()
    sys.exit(1 if failed else 0)


def raises(act, *kinds: type[BaseException]) -> str:
    """Returns the text of the exception that `act` raises; a failure when it raises none."""
    try:
        got = act()
    except kinds or Exception as error:
        return f"{type(error).__name__}: {error}"
    raise AssertionError(f"it raised nothing, and returned {got!r}")

"""Runs `agoge eval` on the courier example against an endpoint of its own, and gives the files that it writes. Only the standard library
is used, so that every stack's environment can import it."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import served
from chat import answering

AGOGE = os.environ.get("AGOGE", str(served.AGOGE))


def answer(asked: dict) -> tuple[int, dict]:
    """A model that looks a parcel up and then refuses, and a user that leaves after one answer."""
    messages = asked["messages"]
    if messages[0]["content"].startswith("You play a customer"):
        text = "I want my parcel." if len(messages) < 3 else "Thank you. ###STOP###"
    elif not any("Result of" in message["content"] for message in messages):
        call = {"name": "find", "arguments": {"parcel": "40018"}}
        text = f"```json\n{json.dumps(call)}\n```"
    else:
        text = "I cannot do that."
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return 200, {"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}


def evaluated() -> Path:
    """Returns the folder with log.json (Inspect), submission/ (tau2-bench) and eval.json (our own)."""
    folder = Path(tempfile.mkdtemp(prefix="agoge-eval-"))
    with answering(answer) as url:
        command = [AGOGE, "eval", "--endpoint", url, "--model", "stub", "--user", "model", "--user-model", "stub"]
        command += ["--domain", str(served.COURIER / "domain"), "--tasks", "4", "--samples", "2"]
        command += ["--benchmark", "courier@1", "--json", str(folder / "eval.json")]
        command += ["--inspect", str(folder / "log.json"), "--tau2", str(folder / "submission")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder

"""Runs `agoge eval` on the courier example against an endpoint of its own, and gives the files that it writes."""

import http.server
import json
import os
import pathlib
import subprocess
import tempfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
AGOGE = os.environ.get("AGOGE", str(ROOT / "target/release/agoge"))


class Endpoint(http.server.BaseHTTPRequestHandler):
    """A model that looks a parcel up and then refuses, and a user that leaves after one answer."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        messages = body["messages"]
        if messages[0]["content"].startswith("You play a customer"):
            text = "I want my parcel." if len(messages) < 3 else "Thank you. ###STOP###"
        elif not any("Result of" in message["content"] for message in messages):
            call = {"name": "find", "arguments": {"parcel": "40018"}}
            text = f"```json\n{json.dumps(call)}\n```"
        else:
            text = "I cannot do that."
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        answer = json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def evaluated():
    """Returns the folder with log.json (Inspect), submission/ (tau2-bench) and eval.json (our own)."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agoge-eval-"))
    url = f"http://127.0.0.1:{server.server_port}"
    command = [AGOGE, "eval", "--endpoint", url, "--model", "stub", "--user", "model", "--user-model", "stub"]
    command += ["--domain", str(ROOT / "examples/courier/domain"), "--tasks", "4", "--samples", "2"]
    command += ["--benchmark", "courier@1", "--json", str(folder / "eval.json")]
    command += ["--inspect", str(folder / "log.json"), "--tau2", str(folder / "submission")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    return folder

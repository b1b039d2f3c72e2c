"""An OpenAI-compatible endpoint with faults by schedule: in front of another one, or with an agent of its own for the skeleton's desk.

A schedule is a list of (n, fault): the n-th request meets the fault. Every answer that left the upstream is counted by its request, so
that one that was made twice, and paid for twice, is seen.
"""

import collections
import hashlib
import json
import re
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HEADERS = ("x-agoge-item", "x-agoge-ordinal", "x-agoge-request")


def agent(body):
    """What the desk's agent does next. It is right, but for one member in three, whom it promises what it does not do."""
    messages = body["messages"]
    spoken = [m.get("content") or "" for m in messages if m["role"] == "user"]
    results = " ".join(m.get("content") or "" for m in messages if m["role"] == "tool")
    found = re.findall(r"\b\d{5}\b", " ".join(spoken))
    if not found:
        return "what is your member number?", None
    member, upgrade = found[-1], bool(re.search("plus|upgrade", spoken[0].lower()))
    if "plan=" not in results:
        return None, ("look", {"member": member})
    if upgrade and "plan=plus" in results:
        return "you have plus already.", None
    if not upgrade and "owes=yes" in results:
        return "sorry, a fee is unpaid.", None
    done = len([m for m in messages if m["role"] == "tool"]) > 1
    careless = hashlib.sha256(member.encode()).digest()[0] % 3 == 0
    if done or careless:
        return ("it is upgraded." if upgrade else "it is renewed."), None
    return None, ("upgrade" if upgrade else "renew", {"member": member})


def answered(body):
    said, call = agent(body)
    message = {"role": "assistant", "content": said}
    if call:
        number = sum(m["role"] == "assistant" for m in body["messages"])
        message["tool_calls"] = [{"id": f"call_{number}", "type": "function",
                                  "function": {"name": call[0], "arguments": json.dumps(call[1])}}]
    return {"id": "chaos", "object": "chat.completion", "model": "agent",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}


class Endpoint:
    """Serves until `close`. `paid` counts answers by request; `faults` is what happened, in order; `in_flight` at each fault."""

    def __init__(self, upstream=None, schedule=(), wait=0.0):
        self.upstream, self.schedule, self.wait = upstream, dict(schedule), wait
        self.lock = threading.Lock()
        self.requests, self.flying, self.dead = 0, 0, False
        self.paid, self.faults = collections.Counter(), []
        self.port, self.server = 0, None
        self.listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def listen(self):
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                self.reply(200, {"object": "list", "data": [{"id": "agent"}]})

            def do_POST(self):
                endpoint.take(self)

            def reply(self, status, body, headers=(), half=False):
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                kind = "text/html" if data.startswith(b"<") else "application/json"
                self.send_response(status)
                for key, value in [("Content-Type", kind), ("Content-Length", str(len(data))), *headers]:
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if half else data)
                self.wfile.flush()

        class Server(ThreadingHTTPServer):
            allow_reuse_address, daemon_threads = True, True

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def take(self, handler):
        raw = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        # Connections that were open before break, too.
        if self.dead:
            handler.close_connection = True
            return
        with self.lock:
            self.requests += 1
            number, self.flying = self.requests, self.flying + 1
            fault = self.schedule.get(number)
            if fault:
                self.faults.append({"fault": fault, "request": number, "inFlight": self.flying})
        try:
            self.serve(handler, raw, fault)
        except OSError:
            handler.close_connection = True
        finally:
            with self.lock:
                self.flying -= 1

    def serve(self, handler, raw, fault):
        if fault == "html":
            return handler.reply(502, "<html><head><title>502 Bad Gateway</title></head></html>")
        if fault == "limit":
            return handler.reply(429, {"error": {"message": "too many requests"}}, [("Retry-After", "2")])
        if fault == "error200":
            return handler.reply(200, {"error": {"message": "upstream is gone", "code": 502}})
        if fault == "empty":
            return handler.reply(200, "")
        if fault == "dead":
            threading.Thread(target=self.die, args=(120,), daemon=True).start()
            handler.close_connection = True
            return None
        status, answer = self.answer(handler, raw)
        if status == 200:
            with self.lock:
                self.paid[hashlib.sha256(raw + "|".join(str(handler.headers.get(h)) for h in HEADERS).encode()).hexdigest()] += 1
        if fault == "half":
            handler.reply(status, answer, half=True)
            handler.close_connection = True
        elif fault == "stall":
            handler.reply(status, answer, half=True)
            time.sleep(600)
        else:
            handler.reply(status, answer)
        return None

    def die(self, seconds):
        """Nobody listens for so long."""
        self.dead = True
        self.close()
        time.sleep(seconds)
        self.dead = False
        self.listen()

    def answer(self, handler, raw):
        time.sleep(self.wait)
        if self.upstream is None:
            return 200, answered(json.loads(raw))
        headers = {"Content-Type": "application/json", **{h: handler.headers[h] for h in HEADERS if handler.headers.get(h)}}
        request = urllib.request.Request(self.upstream + handler.path, raw, headers)
        try:
            with urllib.request.urlopen(request, timeout=300) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

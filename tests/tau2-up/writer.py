#!/usr/bin/env python3
"""An OpenAI-compatible endpoint that plays every part of the strategy `sea` by a script, for two domains of tau2-bench: it writes
tasks, plays agent and user, and has nothing to add to the prompts. `agoge up --record` keeps its answers, and the run itself
replays them.

usage: writer.py PORT     (binds 127.0.0.1; stop it by its pid)
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TITLES = ["Write the minutes", "Order new chairs", "Call the printer", "Plan the outing", "Clean the archive", "Book the hall"]
RESERVATION = re.compile(r"\b(?=[A-Z0-9]*[A-Z])[A-Z0-9]{6}\b")


def scenario(prompt, number):
    """Part 1: a request about one of the records shown; where none is, about the user that mock always has."""
    reservations = [line.split(":")[0].split("/")[1] for line in prompt.splitlines() if line.startswith("reservations/")]
    if reservations:
        one = reservations[number % len(reservations)]
        return {"wants": "to cancel a reservation", "knows": {"reservation": one}, "opening": f"Please cancel my reservation {one}."}
    title = TITLES[number % len(TITLES)]
    return {
        "wants": "a new task",
        "knows": {"user": "user_1", "title": title},
        "opening": f"Please make a task for user_1 with the title {title}.",
    }


def calls(text):
    """The right calls for a request."""
    title = re.search(r"with the title ([A-Za-z ]+)", text)
    if title:
        return [{"name": "create_task", "arguments": {"user_id": "user_1", "title": title[1].strip()}}], "created"
    one = {"reservation_id": RESERVATION.search(text)[0]}
    gold = [{"name": "get_reservation_details", "arguments": one}, {"name": "cancel_reservation", "arguments": one}]
    return gold, "cancelled"


def checker(prompt):
    """Part 3: each value that the prompt names, and no other."""
    changes = re.search(r"changed (\d+) values?: (.*)", prompt)
    entries = []
    for n, change in enumerate(re.split(r"; (?=[a-z]+/\S+ \S+: )", changes[2])):
        collection, id, field, after = re.match(r"(\w+)/(\S+) (\S+): .*? -> (.*)", change).groups()
        record = f'(final_get("{collection}", "{id}") or {{}})'
        found = record if field == "*" else f'{record}.get("{field}")'
        entries.append(f'        "change {n}": {found} == json.loads({after!r}),')
    lines = ["import json", "", "", "def check(calls, messages):", "    return {", *entries]
    return "\n".join([*lines, f'        "nothing else": len(diff()) == {changes[1]},', "    }"])


def agent(messages):
    """The next turn of the agent: a call that was not made, or the answer."""
    said = next(m["content"] for m in messages if m["role"] == "user")
    gold, word = calls(said)
    made = sum("```json" in (m["content"] or "") for m in messages if m["role"] == "assistant")
    if made < len(gold):
        return f"```json\n{json.dumps(gold[made])}\n```"
    return f"It is {word}."


def answer(messages, number):
    last = messages[-1]["content"]
    if last.startswith("Part 1, request."):
        return json.dumps(scenario(last, number))
    if last.startswith("Part 2, calls."):
        gold, word = calls(messages[-2]["content"])
        return json.dumps({"calls": gold, "say": [word]})
    if last.startswith("Part 3, checker."):
        return f"```python\n{checker(last)}\n```"
    if last.startswith("You improve the instructions"):
        return json.dumps({"part": "request", "sentence": "Say the id of the record in the opening."})
    opening = re.search(r"The first line: (.*)", messages[0]["content"] or "")
    if opening and "Helpdesk: " in last:
        return opening[1] if "first line" in last.splitlines()[-1] else "###"
    if opening:
        # The customer of a domain that gives it tools of its own: it is spoken to as an agent is.
        return opening[1] if len(messages) == 2 else "###STOP###"
    if last.startswith("A first answer was refused"):
        sys.stderr.write(f"writer: {last}\n")
        return "I have no other."
    return agent(messages) if len(messages) > 1 else "yes"


class Handler(BaseHTTPRequestHandler):
    count = 0

    def log_message(self, *_):
        pass

    def reply(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_GET(self):
        self.reply({"object": "list", "data": [{"id": "writer", "object": "model"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        messages = body["messages"]
        # Requests come one at a time: the job's concurrency is 1.
        Handler.count += messages[-1]["content"].startswith("Part 1, request.")
        message = {"role": "assistant", "content": answer(messages, Handler.count)}
        usage = {"prompt_tokens": 200, "completion_tokens": 40, "total_tokens": 240}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        self.reply({"id": "1", "object": "chat.completion", "created": 1, "model": "writer", "choices": choices, "usage": usage})


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()

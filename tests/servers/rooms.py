"""A small service of the tests: rooms that are booked, in a file of the working folder.

`rooms.py stdio` speaks MCP over its pipes, `rooms.py http PORT` is an HTTP service (api.json describes it). Only the standard library is
needed. The file is read at each call, so that a test may put it back; `visits` counts in memory, so that a test can find it out;
`crash` ends the process; `wait` never answers; `reach` tries to leave the machine.
"""

import http.server
import json
import os
import socket
import sys
import time

FILE = "rooms.json"
ROOMS = {"rooms": {"1": {"beds": 2, "guests": []}, "2": {"beds": 1, "guests": []}}}
VISITS = 0


def load():
    if not os.path.exists(FILE):
        return json.loads(json.dumps(ROOMS))
    with open(FILE) as file:
        return json.load(file)


def save(state):
    with open(FILE, "w") as file:
        json.dump(state, file)


def show_room(id):
    """Shows a room."""
    rooms = load()["rooms"]
    if id not in rooms:
        raise KeyError(f"there is no room {id}")
    return {"id": id, **rooms[id]}


def book_room(id, guest, **_):
    """Books a bed for a guest."""
    state = load()
    room = state["rooms"].get(id)
    if room is None:
        raise KeyError(f"there is no room {id}")
    if len(room["guests"]) >= room["beds"]:
        raise ValueError(f"room {id} is full")
    room["guests"].append(guest["name"] if isinstance(guest, dict) else guest)
    save(state)
    return "booked"


def visits():
    """Counts its calls."""
    global VISITS
    VISITS += 1
    return VISITS


def crash():
    """Ends the process."""
    sys.stderr.write("the roof fell in\n")
    sys.stderr.flush()
    os._exit(3)


def wait():
    """Never answers."""
    time.sleep(3600)


def reach():
    """Tries to reach a host of the internet."""
    try:
        socket.create_connection(("1.1.1.1", 53), timeout=2).close()
    except OSError as error:
        return f"unreachable: {error.__class__.__name__}"
    return "reached"


TEXT = {"type": "string"}
TOOLS = {
    "show_room": (show_room, {"id": TEXT}, ["id"]),
    "book_room": (
        book_room,
        {"id": TEXT, "guest": {"$ref": "#/$defs/Guest"}, "session": TEXT},
        ["id", "guest"],
    ),
    "visits": (visits, {}, []),
    "crash": (crash, {}, []),
    "wait": (wait, {}, []),
    "reach": (reach, {}, []),
}
GUEST = {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}


def listed():
    return [
        {
            "name": name,
            "description": function.__doc__,
            "inputSchema": {
                "type": "object",
                "properties": properties,
                "required": required,
                "$defs": {"Guest": GUEST},
            },
        }
        for name, (function, properties, required) in TOOLS.items()
    ]


def called(name, arguments):
    try:
        result, failed = TOOLS[name][0](**arguments), False
    except (KeyError, ValueError) as error:
        result, failed = str(error.args[0]), True
    text = result if isinstance(result, str) else json.dumps(result)
    return {"content": [{"type": "text", "text": text}], "isError": failed}


def stdio():
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        method, params = request["method"], request.get("params") or {}
        if method == "initialize":
            result = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "rooms", "version": "1"},
            }
        elif method == "tools/list":
            result = {"tools": listed()}
        elif method == "tools/call":
            result = called(params["name"], params.get("arguments") or {})
        else:
            result = {}
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result}), flush=True)


class Handler(http.server.BaseHTTPRequestHandler):
    """GET /rooms/{id}, POST /rooms/{id}/guests, POST /reset, GET /state."""

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = self.path.strip("/").split("/")
        if parts == ["state"]:
            return self.answer(200, {"version": 1, "db": load()})
        if parts == ["broken"]:
            return self.answer(500, {"error": "out of order"})
        try:
            return self.answer(200, show_room(parts[1]))
        except KeyError as error:
            return self.answer(404, {"error": error.args[0]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        parts = self.path.strip("/").split("/")
        if parts == ["reset"]:
            save(ROOMS)
            return self.answer(200, {})
        try:
            return self.answer(200, {"result": book_room(parts[1], **json.loads(body))})
        except (KeyError, ValueError) as error:
            return self.answer(409, {"error": error.args[0]})

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        stdio()
    else:
        http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Handler).serve_forever()

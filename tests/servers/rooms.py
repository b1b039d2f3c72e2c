"""A small service of the tests: rooms that are booked, in a file of the working folder.

`rooms.py stdio` speaks MCP over its pipes, `rooms.py streamable PORT [HOST]` over HTTP, and `rooms.py http PORT [HOST]` is an HTTP
service (api.json describes it). Only the standard library is needed. The file is read at each call, so that a test may put it back; `visits` counts in memory, so that a test can find it out;
`crash` ends the process; `wait` never answers; `reach` tries to leave the machine.
"""

import http.server
import json
import os
import signal
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


def reset_rooms():
    """Puts the rooms back to how they were."""
    save(ROOMS)
    return "done"


def dump_rooms():
    """Shows all rooms."""
    return {"version": 1, "db": load()}


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
    "reset_rooms": (reset_rooms, {}, []),
    "dump_rooms": (dump_rooms, {}, []),
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


def replied(request):
    """The result of a request by MCP."""
    method, params = request["method"], request.get("params") or {}
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "rooms", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": listed()}
    if method == "tools/call":
        return called(params["name"], params.get("arguments") or {})
    return {}


def answered(request):
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": replied(request)})


def stdio():
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            print(answered(request), flush=True)


class Streamable(http.server.BaseHTTPRequestHandler):
    """MCP over streamable HTTP, at /mcp: a session is opened by `initialize`, and each later request must name it."""

    protocol_version = "HTTP/1.1"
    sessions = set()

    def answer(self, status, body="", **headers):
        self.send_response(status)
        for name, value in {"content-length": str(len(body.encode())), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        try:
            self.wfile.write(body.encode())
        except BrokenPipeError:
            pass  # a client that ends its session does not wait for the answer

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        session = self.headers.get("mcp-session-id")
        if self.path != "/mcp":
            return self.answer(404)
        if request.get("method") == "initialize":
            session = f"s{len(self.sessions)}"
            self.sessions.add(session)
        elif session not in self.sessions:
            return self.answer(404 if session else 400)
        if "id" not in request:
            return self.answer(202)
        body = answered(request)
        # Calls are answered as events, the rest as JSON: a client must read both.
        if request["method"] == "tools/call":
            return self.answer(200, f"event: message\ndata: {body}\n\n", content_type="text/event-stream")
        return self.answer(200, body, content_type="application/json", mcp_session_id=session)

    def do_GET(self):
        self.answer(405)

    def do_DELETE(self):
        self.sessions.discard(self.headers.get("mcp-session-id"))
        self.answer(204)

    def log_message(self, *_):
        pass


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
            return self.answer(200, dump_rooms())
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
            return self.answer(200, {"result": reset_rooms()})
        try:
            return self.answer(200, {"result": book_room(parts[1], **json.loads(body))})
        except (KeyError, ValueError) as error:
            return self.answer(409, {"error": error.args[0]})

    def log_message(self, *_):
        pass


def served(handler, port, host="127.0.0.1"):
    # The first process of a container has no other way to end on this signal.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    http.server.ThreadingHTTPServer((host, int(port)), handler).serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        stdio()
    else:
        served({"http": Handler, "streamable": Streamable}[sys.argv[1]], *sys.argv[2:])

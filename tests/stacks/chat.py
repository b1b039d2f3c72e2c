"""A chat endpoint for clients that stream: each answer is one piece, computed by a function. Only the standard library is used."""

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def answering(answer: Callable[[dict], tuple[int, dict]]):
    """Serves `answer`, which takes a request's body and returns the status and the body of `chat.completion`; gives the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(asked | {"stream": False})
            kind, data = "application/json", json.dumps(body).encode()
            if asked.get("stream") and status == 200:
                kind, data = "text/event-stream", f"data: {json.dumps(piece(body))}\n\ndata: [DONE]\n\n".encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()


def piece(body: dict) -> dict:
    """The one piece of a stream that has the whole answer."""
    choices = []
    for choice in body["choices"]:
        message = choice["message"]
        calls = [call | {"index": number} for number, call in enumerate(message.get("tool_calls") or [])]
        delta = message | ({"tool_calls": calls} if calls else {})
        choices.append({"index": choice["index"], "delta": delta, "finish_reason": choice["finish_reason"]})
    return body | {"object": "chat.completion.chunk", "choices": choices}

#!/usr/bin/env python3
"""A program of a version: a model that doubles `x`, by the standard library alone.

    program.py MANNER

Speaks the contract of SageMaker's containers and V2, as MANNER says: well; dead, which ends at once; mute, which
never listens; busy, which is never ready. What it is asked decides the rest: a first number of -1 ends it, -2 keeps
it busy, -3 answers HTML, -4 raises, and -5 makes it try what it may not and say how it went.
"""

import json
import os
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MANNER, PORT = sys.argv[1], int(os.environ["SAGEMAKER_BIND_TO_PORT"])


def attempts():
    """What succeeded of what must not."""
    yield "a socket to the world", lambda: socket.create_connection(("192.0.2.1", 80), timeout=1)
    yield "a raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    yield "another interface", lambda: socket.if_nameindex()[1]
    yield "the node's secrets", lambda: open(os.environ["SECRET"]).read()
    yield "the version's files", lambda: open("program.py", "a")
    yield "the node's processes", lambda: os.kill(int(os.environ["NODE"]), 0)
    yield "the node's environment", lambda: os.environ["BOTTEGA_ADMIN_TOKEN"]


def succeeded():
    done = []
    for what, attempt in attempts():
        try:
            attempt()
            done.append(what)
        except (OSError, KeyError, IndexError):
            pass
    return done


def doubled(rows):
    first = rows[0][0] if rows and rows[0] else 0
    if first == -1:
        print("farewell", flush=True)
        os._exit(7)
    if first == -2:
        time.sleep(60)
    if first == -4:
        raise RuntimeError("too cold")
    if first == -5:
        done = succeeded()
        print("succeeded:", done, flush=True)
        return [[float(len(done)), 0.0]]
    return [[2 * value for value in row] for row in rows]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, kind, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        is_known = self.path in ["/ping", "/v2/health/ready"]
        self.say(503 if MANNER == "busy" else 200 if is_known else 404, "text/plain", "")

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        is_v2 = self.path == "/v2/models/double/infer"
        if is_v2:
            (x,) = asked["inputs"]
            rows = [x["data"][at : at + 2] for at in range(0, len(x["data"]), 2)]
        else:
            rows = asked["instances"]
        if rows and rows[0][0] == -3:
            return self.say(200, "text/html", "<html>welcome</html>")
        try:
            y = doubled(rows)
        except RuntimeError as error:
            return self.say(400, "application/json", json.dumps({"error": str(error)}))
        flat = [value for row in y for value in row]
        outputs = [{"name": "y", "datatype": "FP32", "shape": [len(y), 2], "data": flat}]
        self.say(200, "application/json", json.dumps({"outputs": outputs} if is_v2 else {"predictions": y}))

    def log_message(self, *arguments):
        pass


if MANNER == "dead":
    sys.exit("no such license")
if MANNER == "mute":
    time.sleep(600)
ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()

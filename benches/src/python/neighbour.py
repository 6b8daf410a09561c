"""A program of a version that behaves badly once it is asked for -1, as its first argument says."""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


def floods():
    while True:
        sys.stdout.write("x" * 1000 + "\n")


def grows():
    held = []
    while True:
        held.append(bytearray(b"x") * (64 << 20))


def forks():
    while True:
        try:
            os.fork()
        except OSError:
            pass


def burns():
    for _ in range(3):
        os.fork()
    while True:
        pass


def writes():
    with open(os.path.join(os.environ["TMPDIR"], "file"), "ab") as file:
        while True:
            file.write(b"x" * (1 << 20))


def dies():
    os.kill(os.getpid(), 9)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if asked["instances"][0] == -1:
            globals()[sys.argv[1]]()
        body = json.dumps({"predictions": asked["instances"]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()

"""A server of others, that answers lookups of hooks and predictions, by the standard library alone.

    python elsewhere.py

Prints its address. Each line of its input is how it answers from then on: well (at first), slow, html, wrong,
refuse, redirect. It speaks V2 (/lookup, which gives `x` for each `user`), TensorFlow Serving's REST
(/v1/models/double) and the contract of MLflow's scoring server and SageMaker's containers (/ping, /invocations);
its models double `x`.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

manner = "well"
TENSOR = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": "-1"}, {"size": "2"}], "unknown_rank": False}}
SIGNATURE = {"inputs": {"x": TENSOR}, "outputs": {"y": TENSOR}}


def doubled(rows):
    return [[2 * value for value in row] for row in rows]


def answer(path, body):
    if path == "/lookup":
        users = next(tensor for tensor in body["inputs"] if tensor["name"] == "user")["data"]
        data = [value for user in users for value in (user, user + 0.5)]
        return {"outputs": [{"name": "x", "datatype": "FP32", "shape": [len(users), 2], "data": data}]}
    if path == "/v1/models/double:predict":
        return {"outputs": doubled(body["inputs"]["x"])}
    if path == "/v1/models/double/metadata":
        return {"metadata": {"signature_def": {"signature_def": {"serving_default": SIGNATURE}}}}
    if path == "/invocations":
        rows = body["inputs"]["x"] if "inputs" in body else body["instances"]
        return {"predictions": doubled(rows)}
    raise KeyError(path)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, kind, text, **headers):
        body = text.encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        body = json.loads(self.rfile.read(length) or "null")
        if manner == "slow":
            time.sleep(3)
        if manner == "html":
            self.say(200, "text/html", "<html>welcome</html>")
        elif manner == "wrong":
            self.say(200, "application/json", json.dumps({"outputs": {"z": 1}, "predictions": {"z": 1}}))
        elif manner == "refuse":
            self.say(400, "application/json", json.dumps({"error": "x is too cold"}))
        elif manner == "redirect":
            self.say(302, "text/plain", "", Location="http://169.254.169.254/latest/meta-data")
        else:
            self.say(200, "application/json", json.dumps(answer(self.path, body)))

    def do_GET(self):
        self.do_POST()

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(f"http://127.0.0.1:{server.server_port}", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
for line in sys.stdin:
    manner = line.strip()
    print("ok", flush=True)

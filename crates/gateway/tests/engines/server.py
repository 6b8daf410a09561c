"""The contract suite's models behind the Open Inference Protocol's REST: MODEL is what is asked for."""

import json
import os
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Refused(Exception):
    pass


def echo(inputs):
    return [inputs["x"] | {"name": "y"}]


def table(inputs):
    x = inputs["x"]
    for row in x["data"]:
        if not 0 <= row < 10:
            raise Refused(f"row {row} is out of the table")
    data = [element for row in x["data"] for element in (2 * row, 2 * row + 1)]
    return [{"name": "y", "datatype": "FP32", "shape": [len(x["data"]), 2], "data": data}]


def swaps(inputs):
    return [inputs["a"] | {"name": "second"}, inputs["b"] | {"name": "first"}]


def endless(inputs):
    time.sleep(60)


def expand(inputs):
    count = inputs["elements"]["data"][0]
    return [{"name": "y", "datatype": "FP32", "shape": [count], "data": [0] * count}]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, what):
        body = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, {})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        model = {"echo": echo, "table": table, "swaps": swaps, "endless": endless, "expand": expand}
        inputs = {tensor["name"]: tensor for tensor in asked["inputs"]}
        try:
            outputs = model[self.path.split("/")[3]](inputs)
        except Refused as refused:
            self.answer(400, {"error": str(refused)})
        else:
            self.answer(200, {"model_name": "any", "outputs": outputs})

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True


server = Server(("127.0.0.1", int(os.environ.get("SAGEMAKER_BIND_TO_PORT", 0))), Handler)
print(server.server_port, flush=True)
if "--alone" in sys.argv:
    # Ends with whoever started it.
    import threading

    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
server.serve_forever()

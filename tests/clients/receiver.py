"""A receiver of webhooks as MLflow's documentation tells to write one.

    python receiver.py SECRET

Prints its address, then each delivery as a line of JSON. Each line of its input is the status that it
answers from then on, 200 at first.
"""

import base64
import hashlib
import hmac
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = sys.argv[1].encode()
OLDEST = 300
status = 200


def fault(headers, body):
    """What is wrong with a delivery, if anything is."""
    signature = headers.get("X-MLflow-Signature", "")
    delivery, timestamp = headers.get("X-MLflow-Delivery-Id"), headers.get("X-MLflow-Timestamp")
    if not delivery or not timestamp:
        return "a header is missing"
    if abs(time.time() - int(timestamp)) > OLDEST:
        return "it is too old"
    if headers.get("Content-Type") != "application/json":
        return "it says that it is no JSON"
    version, _, given = signature.partition(",")
    signed = f"{delivery}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    if version != "v1" or not hmac.compare_digest(given, expected):
        return "its signature is wrong"
    return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        heard = {"id": self.headers["X-MLflow-Delivery-Id"], "path": self.path, "status": status}
        heard |= {"fault": fault(self.headers, body), "body": json.loads(body)}
        with lock:
            print(json.dumps(heard), flush=True)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


lock = threading.Lock()
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{server.server_port}/hook", flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
for line in sys.stdin:
    status = int(line)

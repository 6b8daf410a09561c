"""What each caller hears over gRPC: reads {"callers": {name: token}, "endpoints": […]}, writes rows."""

import json
import sys

import tritonclient.grpc
from tritonclient.utils import InferenceServerException

import cases

asked = json.load(sys.stdin)
client = tritonclient.grpc.InferenceServerClient(cases.GRPC)
calls = {
    "ready": lambda endpoint, ask: client.is_model_ready(endpoint, **ask),
    "metadata": lambda endpoint, ask: client.get_model_metadata(endpoint, **ask),
    "infer": lambda endpoint, ask: client.infer(endpoint, [], **ask),
}
heard = []
for name, token in asked["callers"].items():
    ask = {"headers": {"authorization": f"Bearer {token}"}}
    for endpoint in asked["endpoints"]:
        for call, make in calls.items():
            try:
                make(endpoint, ask)
                code, message = "OK", ""
            except InferenceServerException as refused:
                code, message = refused.status().removeprefix("StatusCode."), refused.message()
            heard.append({"who": name, "endpoint": endpoint, "call": call, "code": code, "message": message})
json.dump(heard, sys.stdout)

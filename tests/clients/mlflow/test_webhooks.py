"""Webhooks, as MLflow's client manages them, and a receiver. Failing deliveries are tested in crates/notify."""

import base64
import hashlib
import hmac
import http.server
import json
import queue
import threading
import time

import pytest
from mlflow.entities.webhook import WebhookStatus
from mlflow.webhooks import (
    ModelVersionAliasCreatedPayload,
    ModelVersionAliasDeletedPayload,
    ModelVersionCreatedPayload,
    ModelVersionTagDeletedPayload,
    ModelVersionTagSetPayload,
    RegisteredModelCreatedPayload,
)

URL = "https://8.8.8.8/hook"
SECRET = "a secret of more than thirty-two characters"


@pytest.mark.calls("POST webhooks", "GET webhooks", "GET webhooks/{webhook_id}", "PATCH webhooks/{webhook_id}",
                   "DELETE webhooks/{webhook_id}")
def test_a_webhook_lives_and_dies(client, name, refused):
    made = client.create_webhook(name, URL, ["model_version.created"], description="what", secret="s" * 40)
    assert (made.name, made.url, made.status) == (name, URL, WebhookStatus.ACTIVE) and made.secret is None
    assert [str(e) for e in made.events] == ["model_version.created"]
    client.update_webhook(made.webhook_id, status="DISABLED", events=["registered_model.created", "model_version_alias.created"])
    found = client.get_webhook(made.webhook_id)
    assert found.status == WebhookStatus.DISABLED and found.description == "what"
    assert sorted(str(e) for e in found.events) == ["model_version_alias.created", "registered_model.created"]
    assert made.webhook_id in [w.webhook_id for w in client.list_webhooks()]
    client.delete_webhook(made.webhook_id)
    refused("RESOURCE_DOES_NOT_EXIST", client.get_webhook, made.webhook_id)


@pytest.mark.parametrize("options", [
    {"url": ""}, {"url": "ftp://example.com/"}, {"url": "nonsense"}, {"events": []}, {"name": ""},
])
def test_a_webhook_that_is_none(raw, name, options):
    body = {"name": name, "url": URL, "events": [{"entity": "MODEL_VERSION", "action": "CREATED"}], **options}
    answer = raw("POST", "/api/2.0/mlflow/webhooks", json=body)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what is signed as MLflow documents it, and says 400 to anything else."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        head = {name: self.headers.get(f"x-mlflow-{name}") for name in ("signature", "timestamp", "delivery-id")}
        signed = f"{head['delivery-id']}.{head['timestamp']}.".encode() + body
        digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        right = hmac.compare_digest(head["signature"] or "", "v1," + base64.b64encode(digest).decode())
        now = abs(time.time() - int(head["timestamp"])) < 300
        self.server.got.put((self.path, right and now, json.loads(body)))
        answer = b"thank you" if right else b"who are you?"
        self.send_response(200 if right else 400)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def receiver():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got = queue.Queue()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.bottega
@pytest.mark.calls("POST webhooks/{webhook_id}/test")
def test_a_webhook_is_tried_out(client, name, receiver):
    at = f"http://127.0.0.1:{receiver.server_port}"
    hook = client.create_webhook(name, f"{at}/right", ["model_version.created", "registered_model.created"], secret=SECRET)
    tried = client.test_webhook(hook.webhook_id)
    assert (tried.success, tried.response_status, tried.response_body) == (True, 200, "thank you"), tried
    path, signed, body = receiver.got.get(timeout=20)
    assert (path, signed, body["entity"], body["action"]) == ("/right", True, "model_version", "created")
    assert set(ModelVersionCreatedPayload.__annotations__) <= set(body["data"]), body
    tried = client.test_webhook(hook.webhook_id, "registered_model.created")
    assert tried.success and receiver.got.get(timeout=20)[2]["entity"] == "registered_model"
    client.update_webhook(hook.webhook_id, secret="another " * 5)
    tried = client.test_webhook(hook.webhook_id)
    assert (tried.success, tried.response_status, tried.response_body) == (False, 400, "who are you?"), tried
    assert receiver.got.get(timeout=20)[1] is False


@pytest.mark.bottega
def test_what_happens_is_told_with_a_signature(client, name, receiver):
    at = f"http://127.0.0.1:{receiver.server_port}"
    events = {
        "registered_model.created": RegisteredModelCreatedPayload,
        "model_version.created": ModelVersionCreatedPayload,
        "model_version_tag.set": ModelVersionTagSetPayload,
        "model_version_tag.deleted": ModelVersionTagDeletedPayload,
        "model_version_alias.created": ModelVersionAliasCreatedPayload,
        "model_version_alias.deleted": ModelVersionAliasDeletedPayload,
    }
    hook = client.create_webhook(name, f"{at}/all", list(events), secret=SECRET)
    client.create_registered_model(name, tags={"a": "b"})
    version = client.create_model_version(name, "s3://bucket/model").version
    client.set_model_version_tag(name, version, "k", "v")
    client.delete_model_version_tag(name, version, "k")
    client.set_registered_model_alias(name, "champion", version)
    client.delete_registered_model_alias(name, "champion")
    told = [receiver.got.get(timeout=60) for _ in events]
    assert all(signed for _, signed, _ in told)
    assert [f"{body['entity']}.{body['action']}" for _, _, body in told] == list(events)
    for (_, _, body), payload in zip(told, events.values()):
        assert set(payload.__annotations__) <= set(body["data"]), body
        assert body["data"]["name"] == name and body["timestamp"]
    client.delete_webhook(hook.webhook_id)

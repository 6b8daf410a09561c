"""Webhooks, as MLflow's client manages them. What they deliver is tested in crates/notify."""

import pytest
from mlflow.entities.webhook import WebhookStatus

URL = "https://8.8.8.8/hook"


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

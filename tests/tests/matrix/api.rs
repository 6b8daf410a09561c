//! Our own API.

use super::{
    rows::{Place, Row, ask, send},
    world::NO_ID,
};

const UNOWNED: &[Place] = &[Place::Nobodys];
const ONCE: &[Place] = &[Place::Platform];
/// A digest of no bytes that are here.
const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

pub fn rows() -> Vec<Row> {
    let parts = [health(), accounts(), oidc(), access(), quotas(), audit(), webhooks(), imports()];
    let things = [models(), versions(), moves(), endpoints(), lineage(), ownership(), platform()];
    parts.into_iter().chain(things).flatten().collect()
}

fn health() -> Vec<Row> {
    vec![
        ask("GET /health/live"),
        ask("GET /health/ready"),
        ask("GET /api/v1/health"),
        ask("GET /metrics"),
        ask("GET /api/v1/openapi.json"),
        ask("GET /.well-known/jwks.json"),
    ]
}

fn accounts() -> Vec<Row> {
    vec![
        // No name may be empty.
        send("POST /api/v1/users", r#"{"name": ""}"#),
        ask("GET /api/v1/users"),
        ask("GET /api/v1/users/{user}").param("user", "admin").with("view:platform"),
        send("PATCH /api/v1/users/{user}", r#"{"display_name": "x"}"#).param("user", "not-there"),
        send("PUT /api/v1/users/{user}/password", "{}").param("user", "not-there"),
        ask("DELETE /api/v1/users/{user}").param("user", "not-there"),
        send("POST /api/v1/services", r#"{"name": ""}"#),
        ask("DELETE /api/v1/services/{service}").param("service", "not-there"),
        ask("GET /api/v1/services"),
        ask("GET /api/v1/services/{service}").param("service", "{me}"),
        ask("GET /api/v1/services/{service}").param("service", "not-there").with("view:platform"),
        send("PATCH /api/v1/services/{service}", r#"{"display_name": "x"}"#)
            .param("service", "not-there"),
        send("POST /api/v1/teams", r#"{"name": ""}"#),
        send("PATCH /api/v1/teams/{team}", r#"{"isolation": "process"}"#),
        ask("DELETE /api/v1/teams/{team}").param("team", "not-there"),
        ask("GET /api/v1/teams"),
        ask("GET /api/v1/teams/{team}"),
        ask("GET /api/v1/teams/{team}/members"),
        send("PUT /api/v1/teams/{team}/members/{member}", "{}").param("member", "user:not-there"),
        ask("DELETE /api/v1/teams/{team}/members/{member}").param("member", "user:not-there"),
        ask("GET /api/v1/me"),
        // Only users have passwords.
        send("PUT /api/v1/me/password", r#"{"current": "x", "new": "correct horse battery"}"#)
            .own_refusal(403),
        send("POST /api/v1/sessions", r#"{"user": "not-there", "password": "x"}"#).own_refusal(401),
        ask("GET /api/v1/sessions"),
        ask("GET /api/v1/sessions/current"),
        ask("DELETE /api/v1/sessions/current"),
        ask("DELETE /api/v1/sessions/{session}"),
        send("POST /api/v1/tokens", r#"{"name": ""}"#),
        send("POST /api/v1/tokens", r#"{"name": "", "holder": "user:admin"}"#)
            .with("administer:platform"),
        ask("GET /api/v1/tokens"),
        ask("GET /api/v1/tokens").query("?holder=user:admin").with("administer:platform"),
        // Whoever may not hears that there is none, of others' as of none.
        ask("DELETE /api/v1/tokens/{token}").with("administer:platform").refused(404),
        send("POST /api/v1/tokens/exchange", "{}"),
    ]
}

fn oidc() -> Vec<Row> {
    vec![
        // No provider is configured.
        ask("GET /api/v1/auth/oidc/login").own_refusal(401).away(),
        ask("GET /api/v1/auth/oidc/callback").own_refusal(401).away(),
        ask("POST /api/v1/auth/oidc/cli").own_refusal(401).away(),
        ask("POST /api/v1/auth/oidc/token").own_refusal(401).away(),
        ask("GET /api/v1/oidc"),
        ask("GET /api/v1/oidc/trusts"),
        send(
            "POST /api/v1/oidc/trusts",
            r#"{"name": "", "issuer": "x", "audience": "x", "service": "not-there", "claims": {}}"#,
        ),
        ask("DELETE /api/v1/oidc/trusts/{trust}").param("trust", NO_ID),
        ask("GET /api/v1/oidc/groups"),
        send("POST /api/v1/oidc/groups", r#"{"group": "x", "team": "not-there"}"#),
        ask("DELETE /api/v1/oidc/groups/{group}").param("group", NO_ID),
        ask("GET /api/v1/oidc/identities"),
        send("POST /api/v1/oidc/identities", r#"{"user": "not-there", "subject": "x"}"#),
        ask("DELETE /api/v1/oidc/identities/{identity}").param("identity", NO_ID),
    ]
}

fn access() -> Vec<Row> {
    vec![
        ask("GET /api/v1/grants").query("?subject=service:{me}"),
        ask("GET /api/v1/grants")
            .query("?resource=model:{model}")
            .with("administer:any")
            .overseen(),
        ask("GET /api/v1/grants").query("?subject=user:admin").with("audit:platform"),
        ask("GET /api/v1/grants").query("?resource=*").with("audit:platform").only(ONCE),
        send(
            "POST /api/v1/grants",
            r#"{"subject": "user:not-there", "action": "view", "resource": "model:{model}"}"#,
        ),
        send(
            "POST /api/v1/grants",
            r#"{"subject": "user:not-there", "action": "view", "resource": "endpoint:{endpoint}"}"#,
        ),
        send(
            "POST /api/v1/grants",
            r#"{"subject": "user:not-there", "action": "view", "resource": "experiment:{experiment}"}"#,
        ),
        send(
            "POST /api/v1/grants",
            r#"{"subject": "user:not-there", "action": "view", "resource": "team:{team}"}"#,
        )
        .only(&[Place::Own, Place::Other]),
        ask("GET /api/v1/grants/explain")
            .query("?subject=service:{me}&action=view&resource=model:{model}")
            .with("view:any"),
        ask("GET /api/v1/grants/explain")
            .query("?subject=user:admin&action=view&resource=*")
            .with("audit:platform"),
        ask("DELETE /api/v1/grants/{grant}").query("?dry_run=true"),
        ask("GET /api/v1/policies"),
        send("PUT /api/v1/policies/{policy}", r#"{"text": "nonsense"}"#).param("policy", "x"),
        ask("DELETE /api/v1/policies/{policy}").param("policy", "not-there"),
        ask("GET /api/v1/roles"),
    ]
}

fn quotas() -> Vec<Row> {
    vec![
        ask("GET /api/v1/quotas"),
        ask("GET /api/v1/me/quotas"),
        ask("GET /api/v1/quotas/{subject}").param("subject", "service:{me}"),
        ask("GET /api/v1/quotas/{subject}")
            .param("subject", "user:admin")
            .with("administer:platform"),
        send("PATCH /api/v1/quotas/{subject}", r#"{"limits": {}}"#).param("subject", "user:admin"),
        send("POST /api/v1/quota-requests", r#"{"quota": "models", "value": 5, "reason": "x"}"#),
        send(
            "POST /api/v1/quota-requests",
            r#"{"subject": "user:admin", "quota": "models", "value": 5, "reason": "x"}"#,
        )
        .with("administer:platform"),
        ask("GET /api/v1/quota-requests").query("?subject=service:{me}"),
        ask("GET /api/v1/quota-requests").with("administer:platform"),
        send("POST /api/v1/quota-requests/{request}/grant", r#"{"reason": "x"}"#),
        send("POST /api/v1/quota-requests/{request}/refuse", r#"{"reason": "x"}"#),
        ask("GET /api/v1/usage").query("?subject=service:{me}"),
        ask("GET /api/v1/usage").with("administer:platform"),
        ask("GET /api/v1/usage/prices"),
        send("PUT /api/v1/usage/prices", r#"{"currency": "nonsense", "prices": {}}"#),
    ]
}

fn audit() -> Vec<Row> {
    vec![
        ask("GET /api/v1/audit/events").query("?limit=1"),
        ask("GET /api/v1/audit/archive"),
        ask("GET /api/v1/audit/archives"),
        send("POST /api/v1/audit/archives", ARCHIVED),
        ask("GET /api/v1/audit/checkpoints"),
        send("POST /api/v1/audit/checkpoints", "{}"),
        send(
            "POST /api/v1/audit/exports",
            r#"{"format": "ndjson", "filter": {"actor": "user:not-there"}}"#,
        ),
        ask("GET /api/v1/audit/grants").query("?as_of=2026-01-02T03:04:05Z"),
        ask("GET /api/v1/audit/verify"),
        send("POST /api/v1/audit/verify", "{}"),
        ask("GET /api/v1/credentials"),
        send(
            "PUT /api/v1/credentials/{credential}",
            r#"{"origin": "http://127.0.0.1:1", "secret": "x"}"#,
        )
        .param("credential", "absent"),
        ask("DELETE /api/v1/credentials/{credential}").param("credential", "absent"),
        ask("GET /api/v1/secrets"),
        send("POST /api/v1/secrets/rotate", "{}"),
    ]
}

const ARCHIVED: &str = r#"{"seal": 1, "digest": "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}"#;

fn webhooks() -> Vec<Row> {
    vec![
        ask("GET /api/v1/webhooks"),
        send(
            "POST /api/v1/webhooks",
            r#"{"name": "x", "url": "http://127.0.0.1:1", "events": ["release.completed"]}"#,
        ),
        ask("GET /api/v1/webhooks/{webhook}"),
        send("PATCH /api/v1/webhooks/{webhook}", "{}"),
        ask("DELETE /api/v1/webhooks/{webhook}"),
        send("POST /api/v1/webhooks/{webhook}/test", "{}"),
        ask("GET /api/v1/webhooks/{webhook}/deliveries"),
        send("POST /api/v1/webhooks/{webhook}/replay", "{}"),
        send("POST /api/v1/webhooks/{webhook}/deliveries/{delivery}/replay", "{}"),
    ]
}

fn imports() -> Vec<Row> {
    let once = |row: Row| row.only(ONCE);
    vec![
        send("POST /api/v1/import/sources", r#"{"url": "nonsense"}"#),
        ask("GET /api/v1/import/sources").query("?url=http://not-there:5000"),
        send("POST /api/v1/import/sources/{source}/known", r#"{"kind": "run", "ids": []}"#),
        send("POST /api/v1/import/sources/{source}/marks", r#"{"kind": "run", "marks": {}}"#),
        send(
            "PUT /api/v1/import/sources/{source}/models/{name}",
            r#"{"created_at": 1, "updated_at": 1}"#,
        )
        .param("name", "not-there"),
        once(
            send(
                "PUT /api/v1/import/sources/{source}/models/{name}/versions/{version}",
                r#"{"source": "x", "created_at": 1, "updated_at": 1}"#,
            )
            .param("name", "not-there"),
        ),
        once(
            send(
                "PUT /api/v1/import/sources/{source}/models/{name}/versions/{version}",
                r#"{"source": "x", "created_at": 1, "updated_at": 1, "files_of": {"run": {"id": "{run}", "path": "none"}}}"#,
            )
            .with("view:experiment"),
        ),
        once(send("PUT /api/v1/import/sources/{source}/models/{name}/aliases", r#"{"aliases": {}}"#)),
        send(
            "PUT /api/v1/import/sources/{source}/experiments/{id}",
            r#"{"name": "x", "deleted": false, "created_at": 1, "updated_at": 1}"#,
        )
        .param("id", "1"),
        send(
            "PUT /api/v1/import/sources/{source}/runs/{id}",
            r#"{"experiment": "1", "name": "x", "user_id": "x", "status": "FINISHED", "deleted": false}"#,
        )
        .param("id", "ffffffffffffffffffffffffffffffff"),
        send("POST /api/v1/import/sources/{source}/runs/{id}/points", r#"{"key": "x", "points": []}"#)
            .param("id", "ffffffffffffffffffffffffffffffff"),
        send("PUT /api/v1/import/sources/{source}/runs/{id}/models", r#"{"inputs": [], "outputs": []}"#)
            .param("id", "ffffffffffffffffffffffffffffffff"),
        send(
            "PUT /api/v1/import/sources/{source}/logged-models/{id}",
            r#"{"experiment": "1", "name": "x", "status": "READY", "created_at": 1, "updated_at": 1}"#,
        )
        .param("id", "m-ffffffffffffffffffffffffffffffff"),
        ask("GET /api/v1/import/sources/{source}/{owner}/{id}/files")
            .param("owner", "runs")
            .param("id", "ffffffffffffffffffffffffffffffff"),
        send("PUT /api/v1/import/sources/{source}/{owner}/{id}/files", r#"{"files": []}"#)
            .param("owner", "runs")
            .param("id", "ffffffffffffffffffffffffffffffff"),
    ]
}

fn models() -> Vec<Row> {
    vec![
        ask("GET /api/v1/models").shows("{model}"),
        // The name is taken.
        send("POST /api/v1/models", r#"{"name": "{model}"}"#),
        ask("GET /api/v1/models/{name}"),
        send("PATCH /api/v1/models/{name}", r#"{"description": "x"}"#),
        // Its endpoint needs it.
        ask("DELETE /api/v1/models/{name}"),
        ask("GET /api/v1/deleted-models").shows("{deleted}"),
        send("POST /api/v1/models/{name}/restore", "{}")
            .param("name", "{deleted}")
            .undo("DELETE /api/v1/models/{deleted}", ""),
        ask("GET /api/v1/models/{name}/deleted-versions"),
        ask("GET /api/v1/models/{name}/dependents"),
        ask("GET /api/v1/models/{name}/history"),
        ask("GET /api/v1/models/{name}/rules"),
        send("POST /api/v1/models/{name}/rules", r#"{"rule": "nonsense"}"#),
        ask("DELETE /api/v1/models/{name}/rules/{rule}"),
        send("PUT /api/v1/models/{name}/stages", r#"{"stages": []}"#),
        ask("GET /api/v1/resolve").query("?model={model}@champion"),
        ask("HEAD /api/v1/blobs/{digest}").param("digest", DIGEST).only(UNOWNED).absent_to_all(),
        send("POST /api/v1/blobs/missing", r#"{"digests": []}"#).only(UNOWNED),
        // The bytes are not those of the digest.
        ask("PUT /api/v1/blobs/{digest}").param("digest", DIGEST).bytes("x").only(UNOWNED),
        ask("POST /api/v1/archives").query("?format=tar").bytes("x").only(UNOWNED),
    ]
}

fn versions() -> Vec<Row> {
    const FILES: &str = r#"{"files": []}"#;
    vec![
        ask("GET /api/v1/models/{name}/versions"),
        // A version without files is none.
        send("POST /api/v1/models/{name}/versions", FILES),
        send("POST /api/v1/models/{name}/versions", r#"{"files": [], "alias": "champion"}"#)
            .with("promote:model"),
        ask("GET /api/v1/models/{name}/versions/{version}"),
        send("PATCH /api/v1/models/{name}/versions/{version}", r#"{"description": "x"}"#),
        ask("DELETE /api/v1/models/{name}/versions/{version}")
            .param("version", "2")
            .undo("POST /api/v1/models/{model}/versions/2/restore", "{}"),
        send("POST /api/v1/models/{name}/versions/{version}/restore", "{}"),
        send("PUT /api/v1/models/{name}/versions/{version}/trust", r#"{"reason": "x"}"#),
        ask("DELETE /api/v1/models/{name}/versions/{version}/trust"),
        send("POST /api/v1/models/{name}/versions/{version}/trial", "{}"),
        ask("GET /api/v1/models/{name}/versions/{version}/files"),
        ask("GET /api/v1/models/{name}/versions/{version}/files/{path}")
            .param("path", "breast_cancer.onnx"),
        ask("GET /api/v1/models/{name}/versions/{version}/dependents"),
        ask("GET /api/v1/models/{name}/versions/{version}/lineage"),
    ]
}

fn moves() -> Vec<Row> {
    const TO_ONE: &str = r#"{"version": 1, "reason": "x"}"#;
    vec![
        ask("GET /api/v1/models/{name}/aliases"),
        ask("GET /api/v1/models/{name}/aliases/{alias}"),
        ask("GET /api/v1/models/{name}/aliases/{alias}/history"),
        send("PUT /api/v1/models/{name}/aliases/{alias}", TO_ONE),
        send("PUT /api/v1/models/{name}/aliases/{alias}", TO_ONE)
            .query("?override=true")
            .with("administer:model"),
        // Nothing was there before.
        send("POST /api/v1/models/{name}/aliases/{alias}/revert", "{}")
            .param("alias", "challenger"),
        send("POST /api/v1/models/{name}/aliases/{alias}/revert", r#"{"reason": "x"}"#)
            .param("alias", "challenger")
            .query("?override=true")
            .with("administer:model"),
        ask("DELETE /api/v1/models/{name}/aliases/{alias}")
            .param("alias", "challenger")
            .undo("PUT /api/v1/models/{model}/aliases/challenger", r#"{"version": 1}"#),
        send(
            "PUT /api/v1/models/{name}/versions/{version}/stage",
            r#"{"stage": "nonsense", "reason": "x"}"#,
        ),
        send(
            "PUT /api/v1/models/{name}/versions/{version}/stage",
            r#"{"stage": "nonsense", "reason": "x"}"#,
        )
        .query("?override=true")
        .with("administer:model"),
        send("POST /api/v1/models/{name}/stages/{stage}/revert", "{}"),
        send("POST /api/v1/models/{name}/stages/{stage}/revert", r#"{"reason": "x"}"#)
            .query("?override=true")
            .with("administer:model"),
    ]
}

const FOLLOW: &str = r#"{"model": "{model}@champion"}"#;

fn endpoints() -> Vec<Row> {
    vec![
        ask("GET /api/v1/endpoints").shows("{endpoint}"),
        send("PUT /api/v1/endpoints/{endpoint}", FOLLOW),
        send("PUT /api/v1/endpoints/{endpoint}", r#"{"serving": {"timeout": null}}"#),
        ask("GET /api/v1/endpoints/{endpoint}"),
        ask("GET /api/v1/endpoints/{endpoint}/schema"),
        ask("GET /api/v1/endpoints/{endpoint}/history"),
        ask("GET /api/v1/endpoints/{endpoint}/logs"),
        ask("GET /api/v1/endpoints/{endpoint}/printed"),
        ask("GET /api/v1/endpoints/{endpoint}/lineage"),
        ask("GET /api/v1/endpoints/{endpoint}/releases"),
        ask("GET /api/v1/endpoints/{endpoint}/releases/{release}"),
        ask("GET /api/v1/endpoints/{endpoint}/rollout"),
        send("POST /api/v1/endpoints/{endpoint}/rollback", r#"{"to": 999}"#),
        ask("GET /api/v1/endpoints/{endpoint}/contract"),
        send("PUT /api/v1/endpoints/{endpoint}/contract", r#"{"if_revision": 999}"#),
        send(
            "PUT /api/v1/endpoints/{endpoint}/contract",
            r#"{"models": ["{model}"], "if_revision": 999}"#,
        )
        .with("view:model"),
        ask("DELETE /api/v1/endpoints/{endpoint}/contract").query("?if_revision=999"),
        ask("GET /api/v1/endpoints/{endpoint}/capture"),
        send("PUT /api/v1/endpoints/{endpoint}/capture", r#"{"if_revision": 999}"#),
        ask("GET /api/v1/endpoints/{endpoint}/captured"),
        // It does not say which rows.
        ask("DELETE /api/v1/endpoints/{endpoint}/captured"),
        ask("GET /api/v1/inferences/{inference}").with("view-data:endpoint"),
    ]
}

/// What comes last: it takes away what predictions are asked of.
pub fn last() -> Vec<Row> {
    vec![
        ask("DELETE /api/v1/endpoints/{endpoint}")
            .undo("PUT /api/v1/endpoints/{endpoint}", FOLLOW)
            .undo("PUT /api/v1/endpoints/{endpoint}/team", r#"{"team": {whose}}"#),
    ]
}

fn lineage() -> Vec<Row> {
    vec![
        ask("GET /api/v1/runs/{run_id}/lineage"),
        ask("GET /api/v1/runs/{run_id}/dependents"),
        ask("GET /api/v1/experiments/{experiment_id}/dependents"),
        ask("GET /api/v1/datasets/lineage").query("?name=payments&digest=d1").shows("{run}"),
    ]
}

/// Handing over: to the team `own`, to the team `other`, and to nobody. What is asked for is
/// refused for another reason once it is let in: no team of that name owns it.
fn ownership() -> Vec<Row> {
    const TO_TEAM: &str = r#"{"team": "{receiving}", "if_team": "not-the-owner"}"#;
    const TO_NOBODY: &str = r#"{"team": null, "if_team": "not-the-owner"}"#;
    let mut rows = Vec::new();
    for (operation, verb) in [
        ("PUT /api/v1/models/{name}/team", "register:team"),
        ("PUT /api/v1/endpoints/{endpoint}/team", "deploy:team"),
        ("PUT /api/v1/experiments/{experiment_id}/team", "register:team"),
    ] {
        for receiving in [Place::Own, Place::Other] {
            rows.push(send(operation, TO_TEAM).with(verb).receiving(receiving));
        }
    }
    for (operation, verb) in [
        ("PUT /api/v1/models/{name}/team", "register:model"),
        ("PUT /api/v1/endpoints/{endpoint}/team", "deploy:endpoint"),
        ("PUT /api/v1/experiments/{experiment_id}/team", "register:experiment"),
    ] {
        rows.push(send(operation, TO_NOBODY).with(verb).receiving(Place::Nobodys));
    }
    rows
}

fn platform() -> Vec<Row> {
    vec![
        ask("GET /api/v1/nodes"),
        ask("GET /api/v1/replicas"),
        ask("GET /api/v1/settings"),
        ask("GET /api/v1/settings/{setting}").param("setting", "not-there"),
        send("PUT /api/v1/settings/{setting}", r#"{"value": "x"}"#).param("setting", "not-there"),
        send("POST /api/v1/collections", r#"{"dry_run": true}"#),
    ]
}

//! Secrets at rest, on a real Postgres: the key that must be the right one, and its rotation.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use auth::{
    Access, KeyRing, SecretKey, Vault,
    secrets::{self, Secrets},
    verbs,
};
use domain::{Limit, Resource};
use secrecy::ExposeSecret as _;
use store::{
    audit,
    sealed::{self, Kind},
    testing::TestDatabase,
};

fn ring(keys: &[&str]) -> KeyRing {
    let lines: Vec<_> = keys.iter().map(|key| key.repeat(32)).collect();
    KeyRing::parse(&lines.join("\n").into()).unwrap()
}

/// What a token hashes to under the hash key, as somebody with these keys sees it.
async fn hashes(database: &TestDatabase, keys: &[&str]) -> Result<[u8; 32], domain::Problem> {
    let key = secrets::hash_key(
        database.database(),
        &Access::new(database.database().clone()),
        &ring(keys),
    )
    .await?;
    Ok(key.hash(&"a token".to_owned().into()))
}

async fn webhook(database: &TestDatabase, vault: &Vault, secret: &str) -> uuid::Uuid {
    let id = uuid::Uuid::now_v7();
    let sealed = vault.seal(id.as_bytes(), &secret.to_owned().into()).unwrap();
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    let row = format!(
        "INSERT INTO webhooks (id, name, url, status, secret, owner, created_at, updated_at)
         VALUES ('{id}', 'w', 'https://example.com', 'ACTIVE', '\\x{hex}', 'user:ana', now(), now())"
    );
    database.execute(&row).await;
    id
}

async fn opened(database: &TestDatabase, keys: &[&str]) -> Vec<Option<String>> {
    let vault = secrets::vault(&ring(keys), Kind::Webhook);
    let rows = sealed::all(database.database(), Kind::Webhook).await.unwrap();
    let open = |row: &sealed::Sealed| {
        vault.open(row.id.as_bytes(), &row.sealed).map(|secret| secret.expose_secret().to_owned())
    };
    rows.iter().map(open).collect()
}

#[tokio::test]
async fn a_database_knows_the_key_that_it_was_made_with() {
    let database = TestDatabase::fresh().await;
    let first = hashes(&database, &["a"]).await.unwrap();
    assert_eq!(hashes(&database, &["a"]).await.unwrap(), first, "it is made once");
    assert_eq!(hashes(&database, &["b", "a"]).await.unwrap(), first, "an earlier key opens it");
    let wrong = hashes(&database, &["b"]).await.unwrap_err();
    assert_eq!(wrong.field.as_deref(), Some("secret_key"));
    for key in ["a", "b"] {
        assert!(wrong.message.contains(&ring(&[key]).current().id().to_string()), "{wrong}");
        assert!(!wrong.message.contains(&key.repeat(32)), "{wrong}");
    }
}

#[tokio::test]
async fn tokens_from_before_are_known_still() {
    let database = TestDatabase::fresh().await;
    let key = SecretKey::new("a".repeat(32).into()).unwrap();
    database
        .execute(
            "INSERT INTO api_tokens (id, hash, subject, name, created_at)
             VALUES (gen_random_uuid(), decode(repeat('00', 32), 'hex'), 'user:admin', 'administrator', now())",
        )
        .await;
    let token = "a token".to_owned().into();
    // Changed in the very step in which it was upgraded.
    assert_eq!(hashes(&database, &["b", "a"]).await.unwrap(), key.hash(&token));
    assert_eq!(hashes(&database, &["a"]).await.unwrap_err().field.as_deref(), Some("secret_key"));
}

#[tokio::test]
async fn everything_is_sealed_anew_once_and_the_old_key_is_not_needed_any_more() {
    let database = TestDatabase::fresh().await;
    let hash = hashes(&database, &["a"]).await.unwrap();
    let old = secrets::vault(&ring(&["a"]), Kind::Webhook);
    for at in 0..250 {
        webhook(&database, &old, &format!("secret {at}")).await;
    }
    let lost = secrets::vault(&ring(&["z"]), Kind::Webhook);
    let lost = webhook(&database, &lost, "of a key that is gone").await;

    let access = Access::new(database.database().clone());
    let permit = access.system::<verbs::Administer>("test", Resource::Platform);
    let secrets = Secrets::new(database.database().clone(), ring(&["b", "a"]));
    let usage = secrets.usage(&permit).await.unwrap();
    let told: Vec<_> = usage
        .iter()
        .map(|usage| (usage.is_current, usage.is_given, usage.sealed.get("webhooks").copied()))
        .collect();
    assert_eq!(told, [(true, true, None), (false, true, Some(250)), (false, false, Some(1))]);

    let report = secrets.rotate(&permit).await.unwrap();
    assert_eq!(report.key, ring(&["b"]).current().id());
    assert_eq!((report.resealed["webhooks"], report.resealed["hash key"]), (250, 1));
    assert_eq!(report.unreadable, [("webhooks", lost.to_string())]);
    let again = secrets.rotate(&permit).await.unwrap();
    assert!(again.resealed.is_empty(), "{again:?}");
    assert_eq!((again.already["webhooks"], again.already["hash key"]), (250, 1));

    let mut open: Vec<_> = opened(&database, &["b"]).await.into_iter().flatten().collect();
    open.sort_unstable();
    assert_eq!((open.len(), open[0].as_str()), (250, "secret 0"));
    assert_eq!(opened(&database, &["a"]).await, vec![None; 251]);
    assert_eq!(hashes(&database, &["b"]).await.unwrap(), hash, "tokens are known as before");

    // Each batch is recorded, without a secret.
    let all = Limit::new(Some(100)).unwrap();
    let events = audit::list(database.database(), &audit::Filter::default(), None, all).await;
    let rotated: Vec<_> =
        events.unwrap().items.into_iter().filter(|it| it.change == "secrets.rotated").collect();
    assert_eq!(rotated.len(), 4, "three batches of webhooks, one hash key");
    assert!(rotated.iter().all(|event| !event.detail.to_string().contains("secret ")));
}

#[tokio::test]
async fn processes_that_start_at_once_agree_on_one_hash_key() {
    let database = TestDatabase::fresh().await;
    let all = tokio::join!(
        hashes(&database, &["a"]),
        hashes(&database, &["a"]),
        hashes(&database, &["a"]),
        hashes(&database, &["a"])
    );
    let first = all.0.unwrap();
    assert_eq!([all.1.unwrap(), all.2.unwrap(), all.3.unwrap()], [first; 3]);
}

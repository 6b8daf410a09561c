//! What the schema itself guarantees, whoever writes.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use std::sync::Arc;

use domain::{Action, Actor, AuditEvent, Limit, RequestId, Resource, SystemClock, access::Visible};
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{Change, Database, Error, audit, migrate, models, testing::TestDatabase};

async fn connection(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

fn event(change: &'static str) -> AuditEvent {
    let (actor, resource) = (Actor::user("ana"), Resource::Model("fraud".to_owned()));
    let request_id = RequestId::new();
    AuditEvent::new(actor, Some(Action::Register), resource, change, request_id, json!({}))
}

/// The SQLSTATE that a statement of the application's role ends with.
async fn refusal(url: &str, statement: &'static str) -> Option<String> {
    let mut connection = connection(url).await;
    connection.execute("SET ROLE bottega_app").await.unwrap();
    let refused = connection.execute(statement).await.err()?;
    refused.as_database_error()?.code().map(|code| code.into_owned())
}

#[tokio::test]
async fn the_application_can_append_to_the_audit_trail_and_no_more() {
    let test = TestDatabase::fresh().await;
    Change::begin(test.database()).await.unwrap().commit(&event("model.registered")).await.unwrap();
    const FORBIDDEN: &str = "42501";
    for statement in [
        "UPDATE audit_events SET actor = 'user:nobody'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE alias_history SET actor = 'user:nobody'",
        "DELETE FROM alias_history",
        "DELETE FROM _sqlx_migrations",
        "DROP TABLE models",
        "ALTER TABLE models ADD COLUMN x text",
        "CREATE TABLE mine (x text)",
    ] {
        assert_eq!(refusal(test.url(), statement).await.as_deref(), Some(FORBIDDEN), "{statement}");
    }
    let limit = Limit::new(None).unwrap();
    let events =
        audit::list(test.database(), &audit::Filter::default(), None, limit).await.unwrap();
    assert_eq!(events.items.len(), 1);
}

/// Whatever a later migration grants on all tables.
#[tokio::test]
async fn the_application_may_read_and_append_to_what_is_for_ever_and_no_more() {
    let test = TestDatabase::fresh().await;
    let mut connection = connection(test.url()).await;
    for table in [
        "audit_events",
        "audit_seals",
        "audit_checkpoints",
        "audit_archives",
        "grant_history",
        "endpoint_history",
        "alias_history",
        "stage_history",
    ] {
        for (right, has) in [
            ("SELECT", true),
            ("INSERT", true),
            ("UPDATE", false),
            ("DELETE", false),
            ("TRUNCATE", false),
            ("TRIGGER", false),
        ] {
            let asked = sqlx::query_scalar("SELECT has_table_privilege('bottega_app', $1, $2)");
            let found: bool =
                asked.bind(table).bind(right).fetch_one(&mut connection).await.unwrap();
            assert_eq!(found, has, "{right} on {table}");
        }
    }
}

#[tokio::test]
async fn a_change_that_is_dropped_leaves_neither_row_nor_event() {
    let test = TestDatabase::fresh().await;
    let database = test.database();
    let name = "fraud".parse().unwrap();
    let mut change = Change::begin(database).await.unwrap();
    models::insert(&mut change, &name, "", (&Actor::user("ana"), None), &models::Tags::new())
        .await
        .unwrap();
    change.record(&event("model.registered")).await.unwrap();
    drop(change);
    assert!(models::get(database, &name).await.unwrap().is_none());
    let limit = Limit::new(None).unwrap();
    assert!(
        audit::list(database, &audit::Filter::default(), None, limit)
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test]
async fn rows_that_the_domain_forbids_are_refused_by_constraints() {
    let test = TestDatabase::fresh().await;
    let model = "INSERT INTO models (id, name, owner, created_at, updated_at) VALUES (gen_random_uuid(), 'm', 'user:a', now(), now())";
    connection(test.url()).await.execute(model).await.unwrap();
    const CHECK: &str = "23514";
    const UNIQUE: &str = "23505";
    const FOREIGN: &str = "23503";
    let cases = [
        (
            CHECK,
            "INSERT INTO models (id, name, owner, created_at, updated_at) VALUES (gen_random_uuid(), 'a/b', 'user:a', now(), now())",
        ),
        (UNIQUE, model),
        // Servable, but with nothing to load.
        (
            CHECK,
            "INSERT INTO model_versions (id, model_id, number, digest, size, status, servable, runtime, created_by, created_at, updated_at) SELECT gen_random_uuid(), id, 1, sha256('x'), 1, 'ready', 'yes', 'onnx', 'user:a', now(), now() FROM models",
        ),
        // Not servable, without a reason.
        (
            CHECK,
            "INSERT INTO model_versions (id, model_id, number, digest, size, status, servable, runtime, created_by, created_at, updated_at) SELECT gen_random_uuid(), id, 1, sha256('x'), 1, 'rejected', 'no', 'onnx', 'user:a', now(), now() FROM models",
        ),
        // A file without its blob.
        (
            FOREIGN,
            "INSERT INTO version_files (version_id, path, digest, size) VALUES (gen_random_uuid(), 'a', sha256('x'), 1)",
        ),
        // An endpoint that follows nothing.
        (
            CHECK,
            "INSERT INTO endpoints (id, name, env, model_id, owner, created_at, updated_at) SELECT gen_random_uuid(), 'e', 'production', id, 'user:a', now(), now() FROM models",
        ),
    ];
    for (code, statement) in cases {
        assert_eq!(refusal(test.url(), statement).await.as_deref(), Some(code), "{statement}");
    }
}

#[tokio::test]
async fn migrating_from_many_places_at_once_is_fine_and_repeatable() {
    let test = TestDatabase::fresh().await;
    let mut admin = connection(test.url()).await;
    let name = format!("bottega_test_{}", uuid::Uuid::now_v7().simple());
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let url = url_of(test.url(), &name);
    let all = futures_util::future::join_all((0..8).map(|_| migrate(&url))).await;
    for one in all {
        one.unwrap();
    }
    let database = Database::connect(&url, 2, Arc::new(SystemClock)).await.unwrap();
    assert!(models::get(&database, &"fraud".parse().unwrap()).await.unwrap().is_none());
    database.close().await;
    admin.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
}

/// The same server's URL with another database; where its socket is stands in the query, which stays.
fn url_of(url: &str, name: &str) -> String {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let (server, _) = path.rsplit_once('/').unwrap();
    format!("{server}/{name}?{query}")
}

#[tokio::test]
async fn a_schema_newer_than_the_binary_is_refused() {
    let test = TestDatabase::fresh().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (999999, 'from the future', true, '', 0)";
    connection(test.url()).await.execute(newer).await.unwrap();
    let error = migrate(test.url()).await.unwrap_err();
    assert!(matches!(error, Error::NewerSchema(999_999)), "{error}");
    assert!(error.to_string().contains("newer"), "{error}");
}

#[tokio::test]
async fn lists_are_paged_by_key_and_lose_nothing_while_others_write() {
    let test = TestDatabase::fresh().await;
    let database = test.database();
    let insert = async |name: &str| {
        let mut change = Change::begin(database).await.unwrap();
        let name = name.parse().unwrap();
        models::insert(&mut change, &name, "", (&Actor::user("ana"), None), &models::Tags::new())
            .await
            .unwrap();
        change.commit(&event("model.registered")).await.unwrap();
    };
    for name in ["b", "d", "f", "Ž", "a b"] {
        insert(name).await;
    }
    let limit = Limit::new(Some(2)).unwrap();
    let first = models::list(database, &Visible::everything(), None, None, limit).await.unwrap();
    let names = |page: &domain::Page<models::Model>| {
        page.items.iter().map(|m| m.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(&first), ["a b", "b"]);
    // One before the cursor and one behind it.
    insert("aa").await;
    insert("c").await;
    let second = models::list(database, &Visible::everything(), None, first.next.as_ref(), limit)
        .await
        .unwrap();
    assert_eq!(names(&second), ["c", "d"]);
    let third = models::list(database, &Visible::everything(), None, second.next.as_ref(), limit)
        .await
        .unwrap();
    assert_eq!(names(&third), ["f", "Ž"]);
    assert!(third.next.is_none());
}

#[tokio::test]
async fn a_url_that_is_none_and_a_server_that_is_away_say_so_without_the_password() {
    let clock = || Arc::new(SystemClock);
    let wrong = Database::connect("mysql://u:hush@h/d", 1, clock()).await.err().unwrap();
    let away =
        Database::connect("postgres://u:hush@127.0.0.1:1/d", 1, clock()).await.err().unwrap();
    assert!(away.is_unreachable());
    for error in [wrong, away] {
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
    }
}

//! Kept rows.

use artifacts::{Location, Policy, S3Settings};
use auth::verbs;
use chrono::TimeDelta;
use domain::{
    EndpointRef, ErrorCode, Limit,
    capture::{How, Mask, Settings, Sink as _},
};
use monitor::{
    State,
    captured::{self, Deleted, Filter, Row, Which},
    inferences,
    settings::{self, Edit},
};
use serde_json::json;
use store::capture::{
    failures,
    sketches::{self, Role},
};
use weed::{BUCKET, Weed};

use crate::world::{NEVER, SOON, World, offer, offer_at, record, source, text, then, until};

fn endpoint() -> EndpointRef {
    "fraud".parse().unwrap()
}

fn kept() -> Settings {
    Settings { rate: 1.0, subject: Some("customer".to_owned()), ..Settings::default() }
}

async fn rows_of(state: &State, world: &World, which: Option<Which>) -> Vec<Row> {
    let filter = Filter { which, ..Filter::default() };
    let limit = Limit::new(Some(1000)).unwrap();
    let page = captured::list(state, &world.permit(), &endpoint(), &filter, None, limit).await;
    page.unwrap().items
}

fn inference(id: &str) -> Option<Which> {
    Some(Which::Inference(id.to_owned()))
}

fn subject(value: &str) -> Which {
    Which::Subject(value.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_found_and_deleted_by_inference_and_subject_in_a_folder() {
    found_and_deleted(World::new().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_found_and_deleted_by_inference_and_subject_on_s3() {
    let weed = Weed::start();
    let place = Location::S3 { bucket: BUCKET.to_owned(), prefix: "captured".to_owned() };
    let s3: S3Settings = weed.environment(&[]).into_iter().collect();
    found_and_deleted(World::at(&place, &s3, tempfile::tempdir().unwrap()).await).await;
}

async fn found_and_deleted(world: World) {
    let source = source(kept());
    // Two files.
    for file in 0..2 {
        let running = world.watcher(NEVER).await;
        for at in 0..10 {
            let (id, who) = (format!("i-{file}-{at}"), format!("c-{}", at % 5));
            offer(&running, &source, &id, &who, at as f32);
        }
        let registry = running.stop().await;
        assert!(text(&registry).contains(r#"outcome="kept"} 10"#), "{}", text(&registry));
    }
    let state = world.state();
    let found = rows_of(&state, &world, inference("i-1-7")).await;
    assert_eq!(
        json!(found),
        json!([{
            "inference_id": "i-1-7", "row": 0, "at": "2026-11-17T14:00:07.500Z", "release": 2, "caller": "user:ana",
            "protocol": "v2", "shadow": false, "code": "ok", "latency_us": 250, "model": "fraud", "version": 3,
            "inputs": {"customer": "c-2", "income": 7.0}, "outputs": {"label": 1},
        }])
    );
    assert!(rows_of(&state, &world, inference("i-9-9")).await.is_empty());
    assert_eq!(rows_of(&state, &world, Some(subject("c-2"))).await.len(), 4);
    assert_eq!(rows_of(&state, &world, None).await.len(), 20);

    let permit = world.permit::<verbs::Configure>();
    let deleted = captured::delete(&state, &permit, &endpoint(), &subject("c-2")).await.unwrap();
    assert_eq!(deleted, Deleted { rows: 4, files: 2 });
    assert!(rows_of(&state, &world, Some(subject("c-2"))).await.is_empty());
    assert!(rows_of(&state, &world, inference("i-1-7")).await.is_empty());
    assert_eq!(rows_of(&state, &world, None).await.len(), 16);
    let one = Which::Inference("i-0-0".to_owned());
    let deleted = captured::delete(&state, &permit, &endpoint(), &one).await.unwrap();
    assert_eq!(deleted, Deleted { rows: 1, files: 1 });
    let again = captured::delete(&state, &permit, &endpoint(), &one).await.unwrap();
    assert_eq!(again, Deleted::default());

    // The old files' bytes are gone at once, and no others.
    let at_once = Policy { untouched: TimeDelta::days(1), grace: TimeDelta::hours(1) };
    let report = world.artifacts.collect(at_once).await.unwrap();
    assert_eq!((report.doomed, report.deleted), (0, 3));
    assert_eq!(rows_of(&state, &world, None).await.len(), 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_and_shadows_are_kept_apart_from_what_was_answered() {
    let world = World::new().await;
    let source = source(kept());
    let running = world.watcher(NEVER).await;
    offer(&running, &source, "i", "c-1", 1.0);
    let (invalid, late) = (Some(ErrorCode::Invalid), Some(ErrorCode::Timeout));
    for (shadow, code, decoded) in
        [(true, None, true), (true, late, true), (false, invalid, true), (false, invalid, false)]
    {
        let mut record = record(&source, "i", "c-1", 2.0, then() + TimeDelta::seconds(1));
        (record.shadow, record.code) = (shadow, code);
        if code.is_some() {
            record.outputs.clear();
        }
        if !decoded {
            record.inputs.clear();
        }
        running.watcher.offer(record);
    }
    let registry = running.stop().await;
    let text = text(&registry);
    for line in [r#"outcome="sketched"} 1"#, r#"outcome="shadow"} 1"#, r#"outcome="failed"} 3"#] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    let state = world.state();
    let rows = rows_of(&state, &world, None).await;
    let mut told: Vec<_> = rows
        .iter()
        .map(|row| json!([row["shadow"], row["code"], row["inputs"], row["outputs"]]).to_string())
        .collect();
    told.sort_unstable();
    let inputs = |income| json!({"customer": "c-1", "income": income});
    let mut expected = [
        json!([false, "ok", inputs(1.0), {"label": 1}]),
        json!([true, "ok", inputs(2.0), {"label": 1}]),
        json!([true, "timeout", inputs(2.0), {}]),
        json!([false, "invalid", inputs(2.0), {}]),
        json!([false, "invalid", {}, {}]),
    ]
    .map(|row| row.to_string());
    expected.sort_unstable();
    assert_eq!(told, expected);
    // Of these one answered.
    let found = inferences::get(&state, &world.permit(), &endpoint(), "i").await.unwrap().unwrap();
    assert_eq!((&found.row["shadow"], &found.row["code"]), (&json!(false), &json!("ok")));

    let (since, until) = (then() - TimeDelta::hours(1), then() + TimeDelta::hours(1));
    let failures = failures::list(&world.database, world.endpoint(), since, until).await.unwrap();
    let failures: Vec<_> =
        failures.iter().map(|it| (it.kind.shadow, it.kind.code.as_str(), it.requests)).collect();
    assert_eq!(failures, [(false, "invalid", 2), (true, "timeout", 1)]);
    let columns = sketches::list(&world.database, world.endpoint(), since, until).await.unwrap();
    let rows_of = |role| -> Vec<_> {
        columns.iter().filter(|it| it.key.role == role).map(|it| it.rows).collect()
    };
    assert_eq!((rows_of(Role::Input), rows_of(Role::Output)), (vec![1], vec![1]));
    assert_eq!((rows_of(Role::ShadowInput), rows_of(Role::ShadowOutput)), (vec![1], vec![1]));

    let permit = world.permit::<verbs::Configure>();
    let which = Which::Inference("i".to_owned());
    let deleted = captured::delete(&state, &permit, &endpoint(), &which).await.unwrap();
    assert_eq!(deleted, Deleted { rows: 5, files: 3 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_hold_each_row_once() {
    let world = World::new().await;
    let source = source(kept());
    for file in 0..3 {
        let running = world.watcher(NEVER).await;
        for at in 0..7 {
            let when = then() + TimeDelta::minutes(file);
            offer_at(&running, &source, &format!("i-{file}-{at}"), "c", 1.0, when);
        }
        running.stop().await;
    }
    let state = world.state();
    for size in [1, 3, 7, 20, 21, 22] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let limit = Limit::new(Some(size)).unwrap();
            let permit = world.permit();
            let filter = Filter::default();
            let page =
                captured::list(&state, &permit, &endpoint(), &filter, cursor.as_ref(), limit).await;
            let page = page.unwrap();
            assert!(page.items.len() <= size as usize);
            seen.extend(page.items.iter().map(|row| row["inference_id"].to_string()));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), 21, "by {size}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 21, "by {size}");
    }
    let filter = Filter {
        since: Some(then() + TimeDelta::minutes(1)),
        until: Some(then() + TimeDelta::minutes(2)),
        ..Filter::default()
    };
    let limit = Limit::new(None).unwrap();
    let page = captured::list(&state, &world.permit(), &endpoint(), &filter, None, limit).await;
    let page = page.unwrap();
    assert_eq!(page.items.len(), 7);
    assert!(page.items.iter().all(|row| row["inference_id"].as_str().unwrap().starts_with("i-1-")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_masked_reaches_neither_disk_nor_database() {
    let world = World::new().await;
    let mask = Mask { input: "customer".to_owned(), how: How::Hash };
    let source = source(Settings { masks: vec![mask], ..kept() });
    let running = world.watcher(NEVER).await;
    for at in 0..5 {
        offer(&running, &source, &format!("i-{at}"), "Ana-Maria-Silva", 1.0);
    }
    running.stop().await;
    let files: Vec<_> = std::fs::read_dir(world.folder.path().join("artifacts/blobs"))
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert_eq!(files.len(), 1);
    assert!(!files[0].windows(9).any(|window| window == b"Ana-Maria"));
    let sketches = store::capture::sketches::list(
        &world.database,
        world.endpoint(),
        then() - TimeDelta::hours(1),
        then() + TimeDelta::hours(1),
    );
    let sketches = sketches.await.unwrap();
    assert_eq!(sketches.len(), 2, "who somebody is has no distribution");
    let state = world.state();
    let rows = rows_of(&state, &world, Some(subject("Ana-Maria-Silva"))).await;
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0]["inputs"]["customer"], json!(world.hashes.mask("Ana-Maria-Silva")));
    let permit = world.permit();
    let gone = captured::delete(&state, &permit, &endpoint(), &subject("Ana-Maria-Silva")).await;
    assert_eq!(gone.unwrap(), Deleted { rows: 5, files: 1 });
    assert!(rows_of(&state, &world, None).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_over_the_quota_are_not_kept_and_nothing_is_refused() {
    let world = World::new().await;
    world
        .test
        .execute(
            "INSERT INTO subjects (id, kind, name, skeleton, created_by, created_at)
             VALUES (gen_random_uuid(), 'user', 'ana', 'ana', 'user:root', now());
             INSERT INTO quotas (subject_id, key, value, set_by, set_at)
             SELECT id, 'captured_rows_per_day', 3, 'user:root', now() FROM subjects WHERE name = 'ana'",
        )
        .await;
    let running = world.watcher(NEVER).await;
    let source = source(kept());
    for at in 0..5 {
        offer(&running, &source, &format!("i-{at}"), "c", 1.0);
    }
    let registry = running.stop().await;
    let text = text(&registry);
    for line in [r#"outcome="kept"} 3"#, r#"outcome="over_quota"} 2"#, r#"outcome="sketched"} 5"#] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert_eq!(rows_of(&world.state(), &world, None).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_after_their_endpoints_retention() {
    let world = World::new().await;
    let state = world.state();
    let edit = Edit {
        rate: Some(1.0),
        retention: Some(std::time::Duration::from_secs(86_400)),
        ..Edit::default()
    };
    let set = settings::set(&state, &world.permit(), &endpoint(), edit).await.unwrap();
    assert_eq!((set.revision, set.settings.sketches), (1, true));
    let source = source(set.settings);
    for hours in [30, 1] {
        let running = world.watcher(NEVER).await;
        let at = world.database.now() - TimeDelta::hours(hours);
        offer_at(&running, &source, &format!("h{hours}"), "c", 1.0, at);
        running.stop().await;
    }
    assert_eq!(rows_of(&state, &world, None).await.len(), 2);
    monitor::expire(&state, &world.permit()).await.unwrap();
    monitor::expire(&state, &world.permit()).await.unwrap();
    let left = rows_of(&state, &world, None).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["inference_id"], "h1");
    let policy = Policy { untouched: TimeDelta::days(1), grace: TimeDelta::hours(1) };
    assert_eq!(world.artifacts.collect(policy).await.unwrap().deleted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inference_tells_what_answered_it() {
    let world = World::new().await;
    let running = world.watcher(SOON).await;
    offer(&running, &source(kept()), "i-1", "c", 1.0);
    let state = world.state();
    until("it is kept", async || !inferences::endpoints(&state, "i-1").await.unwrap().is_empty())
        .await;
    let found = inferences::endpoints(&state, "i-1").await.unwrap();
    assert_eq!(found, [endpoint()]);
    let found =
        inferences::get(&state, &world.permit(), &endpoint(), "i-1").await.unwrap().unwrap();
    assert_eq!(found.row["caller"], "user:ana");
    assert!(!found.row.contains_key("inputs") && !found.row.contains_key("outputs"));
    assert_eq!(found.version.unwrap().lineage.run_id.as_deref(), Some("run-9"));
    let release = found.release.unwrap();
    assert_eq!((release.created_by.as_str(), release.request_id.as_str()), ("user:olga", "r-77"));
    let never = inferences::endpoints(&state, "i-2").await.unwrap();
    assert!(never.is_empty());
    assert!(inferences::absent("i-2").hint.unwrap().contains("bottega endpoints capture"));
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_captured_so_is_refused() {
    let world = World::new().await;
    let state = world.state();
    let set = async |edit| settings::set(&state, &world.permit(), &endpoint(), edit).await;
    let field = |result: Result<_, monitor::Error>| {
        domain::Problem::from(result.map(|_: store::capture::Captured| ()).unwrap_err()).field
    };
    let wrong = Edit { rate: Some(2.0), ..Edit::default() };
    assert_eq!(field(set(wrong).await).as_deref(), Some("rate"));
    let late = Edit { rate: Some(0.5), if_revision: Some(4), ..Edit::default() };
    assert_eq!(field(set(late).await).as_deref(), Some("if_revision"));
    let shown = settings::get(&state, &world.permit(), &endpoint()).await.unwrap();
    assert_eq!((shown.revision, shown.settings, shown.set), (0, Settings::default(), None));
    world
        .test
        .execute(
            r#"INSERT INTO endpoint_contracts (endpoint_id, revision, signature, models, set_by, set_at)
               SELECT id, 1, '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}], "outputs": []}',
                      '{}', 'user:ana', now() FROM endpoints"#,
        )
        .await;
    let unknown = Edit { subject: Some("customer".to_owned()), ..Edit::default() };
    assert_eq!(field(set(unknown).await).as_deref(), Some("subject"));
    let mask = Mask { input: "y".to_owned(), how: How::Drop };
    let unknown = Edit { masks: Some(vec![mask]), ..Edit::default() };
    assert_eq!(field(set(unknown).await).as_deref(), Some("masks"));
    let known = Edit { subject: Some("x".to_owned()), ..Edit::default() };
    assert_eq!(set(known).await.unwrap().revision, 1);
    let none = Edit { subject: Some(String::new()), if_revision: Some(1), ..Edit::default() };
    assert_eq!(set(none).await.unwrap().settings.subject, None);
}

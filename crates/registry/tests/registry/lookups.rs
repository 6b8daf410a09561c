//! What an alias points to, asked again and again: out of memory, and right all the same.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use actix_web::{rt::time::timeout, web::Data};
use auth::verbs;
use domain::{AliasName, ModelName};
use futures_util::future::{join, join_all};
use registry::{
    State, aliases,
    rules::Gate,
    versions::{self, Edit},
};
use store::testing::ChaosProxy;
use tokio_util::sync::CancellationToken;

use crate::platform::Platform;

/// How long a test waits for what others tell. It takes some milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hears notices for these registries while that goes on.
pub async fn watched(states: &[&Data<State>], test: impl Future<Output = ()>) {
    let watch = |state| registry::watch(state, CancellationToken::new());
    tokio::select! {
        _ = join_all(states.iter().map(|state| watch(state))) => panic!("a watch ended"),
        () = test => {}
    }
}

/// What a registry says of an alias of `fraud`, as a text that has all of it.
async fn told(platform: &Platform, state: &State, alias: &str) -> String {
    let (model, alias) = ("fraud".parse().unwrap(), alias.parse().unwrap());
    let found = versions::of_alias(state, &platform.permit(), &model, &alias).await.unwrap();
    format!("{found:?}")
}

/// Asks until an answer comes out of memory: it stays as it was when rows change that nobody tells of.
pub async fn remember(platform: &Platform, state: &State, (model, alias): (&str, &str)) {
    let asked: (ModelName, AliasName) = (model.parse().unwrap(), alias.parse().unwrap());
    let remembered = async {
        loop {
            let ask = async || {
                let permit = platform.permit();
                versions::of_alias(state, &permit, &asked.0, &asked.1).await.unwrap().unwrap()
            };
            let before = ask().await;
            platform.execute("UPDATE model_versions SET description = description || '.'").await;
            if ask().await.description == before.description {
                return;
            }
        }
    };
    assert!(timeout(PATIENCE, remembered).await.is_ok(), "answers come out of memory");
}

/// Polls until a version's description is this.
async fn until(platform: &Platform, state: &State, expected: &str) {
    let (model, alias) = ("fraud".parse().unwrap(), "champion".parse().unwrap());
    let seen = async {
        let permit = platform.permit();
        let ask = async || versions::of_alias(state, &permit, &model, &alias).await;
        // The database may be away for a moment.
        while !matches!(ask().await, Ok(Some(found)) if found.description == expected) {
            actix_web::rt::time::sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(timeout(PATIENCE, seen).await.is_ok(), "what another process wrote is seen");
}

async fn describe(platform: &Platform, state: &State, version: i32, text: &str) {
    let permit = platform.permit_to::<verbs::Edit>("fraud");
    let edit = Edit { description: Some(text.to_owned()), ..Edit::default() };
    versions::update(state, &permit, &"fraud".parse().unwrap(), version, edit).await.unwrap();
}

async fn promote(platform: &Platform, state: &State, alias: &str, version: i32) {
    let permit = platform.permit_to::<verbs::Promote>("fraud");
    let (model, alias) = ("fraud".parse().unwrap(), alias.parse().unwrap());
    let gate = Gate::Closed;
    aliases::promote(state, &permit, gate, &model, &alias, version, None).await.unwrap();
}

/// So many versions of `fraud`, and `champion` on the first.
async fn fraud(versions: u8) -> Platform {
    let platform = Platform::start().await;
    for seed in 1..=versions {
        platform.register("fraud", seed).await;
    }
    promote(&platform, &platform.state, "champion", 1).await;
    platform
}

#[actix_web::test]
async fn nothing_is_remembered_where_nobody_hears_notices() {
    let platform = fraud(1).await;
    for n in 0..3 {
        platform.execute(&format!("UPDATE model_versions SET description = '{n}'")).await;
        until(&platform, &platform.state, &n.to_string()).await;
        let told = told(&platform, &platform.state, "champion").await;
        assert!(told.contains(&format!("description: \"{n}\"")), "{told}");
    }
}

#[actix_web::test]
async fn an_answer_is_never_older_than_the_last_write_that_was_acknowledged() {
    const WRITERS: i32 = 4;
    const WRITES: u32 = 40;
    let platform = fraud(8).await;
    let state = &platform.state;
    Box::pin(watched(&[state], async {
        // Each writer has an alias and two versions of its own, and numbers its writes.
        let acknowledged: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU32::new(0))).collect();
        for writer in 0..WRITERS {
            describe(&platform, state, 2 * writer + 1, "0").await;
            promote(&platform, state, &format!("alias-{writer}"), 2 * writer + 1).await;
        }
        remember(&platform, state, ("fraud", "champion")).await;
        let write = async |writer: i32| {
            let (alias, done) =
                (format!("alias-{writer}"), &acknowledged[usize::try_from(writer).unwrap()]);
            for n in 1..=WRITES {
                let version = 2 * writer + 1 + i32::from(n % 2 == 1);
                describe(&platform, state, version, &n.to_string()).await;
                promote(&platform, state, &alias, version).await;
                done.store(n, Ordering::SeqCst);
                actix_web::rt::task::yield_now().await;
            }
        };
        let read = async |reader: i32| {
            for writer in (0..WRITERS).cycle().skip(usize::try_from(reader).unwrap()) {
                let done = &acknowledged[usize::try_from(writer).unwrap()];
                let at_least = done.load(Ordering::SeqCst);
                let alias = format!("alias-{writer}").parse().unwrap();
                let model = "fraud".parse().unwrap();
                let permit = platform.permit();
                let found =
                    versions::of_alias(state, &permit, &model, &alias).await.unwrap().unwrap();
                // The dots are from before the first write.
                let n: u32 = found.description.trim_end_matches('.').parse().unwrap();
                assert!(n >= at_least, "{alias}: {n}, after {at_least} was acknowledged");
                if acknowledged.iter().all(|done| done.load(Ordering::SeqCst) == WRITES) {
                    return;
                }
                actix_web::rt::task::yield_now().await;
            }
        };
        join(join_all((0..WRITERS).map(write)), join_all((0..WRITERS).map(read))).await;
    }))
    .await;
}

#[actix_web::test]
async fn what_one_process_writes_the_other_tells_soon() {
    let platform = fraud(1).await;
    let (ours, theirs) = (&platform.state, platform.another(platform.url()).await);
    Box::pin(watched(&[ours, &theirs], async {
        remember(&platform, ours, ("fraud", "champion")).await;
        remember(&platform, &theirs, ("fraud", "champion")).await;
        for n in 0..20 {
            let (writer, reader) = if n % 2 == 0 { (ours, &theirs) } else { (&theirs, ours) };
            describe(&platform, writer, 1, &n.to_string()).await;
            let told = told(&platform, writer, "champion").await;
            assert!(told.contains(&format!("description: \"{n}\"")), "{told}");
            until(&platform, reader, &n.to_string()).await;
        }
        remember(&platform, &theirs, ("fraud", "champion")).await;
    }))
    .await;
}

#[actix_web::test]
async fn a_listener_that_is_killed_leaves_nothing_stale_behind() {
    let platform = fraud(1).await;
    let (ours, theirs) = (&platform.state, platform.another(platform.url()).await);
    Box::pin(watched(&[ours, &theirs], async {
        for n in 0..5 {
            remember(&platform, ours, ("fraud", "champion")).await;
            remember(&platform, &theirs, ("fraud", "champion")).await;
            // A session that listens has asked for the number of its process last.
            platform
                .execute(
                    "DO $$ BEGIN
                         ASSERT (SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                                   AND query LIKE 'SELECT pg_backend_pid() AS%') >= 2;
                     END $$",
                )
                .await;
            describe(&platform, ours, 1, &n.to_string()).await;
            let told = told(&platform, ours, "champion").await;
            assert!(told.contains(&format!("description: \"{n}\"")), "{told}");
            until(&platform, &theirs, &n.to_string()).await;
        }
    }))
    .await;
}

#[actix_web::test]
async fn a_process_that_is_cut_off_forgets() {
    let platform = fraud(1).await;
    let (proxy, url) = ChaosProxy::to(platform.url()).await;
    let theirs = platform.another(&url).await;
    Box::pin(watched(&[&theirs], async {
        for n in 0..3 {
            remember(&platform, &theirs, ("fraud", "champion")).await;
            proxy.cut();
            describe(&platform, &platform.state, 1, &n.to_string()).await;
            proxy.restore();
            until(&platform, &theirs, &n.to_string()).await;
        }
    }))
    .await;
}

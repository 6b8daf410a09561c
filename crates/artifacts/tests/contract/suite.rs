//! The promises, one case each.

use std::{future::Future, pin::Pin};

use artifacts::{Error, Policy, Report};
use bytes::Bytes;
use chrono::TimeDelta;
use domain::{Digest, ErrorCode, Problem};
use futures_util::{StreamExt as _, stream};
use store::blobs;

use crate::{
    places::Place,
    world::{World, bytes, chunks, halting, read},
};

const MIB: usize = 1 << 20;

type Case = fn(World) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs every case in a place of its own.
pub(crate) async fn run(place: impl Fn(&str) -> Place) {
    macro_rules! cases {
        ($($case:ident),* $(,)?) => {
            [$((stringify!($case), (|world| Box::pin($case(world))) as Case)),*]
        };
    }
    for (name, case) in cases![
        a_good_place_passes_its_check,
        what_goes_in_comes_out,
        what_is_not_here_is_missing,
        bytes_of_another_digest_are_refused_and_leave_nothing,
        a_broken_body_leaves_nothing,
        the_same_bytes_are_kept_once,
        a_range_is_read_exactly,
        damaged_bytes_are_never_served_whole_and_healed_by_an_upload,
        an_object_cut_short_or_gone_is_damaged,
        a_fetched_file_is_whole_or_absent,
        what_a_version_names_is_kept,
        collected_objects_stay_for_a_grace,
        a_dead_upload_is_cleared_away,
        an_upload_that_lost_its_lease_keeps_nothing,
        collectors_do_not_disturb_each_other,
        an_object_that_is_gone_already_counts_as_deleted,
        a_shorter_grace_holds_for_what_is_doomed_already,
        a_collector_that_dies_is_taken_up_by_the_next,
    ] {
        println!("case: {name}");
        case(World::new(place(name)).await).await;
    }
}

async fn a_good_place_passes_its_check(world: World) {
    world.artifacts.check().await.unwrap();
    world.artifacts.ping(std::time::Duration::from_secs(5)).await.unwrap();
    assert!(world.place.keys().await.is_empty(), "the probe is deleted");
}

async fn what_goes_in_comes_out(world: World) {
    // Around the sizes of parts and chunks, too.
    for (seed, length) in
        [0, 1, 100, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1, 8 * MIB, 8 * MIB + 1, 20 * MIB]
            .into_iter()
            .enumerate()
    {
        let bytes = bytes(length, seed as u64);
        let stored = world.push(&bytes).await;
        assert_eq!(stored.digest, Digest::of(&bytes));
        assert_eq!((stored.size, stored.existed), (length as u64, false));
        assert!(
            world.pull(&stored.digest).await.unwrap() == bytes,
            "{length} bytes came out changed"
        );
    }
}

async fn what_is_not_here_is_missing(world: World) {
    let here = world.push(b"here").await.digest;
    let [first, second] = [Digest::of(b"first"), Digest::of(b"second")];
    let missing = world.artifacts.missing(&[first, here, second]).await.unwrap();
    assert_eq!(missing, [first, second]);
    let problem = Problem::from(world.pull(&first).await.unwrap_err());
    assert_eq!(problem.code, ErrorCode::NotFound);
}

async fn bytes_of_another_digest_are_refused_and_leave_nothing(world: World) {
    for length in [5, 20 * MIB] {
        let bytes = bytes(length, 1);
        let (expected, actual) = (Digest::of(b"other"), Digest::of(&bytes));
        let upload = world.upload(Some(expected), chunks(&bytes, 70_000));
        let problem = Problem::from(upload.await.unwrap_err());
        assert_eq!((problem.code, problem.field.as_deref()), (ErrorCode::Invalid, Some("digest")));
        assert!(problem.message.contains(&expected.to_string()), "{problem}");
        assert!(problem.message.contains(&actual.to_string()), "{problem}");
        nothing_is_left(&world, &[expected, actual]).await;
    }
}

async fn a_broken_body_leaves_nothing(world: World) {
    for length in [5, 17 * MIB] {
        let bytes = bytes(length, 2);
        let broken = stream::iter([Err(Problem::invalid("body", "the body ended early"))]);
        let body = chunks(&bytes, 70_000).chain(broken);
        let error = world.upload(None, body).await.unwrap_err();
        assert_eq!(Problem::from(error), Problem::invalid("body", "the body ended early"));
        nothing_is_left(&world, &[Digest::of(&bytes)]).await;
    }
}

async fn nothing_is_left(world: &World, digests: &[Digest]) {
    assert!(world.place.keys().await.is_empty(), "objects are deleted at once");
    for digest in digests {
        assert_eq!(blobs::get(world.database(), digest).await.unwrap(), None);
    }
    world.collect().await;
    assert_eq!(world.collect().await, Report::default(), "no row of it is left");
}

async fn the_same_bytes_are_kept_once(world: World) {
    for length in [9, 9 * MIB] {
        let bytes = bytes(length, 3);
        let before = world.place.keys().await.len();
        let (first, second) = (world.push(&bytes).await, world.push(&bytes).await);
        assert_eq!((first.existed, second.existed), (false, true));
        world.collect().await;
        assert_eq!(world.place.keys().await.len(), before + 1);
        assert!(world.pull(&first.digest).await.unwrap() == bytes);
    }
}

async fn a_range_is_read_exactly(world: World) {
    let bytes = bytes(20 * MIB, 4);
    let digest = world.push(&bytes).await.digest;
    let length = bytes.len();
    for range in [0..1, 0..length, 5..5, 300_000..900_001, length - 1..length, length..length] {
        let (start, end) = (range.start as u64, range.end as u64);
        let download = world.artifacts.open_range(&digest, start..end).await.unwrap();
        assert_eq!(download.size, end - start);
        let (part, ended) = read(download).await;
        ended.unwrap();
        assert!(part == bytes[range], "bytes {start} to {end} came out changed");
    }
    #[expect(clippy::reversed_empty_ranges, reason = "it is what must be refused")]
    for wrong in [0..length as u64 + 1, 7..6] {
        let Err(error) = world.artifacts.open_range(&digest, wrong).await else {
            panic!("read a range that is not there")
        };
        assert_eq!(Problem::from(error).field.as_deref(), Some("range"));
    }
}

async fn damaged_bytes_are_never_served_whole_and_healed_by_an_upload(world: World) {
    for length in [1, 3 * MIB, 20 * MIB] {
        let bytes = bytes(length, 5);
        let digest = world.push(&bytes).await.digest;
        let mut damaged = bytes.clone();
        damaged[length / 2] ^= 1;
        let key = world.place.only_key().await;
        world.place.overwrite(&key, damaged).await;

        let (served, ended) = read(world.artifacts.open(&digest).await.unwrap()).await;
        assert!(matches!(ended, Err(Error::Damaged(which)) if which == digest));
        assert!(served.len() < length, "a reader that counts would take it for whole");

        let problem = Problem::from(world.pull(&digest).await.unwrap_err());
        assert_eq!(problem.code, ErrorCode::Unavailable);
        assert_eq!(problem.hint.as_deref(), Some("push the same file again to repair it"));
        assert_eq!(world.artifacts.missing(&[digest]).await.unwrap(), [digest]);

        assert!(!world.push(&bytes).await.existed);
        assert!(world.pull(&digest).await.unwrap() == bytes);
        world.collect().await;
        assert_ne!(world.place.only_key().await, key, "the damaged object is deleted");
        clear(&world).await;
    }
}

async fn an_object_cut_short_or_gone_is_damaged(world: World) {
    for gone in [false, true] {
        let bytes = bytes(MIB, 6);
        let digest = world.push(&bytes).await.digest;
        let key = world.place.only_key().await;
        if gone {
            world.place.remove(&key).await;
        } else {
            world.place.overwrite(&key, bytes[..MIB - 1].to_vec()).await;
        }
        assert!(matches!(world.artifacts.open_range(&digest, 0..9).await, Err(Error::Damaged(_))));
        assert!(matches!(world.artifacts.open(&digest).await, Err(Error::Damaged(_))));
        assert!(!world.push(&bytes).await.existed);
        assert!(world.pull(&digest).await.unwrap() == bytes);
        clear(&world).await;
    }
}

/// Lets everything that no version names be collected.
async fn clear(world: &World) {
    world.wait(TimeDelta::days(2));
    world.collect().await;
    world.wait(TimeDelta::hours(2));
    world.collect().await;
    assert!(world.place.keys().await.is_empty());
}

async fn a_fetched_file_is_whole_or_absent(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let names = || std::fs::read_dir(folder.path()).unwrap().count();
    let bytes = bytes(3 * MIB + 1, 7);
    let digest = world.push(&bytes).await.digest;

    let to = folder.path().join("model.onnx");
    assert_eq!(world.artifacts.fetch(&digest, &to).await.unwrap(), bytes.len() as u64);
    assert!(std::fs::read(&to).unwrap() == bytes);
    assert_eq!(names(), 1);

    let mut damaged = bytes.clone();
    *damaged.last_mut().unwrap() ^= 1;
    world.place.overwrite(&world.place.only_key().await, damaged).await;
    let fetched = world.artifacts.fetch(&digest, &folder.path().join("other")).await;
    assert!(matches!(fetched, Err(Error::Damaged(_))));
    assert_eq!(names(), 1, "nothing unfinished is left beside it");
}

async fn what_a_version_names_is_kept(world: World) {
    let (named, unnamed) = (world.push(b"named").await, world.push(b"unnamed").await);
    let version = world.register(&named).await;

    world.wait(TimeDelta::hours(23));
    assert_eq!(world.collect().await, Report::default(), "its version may be on its way");
    assert!(world.artifacts.missing(&[unnamed.digest]).await.unwrap().is_empty());
    world.wait(TimeDelta::hours(2));
    assert_eq!(world.collect().await, Report::default(), "it was asked for two hours ago");

    world.wait(TimeDelta::hours(23));
    assert_eq!(world.collect().await.doomed, 1);
    assert!(matches!(world.pull(&unnamed.digest).await, Err(Error::Refused(_))));
    assert_eq!(world.pull(&named.digest).await.unwrap(), b"named");

    world.delete(version).await;
    assert_eq!(world.collect().await.doomed, 1);
    assert_eq!(world.artifacts.missing(&[named.digest]).await.unwrap(), [named.digest]);
}

async fn collected_objects_stay_for_a_grace(world: World) {
    let content = bytes(3 * MIB, 8);
    let digest = world.push(&content).await.digest;
    world.wait(TimeDelta::hours(25));
    let reader = world.artifacts.open(&digest).await.unwrap();
    assert_eq!(world.collect().await, Report { doomed: 1, ..Report::default() });
    let (read, ended) = read(reader).await;
    ended.unwrap();
    assert!(read == content, "who had found it could read it");

    let again = world.push(&content).await;
    assert!(!again.existed);
    world.wait(TimeDelta::minutes(61));
    let freed = content.len() as u64;
    let deleted = Report { deleted: 1, bytes: freed, ..Report::default() };
    assert_eq!(world.collect().await, deleted);
    assert!(world.pull(&digest).await.unwrap() == content, "the new object is another");
    assert_eq!(world.collect().await, Report::default());
}

async fn a_dead_upload_is_cleared_away(world: World) {
    let (body, taken, _end) = halting(&bytes(30 * MIB, 9));
    // Dropped in the middle of the bytes, as if the process were killed.
    tokio::select! {
        _ = world.upload(None, body) => panic!("the body has no end"),
        taken = taken => taken.unwrap(),
    }
    assert_eq!(world.collect().await, Report::default(), "its lease is not over");

    world.wait(TimeDelta::minutes(3));
    blobs::expire_uploads(world.database()).await.unwrap();
    let [doomed] = blobs::due(world.database(), 9).await.unwrap().try_into().unwrap();
    let key = doomed.key.to_string();
    assert_eq!(world.collect().await, Report { deleted: 1, ..Report::default() });
    assert!(world.place.keys().await.is_empty());
    assert_eq!(doomed.multipart_id.is_some(), world.place.takes_parts());
    if let Some(id) = doomed.multipart_id {
        assert!(!world.place.has_parts(&key, &id).await, "the parts are given back");
    }
}

async fn an_upload_that_lost_its_lease_keeps_nothing(world: World) {
    for length in [9, 20 * MIB] {
        let (body, taken, end) = halting(&bytes(length, 10));
        let collected = async {
            taken.await.unwrap();
            world.wait(TimeDelta::minutes(3));
            let report = world.collect().await;
            end.send(Bytes::from_static(b"the end")).unwrap();
            report
        };
        let (upload, report) = tokio::join!(world.upload(None, body), collected);
        assert_eq!(report, Report { expired: 1, deleted: 1, ..Report::default() });
        assert!(upload.is_err());
        assert!(world.place.keys().await.is_empty(), "{length}: nobody would delete it any more");
        assert_eq!(world.collect().await, Report::default());
    }
}

async fn collectors_do_not_disturb_each_other(world: World) {
    for seed in 0..20 {
        world.push(&bytes(100, 1000 + seed)).await;
    }
    world.wait(TimeDelta::hours(25));
    let (one, other) = tokio::join!(world.collect(), world.collect());
    assert_eq!(one.doomed + other.doomed, 20);
    world.wait(TimeDelta::hours(2));
    let (one, other) = tokio::join!(world.collect(), world.collect());
    assert_eq!((one.deleted + other.deleted, one.bytes + other.bytes), (20, 2000));
    assert!(world.place.keys().await.is_empty());
    assert_eq!(world.collect().await, Report::default());
}

async fn an_object_that_is_gone_already_counts_as_deleted(world: World) {
    world.push(&bytes(100, 11)).await;
    world.wait(TimeDelta::hours(25));
    world.collect().await;
    world.place.remove(&world.place.only_key().await).await;
    world.wait(TimeDelta::hours(2));
    let deleted = Report { deleted: 1, bytes: 100, ..Report::default() };
    assert_eq!(world.collect().await, deleted);
    assert_eq!(world.collect().await, Report::default());
}

async fn a_shorter_grace_holds_for_what_is_doomed_already(world: World) {
    world.push(&bytes(100, 12)).await;
    world.wait(TimeDelta::hours(25));
    assert_eq!(world.collect().await.doomed, 1);
    let at_once = Policy { untouched: TimeDelta::hours(24), grace: TimeDelta::zero() };
    assert_eq!(world.artifacts.collect(at_once).await.unwrap().bytes, 100);
    assert!(world.place.keys().await.is_empty());
}

/// Each stop between two steps of a collection leaves what the next one needs.
async fn a_collector_that_dies_is_taken_up_by_the_next(world: World) {
    let kept = world.push(b"kept").await;
    world.register(&kept).await;
    for seed in 0..3 {
        world.push(&bytes(100, 2000 + seed)).await;
    }
    world.wait(TimeDelta::hours(25));
    let now = world.database().now();
    // It died after the rows were gone and before any object was.
    blobs::collect(world.database(), now, TimeDelta::zero(), 2).await.unwrap();
    assert_eq!(world.place.keys().await.len(), 4);
    // It died after an object was gone and before that was noted.
    let due = blobs::due(world.database(), 1).await.unwrap();
    world.place.remove(&due[0].key.to_string()).await;
    let at_once = Policy { grace: TimeDelta::zero(), ..Policy::default() };
    let report = world.artifacts.collect(at_once).await.unwrap();
    assert_eq!((report.doomed, report.deleted, report.bytes), (1, 3, 300));
    assert_eq!(world.place.keys().await.len(), 1);
    assert_eq!(world.pull(&kept.digest).await.unwrap(), b"kept");
    assert_eq!(world.collect().await, Report::default());
}

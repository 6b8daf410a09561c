//! Many webhooks, many deliveries and many processes at once: nobody waits for another, and nothing
//! is told twice at the same time.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use notify::webhooks::{self, Edit};
use store::webhooks::deliveries::claim;
use tokio_util::sync::CancellationToken;

use crate::platform::{ALIASES, Manners, Platform, Receiver, pair, told};

const LEASE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_receiver_is_left_alone_for_as_long_as_it_asks() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, None).await;
    receiver.answer(&[429, 503]);
    receiver.behave(Manners { retry_after: Some("900"), length: 3 << 20, ..Manners::default() });
    platform.moved("fraud", 1).await;
    for heard in 1..=3 {
        platform.work().await;
        assert_eq!(receiver.heard().len(), heard);
        platform.later(TimeDelta::seconds(899));
        assert_eq!(platform.work().await, 0, "too early");
        platform.later(TimeDelta::seconds(1));
    }
    assert_eq!(platform.deliveries(id, Some("delivered")).await.len(), 1);
}

#[tokio::test]
async fn of_an_answer_only_the_beginning_is_kept() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let id = platform.webhook(&url, ALIASES, None).await;
    receiver.behave(Manners { length: 5 << 20, ..Manners::default() });
    let tested = webhooks::test(&platform.state, &platform.permit, id, None).await.unwrap();
    assert!(tested.success);
    assert_eq!(tested.body.unwrap().len(), 4096);
}

#[tokio::test]
async fn what_waits_for_a_deleted_webhook_vanishes() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    let (gone, stays) =
        (platform.webhook(&url, ALIASES, None).await, platform.webhook(&url, ALIASES, None).await);
    receiver.answer(&[503, 503]);
    platform.moved("fraud", 1).await;
    platform.work().await;
    // One of them is out when its webhook is deleted.
    platform.later(TimeDelta::seconds(13));
    let database = platform.database.database();
    let out = claim(database, LEASE, 10).await.unwrap();
    assert_eq!(out.len(), 2);
    webhooks::delete(&platform.state, &platform.permit, gone).await.unwrap();
    let outcome = store::webhooks::deliveries::Outcome::Delivered;
    for claimed in out.iter().filter(|claimed| claimed.webhook == gone) {
        let finish = store::webhooks::deliveries::finish;
        finish(database, claimed, &outcome, Some(200), None).await.unwrap();
    }
    platform.later(TimeDelta::seconds(61));
    platform.work().await;
    assert_eq!(receiver.heard().len(), 3, "each once, and again for the one that is left");
    assert_eq!(platform.deliveries(stays, Some("delivered")).await.len(), 1);
    let absent = webhooks::get(&platform.state, &platform.permit, gone).await;
    assert!(absent.is_err());
}

#[tokio::test]
async fn what_waits_goes_to_the_new_url_signed_with_the_new_secret() {
    let platform = Platform::start().await;
    let (before, old) = Receiver::start();
    let (after, new) = Receiver::start();
    let id = platform.webhook(&old, ALIASES, Some("old")).await;
    before.answer(&[503]);
    platform.moved("fraud", 1).await;
    platform.work().await;
    let edit = async |edit| {
        webhooks::update(&platform.state, &platform.permit, id, edit).await.unwrap();
    };
    edit(Edit { url: Some(new), secret: Some("new".to_owned().into()), ..Edit::default() }).await;
    platform.later(TimeDelta::seconds(13));
    platform.work().await;
    assert_eq!((before.heard().len(), after.heard().len()), (1, 1));
    let signatures = [&before, &after].map(|receiver| receiver.heard()[0].signature.clone());
    assert!(signatures.iter().all(Option::is_some));
    // The time is in it too, so the same secret again tells the difference.
    edit(Edit { secret: Some(String::new().into()), ..Edit::default() }).await;
    platform.moved("fraud", 2).await;
    platform.work().await;
    assert_eq!(after.heard()[1].signature, None);
}

#[tokio::test]
async fn a_backlog_leaves_room_for_the_deliveries_of_others() {
    let platform = Platform::start().await;
    let (_, url) = Receiver::start();
    let busy = platform.webhook(&url, ALIASES, None).await;
    // Ten thousand of one model, and as many of other models.
    let backlog = format!(
        "INSERT INTO webhook_deliveries (id, webhook_id, entity, action, resource, body, state, next_try_at, created_at)
         SELECT gen_random_uuid(), '{busy}', 'model_version_alias', 'created',
                'model:' || CASE WHEN n % 2 = 0 THEN 'one' ELSE n::text END,
                '{{\"data\": {{}}}}', 'pending', to_timestamp(1700000000), to_timestamp(1700000000)
         FROM generate_series(1, 20000) n"
    );
    platform.database.execute(&backlog).await;
    let mut others = BTreeSet::new();
    for _ in 0..20 {
        others.insert(platform.webhook(&url, ALIASES, None).await.to_string());
    }
    platform.moved("fraud", 1).await;
    platform.readable().await;
    let database = platform.database.database();
    store::webhooks::feed::advance(database, notify::events::tell).await.unwrap();
    // As many as there are webhooks: each has its turn before anybody has another.
    let first = claim(database, LEASE, 21).await.unwrap();
    let webhooks: BTreeSet<_> = first.iter().map(|claimed| claimed.webhook.to_string()).collect();
    others.insert(busy.to_string());
    assert_eq!((first.len(), webhooks), (21, others));
    // One receiver holds no more than four at once, whatever waits for it.
    let rest = claim(database, LEASE, 1000).await.unwrap();
    let of_busy = rest.iter().filter(|claimed| claimed.webhook == busy).count();
    assert_eq!((rest.len(), of_busy), (3, 3));
    assert!(claim(database, LEASE, 1000).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_slow_receiver_holds_up_nobody_else() {
    let platform = Platform::start().await;
    let (slow, slow_url) = Receiver::start();
    let (quick, quick_url) = Receiver::start();
    // It answers long after everybody else has.
    slow.behave(Manners { pause: Duration::from_secs(3600), ..Manners::default() });
    for _ in 0..3 {
        platform.webhook(&slow_url, ALIASES, None).await;
    }
    platform.webhook(&quick_url, ALIASES, None).await;
    for model in ["a", "b", "c", "d", "e", "f"] {
        platform.moved(model, 1).await;
    }
    platform.readable().await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(notify::run(Arc::clone(&platform.state), stop.clone()));
    until(|| quick.heard().len() == 6).await;
    stop.cancel();
    running.await.unwrap();
    assert!(slow.heard().len() <= 12, "four at once for each of three");
}

#[tokio::test]
async fn processes_that_share_a_database_never_tell_the_same_at_once() {
    let platform = Platform::start().await;
    let (receiver, url) = Receiver::start();
    platform.webhook(&url, ALIASES, Some("hush")).await;
    // Long enough for another process to come by.
    receiver.behave(Manners { pause: Duration::from_millis(30), ..Manners::default() });
    for version in 1..=8 {
        for model in ["fraud", "churn", "spam"] {
            platform.moved(model, version).await;
        }
    }
    platform.readable().await;
    let stop = CancellationToken::new();
    let mut processes = Vec::new();
    for _ in 0..4 {
        let state = platform.another().await;
        processes.push(tokio::spawn(notify::run(state, stop.clone())));
    }
    until(|| receiver.heard().len() >= 24).await;
    stop.cancel();
    for process in processes {
        process.await.unwrap();
    }
    let ids: BTreeSet<_> = receiver.heard().into_iter().map(|heard| heard.id).collect();
    assert_eq!((ids.len(), receiver.heard().len(), receiver.overlaps()), (24, 24, 0));
    for model in ["fraud", "churn", "spam"] {
        let versions: Vec<_> =
            told(&receiver).into_iter().filter(|(name, _)| name == model).collect();
        let expected: Vec<_> = (1..=8).map(|version| pair(model, &version.to_string())).collect();
        assert_eq!(versions, expected);
    }
}

/// Waits for something, and fails where it does not come.
async fn until(holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it did not come to that");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! What a search finds, in which order, and page by page.

#![expect(clippy::unwrap_used, reason = "these are tests")]

use domain::{
    access::Visible,
    search::{Fingerprint, Subject, filter, order},
    tracking::{ExperimentId, RunId},
};
use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{
    Database,
    search::{Search, View, find},
    testing::TestDatabase,
    tracking::points,
};
use uuid::Uuid;

/// Six runs: 1 to 4 with a metric of 3, NaN, 1 and infinity; 5 without one; 6 deleted.
const RUNS: &str = "
    INSERT INTO runs (id, experiment_id, name, status, start_time, artifact_uri, owner, created_at, updated_at, deleted_at)
    SELECT lpad(n::text, 32, '0')::uuid, 0, 'run ' || n, 'FINISHED', CASE n WHEN 2 THEN NULL ELSE n % 3 END,
           'mlflow-artifacts:/0', 'user:ana', now(), now(), CASE n WHEN 6 THEN now() END
    FROM generate_series(1, 6) n;
    INSERT INTO run_metrics (run_id, key, value, timestamp, step)
    SELECT lpad(n::text, 32, '0')::uuid, 'a', v, 0, 0
    FROM (VALUES (1, 3.0), (2, 'NaN'), (3, 1.0), (4, 'Infinity'), (6, 2.0)) AS of (n, v);
    INSERT INTO run_params (run_id, key, value)
    SELECT lpad(n::text, 32, '0')::uuid, 'p', 'v_' || n FROM generate_series(1, 3) n;
    INSERT INTO run_tags (run_id, key, value) VALUES (lpad('1', 32, '0')::uuid, 't', 'Team'), (lpad('5', 32, '0')::uuid, 't', '50%')";

async fn filled() -> TestDatabase {
    let test = TestDatabase::fresh().await;
    let mut connection = PgConnection::connect(test.url()).await.unwrap();
    connection.execute(RUNS).await.unwrap();
    test
}

fn search(text: &str, by: &[&str]) -> Search {
    let by: Vec<String> = by.iter().map(|clause| (*clause).to_owned()).collect();
    let sorts = order(Subject::Runs, &by).unwrap();
    Search {
        subject: Subject::Runs,
        experiments: vec![ExperimentId(0)],
        view: View::Active,
        conditions: filter(Subject::Runs, text).unwrap(),
        datasets: Vec::new(),
        order: sorts.into_iter().map(|sort| (sort, None)).collect(),
        after: None,
        limit: 100,
    }
}

async fn numbers(database: &Database, search: &Search) -> Vec<u128> {
    let found = find::<Uuid>(database, &Visible::everything(), search).await.unwrap();
    found.ids.iter().map(|id| format!("{:x}", id.as_u128()).parse().unwrap()).collect()
}

#[tokio::test]
async fn runs_come_in_the_order_that_mlflow_gives_them() {
    let test = filled().await;
    for (by, expected) in [
        (&[][..], vec![5, 1, 4, 3, 2]),
        (&["metrics.a"], vec![3, 1, 4, 2, 5]),
        (&["metrics.a DESC"], vec![4, 1, 3, 2, 5]),
        (&["params.p DESC"], vec![3, 2, 1, 5, 4]),
        (&["start_time ASC"], vec![3, 1, 4, 5, 2]),
        (&["run_id DESC"], vec![5, 4, 3, 2, 1]),
    ] {
        assert_eq!(numbers(test.database(), &search("", by)).await, expected, "{by:?}");
    }
    for (text, by, expected) in [
        ("metrics.a >= 1", "metrics.a DESC", vec![4, 1, 3]),
        ("metrics.a != 3", "metrics.a DESC", vec![4, 3, 2]),
        ("params.p LIKE 'v%'", "metrics.a", vec![3, 1, 2]),
        ("params.p IS NULL", "metrics.a", vec![4, 5]),
    ] {
        let search = search(text, &[by]);
        assert_eq!(numbers(test.database(), &search).await, expected, "{text} {by}");
    }
}

#[tokio::test]
async fn filters_find_what_mlflow_finds() {
    let test = filled().await;
    for (text, expected) in [
        ("metrics.a > 0", vec![1, 3, 4]),
        ("metrics.a != 3", vec![2, 3, 4]),
        ("metrics.a <= 1.0", vec![3]),
        ("params.p = 'v_1'", vec![1]),
        ("params.p LIKE 'v\\_%'", vec![]),
        ("params.p LIKE 'v_%\\'", vec![]),
        ("params.p != 'v_1'", vec![2, 3]),
        ("params.p IS NULL", vec![4, 5]),
        ("tags.t ILIKE 'team'", vec![1]),
        ("tags.t LIKE 'team'", vec![]),
        ("run_id IN ('00000000000000000000000000000003', 'x')", vec![3]),
        ("start_time > 0.5 AND run_name LIKE 'run%'", vec![1, 4, 5]),
        ("params.p = '''; DROP TABLE runs; --'", vec![]),
    ] {
        let mut found = numbers(test.database(), &search(text, &[])).await;
        found.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}

#[tokio::test]
async fn long_values_are_told_apart_behind_the_beginning_that_is_indexed() {
    let test = filled().await;
    let beginning = "ä".repeat(99);
    let values = [beginning.clone(), format!("{beginning}x"), format!("{beginning}xy")];
    for (n, value) in values.iter().enumerate() {
        let run = n + 1;
        test.execute(&format!(
            "INSERT INTO run_tags (run_id, key, value) VALUES (lpad('{run}', 32, '0')::uuid, 'long', '{value}')"
        ))
        .await;
    }
    for (n, value) in values.iter().enumerate() {
        let search = search(&format!("tags.long = '{value}'"), &[]);
        assert_eq!(numbers(test.database(), &search).await, [n as u128 + 1]);
    }
}

#[tokio::test]
async fn pages_hold_every_run_once_in_every_order() {
    let test = filled().await;
    for (text, by) in [
        ("", &[][..]),
        ("", &["metrics.a"]),
        ("", &["metrics.a DESC"]),
        ("", &["start_time ASC"]),
        ("", &["params.p DESC", "status"]),
        ("", &["status", "metrics.a DESC"]),
        ("metrics.a != 3", &["metrics.a DESC"]),
        ("metrics.a > 0", &["metrics.a"]),
    ] {
        let whole = numbers(test.database(), &search(text, by)).await;
        for limit in 1..=3 {
            let mut search = Search { limit, ..search(text, by) };
            let mut pages = Vec::new();
            loop {
                pages.extend(numbers(test.database(), &search).await);
                let Some(next) = find::<Uuid>(test.database(), &Visible::everything(), &search)
                    .await
                    .unwrap()
                    .next
                else {
                    break;
                };
                let fingerprint = Fingerprint::of(&by);
                let token = fingerprint.token(&next);
                search.after = Some(fingerprint.position(&token, next.len()).unwrap());
            }
            assert_eq!(pages, whole, "{text} {by:?}, {limit} at a time");
        }
    }
}

#[tokio::test]
async fn a_sample_is_even_and_keeps_the_last_point() {
    let test = filled().await;
    let mut connection = PgConnection::connect(test.url()).await.unwrap();
    connection
        .execute(
            "INSERT INTO metric_points (series, step, timestamp, value)
             SELECT series, n, 0, n FROM run_metrics, generate_series(0, 10) n WHERE value = 3",
        )
        .await
        .unwrap();
    let run = RunId(Uuid::from_u128(1));
    for (range, most, expected) in [
        (None, 20, (0..=10).collect::<Vec<i64>>()),
        (None, 4, vec![0, 3, 6, 10]),
        (None, 1, vec![10]),
        (Some((2, 5)), 2, vec![2, 5]),
    ] {
        let points = points::sample(test.database(), &[run], "a", range, most).await.unwrap();
        let steps: Vec<i64> = points.iter().map(|point| point.step).collect();
        assert_eq!(steps, expected, "{range:?} {most}");
    }
}

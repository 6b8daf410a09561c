//! `/models/{name}/versions`

use std::time::{Duration, Instant};

use domain::Digest;
use futures_util::future::join_all;
use serde_json::{Value, json};
use store::versions::TrialOutcome;

use crate::{
    onnx,
    platform::{Platform, versions_of},
};

fn rejected() -> TrialOutcome {
    TrialOutcome::Rejected { reason: "it crashed".to_owned() }
}

#[actix_web::test]
async fn a_version_is_registered_with_all_that_its_file_says() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::model(1)).await;
    let example =
        json!({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [[1, 2]]}]});
    let new = json!({
        "files": [file], "description": "d", "tags": {"k": "v"}, "lineage": {"git_commit": "abc"},
        "input_example": example, "alias": "challenger",
    });
    let answer = platform.post(&versions_of("credit risk"), new).await;
    assert_eq!(answer.header("location"), "/api/v1/models/credit%20risk/versions/1");
    let made = answer.expect(201);
    assert_eq!((&made["created"], &made["version"]), (&json!(true), &json!(1)));
    let facts = [
        ("status", "pending"),
        ("servable", "checking"),
        ("runtime", "onnx"),
        ("model_file", "model.onnx"),
        ("created_by", "user:admin"),
        ("stage", "None"),
        ("model", "credit risk"),
    ];
    for (field, expected) in facts {
        assert_eq!(made[field], expected, "{field}");
    }
    assert_eq!(
        made["signature"]["inputs"][0],
        json!({"name": "x", "datatype": "FP32", "shape": ["batch", 2]})
    );
    assert_eq!(made["onnx"]["operators"], json!(["Identity"]));
    assert_eq!(
        (&made["onnx"]["opset"], &made["input_example"]),
        (&json!({"ai.onnx": 21}), &example)
    );
    assert_eq!(
        (&made["aliases"], &made["lineage"]),
        (&json!(["challenger"]), &json!({"git_commit": "abc"}))
    );

    let mut shown = platform.get("/models/credit%20risk/versions/1").await.expect(200);
    shown["created"] = json!(true);
    assert_eq!(shown, made);
    let events = ["model.registered", "alias.moved", "version.registered"];
    assert_eq!(platform.recorded().await, events.map(|it| format!("{it} model:credit risk")));
}

#[actix_web::test]
async fn the_same_files_again_are_the_same_version() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::model(1)).await;
    let new = json!({"files": [file]});
    let first = platform.post(&versions_of("fraud"), new.clone()).await.expect(201);
    let recorded = platform.recorded().await;
    let again = platform.post(&versions_of("fraud"), new.clone()).await.expect(200);
    assert_eq!((&again["created"], &again["version"]), (&json!(false), &first["version"]));
    assert_eq!(platform.recorded().await, recorded, "nothing changed, so nothing is recorded");

    let mut aliased = new.clone();
    aliased["alias"] = json!("champion");
    let again = platform.post(&versions_of("fraud"), aliased).await.expect(200);
    assert_eq!((&again["created"], &again["aliases"]), (&json!(false), &json!(["champion"])));

    let mut forced = new;
    forced["force"] = json!(true);
    let forced = platform.post(&versions_of("fraud"), forced).await.expect(201);
    assert_eq!((&forced["version"], &forced["digest"]), (&json!(2), &first["digest"]));
}

#[actix_web::test]
async fn a_rejected_version_counts_unless_the_same_files_were_taken_later() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::model(1)).await;
    let push = |force: bool| {
        platform.post("/models/fraud/versions", json!({"files": [file], "force": force}))
    };
    assert_eq!(push(false).await.expect(201)["version"], 1);
    platform.end_trial("fraud", 1, rejected()).await;
    let again = push(false).await.expect(200);
    assert_eq!((&again["version"], &again["status"]), (&json!(1), &json!("rejected")));
    assert_eq!(again["reason"], "it crashed");
    push(true).await.expect(201);
    push(true).await.expect(201);
    platform.end_trial("fraud", 3, rejected()).await;
    assert_eq!(push(false).await.expect(200)["version"], 2, "the newest that is not rejected");
}

#[actix_web::test]
async fn twenty_pushes_of_the_same_bytes_at_once_make_one_version() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::model(1)).await;
    let push = || platform.post("/models/fraud/versions", json!({"files": [file]}));
    let answers = join_all((0..20).map(|_| push())).await;
    let created = answers.iter().filter(|answer| answer.status.as_u16() == 201).count();
    assert_eq!(created, 1);
    assert!(answers.iter().all(|answer| answer.json()["version"] == 1));
    assert_eq!(platform.recorded().await.len(), 2);
}

#[actix_web::test]
async fn twenty_pushes_of_different_bytes_at_once_are_numbered_without_gaps() {
    let platform = Platform::start().await;
    let mut numbers = join_all((0..20).map(|seed| platform.register("fraud", seed))).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let recorded = platform.recorded().await;
    let count = |change: &str| recorded.iter().filter(|it| it.starts_with(change)).count();
    assert_eq!((count("model.registered"), count("version.registered")), (1, 20));
}

#[actix_web::test]
async fn files_that_are_not_here_as_they_are_said_to_be_are_refused_by_path() {
    let platform = Platform::start().await;
    let (file, absent) =
        (platform.file("model.onnx", &onnx::model(1)).await, Digest::of(b"absent"));
    let mut short = file.clone();
    short["size"] = json!(3);
    let (digest, size) = (file["digest"].as_str().unwrap(), file["size"].as_u64().unwrap());
    for (files, message) in [
        (
            json!([file, {"path": "data/w.bin", "digest": absent, "size": 6}]),
            format!("the bytes of `data/w.bin` ({absent}) are not here"),
        ),
        (json!([short]), format!("`model.onnx` has {size} bytes here ({digest}), not 3")),
        (json!([]), "0 files: expected 1 to 10000".to_owned()),
        (json!([file, file]), "the path `model.onnx` stands twice".to_owned()),
    ] {
        let refused = platform.post("/models/fraud/versions", json!({"files": files})).await;
        assert_eq!(refused.refusal(400, Some("files")), message);
    }
    let escaping = json!({"files": [{"path": "../x", "digest": absent, "size": 6}]});
    let refused = platform.post("/models/fraud/versions", escaping).await;
    assert!(refused.refusal(400, Some("files[0].path")).contains("`..`"));
    platform.get("/models/fraud").await.expect(404);
    assert!(platform.recorded().await.is_empty());
}

#[actix_web::test]
async fn a_model_file_that_cannot_be_read_is_refused() {
    let platform = Platform::start().await;
    let cut = &onnx::model(1)[..20];
    for (content, message) in [
        (&b"not a model"[..], "`model.onnx`: the model file is not ONNX"),
        (cut, "`model.onnx`: the ONNX file ends early, at byte 20"),
        (b"", "`model.onnx`: the model file is empty"),
    ] {
        let file = platform.file("model.onnx", content).await;
        let refused = platform.post("/models/fraud/versions", json!({"files": [file]})).await;
        let found = refused.refusal(400, Some("files"));
        assert!(found.starts_with(message), "{found}");
    }
    platform.get("/models/fraud").await.expect(404);
}

#[actix_web::test]
async fn a_name_that_no_row_can_keep_is_the_files_mistake() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::with_output("y\0")).await;
    platform.post("/models/fraud/versions", json!({"files": [file]})).await.expect(400);
    platform.get("/models/fraud").await.expect(404);
}

#[actix_web::test]
async fn which_of_several_model_files_is_meant_must_be_said() {
    let platform = Platform::start().await;
    let content = onnx::model(1);
    let (a, b) = (platform.file("a.onnx", &content).await, platform.file("b.ONNX", &content).await);
    let refused = platform.post("/models/fraud/versions", json!({"files": [a, b]})).await;
    let message = refused.refusal(400, Some("files"));
    assert_eq!(message, "2 files end in .onnx: `a.onnx`, `b.ONNX`");
    let named = platform.file("model.onnx", &content).await;
    let taken = platform.post("/models/fraud/versions", json!({"files": [a, b, named]})).await;
    assert_eq!(taken.expect(201)["model_file"], "model.onnx");
}

#[actix_web::test]
async fn files_without_a_model_are_kept_but_not_served() {
    let platform = Platform::start().await;
    let file = platform.file("model.pkl", b"pickle").await;
    let made = platform.post("/models/fraud/versions", json!({"files": [file]})).await.expect(201);
    assert_eq!(
        (&made["status"], &made["servable"], &made["runtime"]),
        (&json!("ready"), &json!("no"), &json!("none"))
    );
    assert_eq!(made["reason"], "no runtime here can serve it: it holds no .onnx file");
}

#[actix_web::test]
async fn a_model_whose_tensors_are_none_is_kept_with_the_reason() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::with_sequence_of_maps()).await;
    let made = platform.post("/models/fraud/versions", json!({"files": [file]})).await.expect(201);
    assert_eq!((&made["status"], &made["servable"]), (&json!("ready"), &json!("no")));
    assert!(made["reason"].as_str().unwrap().contains("zipmap=False"), "{made}");
}

#[actix_web::test]
async fn weights_beside_the_model_must_be_given() {
    let platform = Platform::start().await;
    let file = platform.file("net/model.onnx", &onnx::with_weights_in("w.bin")).await;
    let refused = platform.post("/models/fraud/versions", json!({"files": [file]})).await;
    let message = refused.refusal(400, Some("files"));
    assert_eq!(message, "`net/model.onnx` keeps weights in files that are not given: `net/w.bin`");
    let weights = platform.file("net/w.bin", b"1234").await;
    platform.post("/models/fraud/versions", json!({"files": [file, weights]})).await.expect(201);
    let escaping = platform.file("model.onnx", &onnx::with_weights_in("../../etc/passwd")).await;
    let refused = platform.post("/models/fraud/versions", json!({"files": [escaping]})).await;
    assert!(refused.refusal(400, Some("files")).contains(".."));
}

#[actix_web::test]
async fn a_signature_may_name_dimensions_but_must_fit_the_file() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::model(1)).await;
    let signature = |rows: Value, datatype: &str| {
        let spec = |name: &str| json!({"name": name, "datatype": datatype, "shape": [rows, 2]});
        json!({"files": [file], "signature": {"inputs": [spec("x")], "outputs": [spec("y")]}})
    };
    let path = "/models/fraud/versions";
    let refused = platform.post(path, signature(json!("rows"), "FP64")).await;
    assert!(refused.refusal(400, Some("signature.inputs")).contains("does not fit the file's"));
    let refused = platform.post(path, signature(json!(-2), "FP32")).await;
    assert_eq!(refused.refusal(400, Some("signature.inputs")), "the shape of `x` holds -2");
    let refused = platform.post(path, signature(json!(1.5), "FP32")).await;
    let field = "signature.inputs[0].shape[0]";
    assert_eq!(refused.refusal(400, Some(field)), "expected a size, a name, or -1 for any size");
    let made = platform.post(path, signature(json!("rows"), "FP32")).await.expect(201);
    assert_eq!(made["signature"]["inputs"][0]["shape"], json!(["rows", 2]));
}

#[actix_web::test]
async fn an_example_that_does_not_fit_is_refused() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::model(1)).await;
    let example =
        json!({"inputs": [{"name": "z", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]});
    let new = json!({"files": [file], "input_example": example});
    let refused = platform.post("/models/fraud/versions", new).await;
    let message = refused.refusal(400, Some("input_example"));
    assert!(message.contains("input `x` is missing"), "{message}");
}

#[actix_web::test]
async fn unknown_fields_are_refused_by_name() {
    let platform = Platform::start().await;
    let file = platform.file("model.onnx", &onnx::model(1)).await;
    for (extra, field) in [
        (json!({"files": [file], "baseline": {}}), "baseline"),
        (json!({"files": [file], "lineage": {"runid": "x"}}), "lineage.runid"),
        (json!({"files": [file], "alias": "v3"}), "alias"),
        (
            json!({"files": [file], "lineage": {"git_commit": "x".repeat(501)}}),
            "lineage.git_commit",
        ),
    ] {
        platform.post("/models/fraud/versions", extra).await.refusal(400, Some(field));
    }
}

#[actix_web::test]
async fn versions_are_listed_newest_first_in_pages() {
    let platform = Platform::start().await;
    for seed in 0..3 {
        platform.register("fraud", seed).await;
    }
    let numbers = |page: &Value| -> Vec<i64> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|item| item["version"].as_i64().unwrap()).collect()
    };
    let first = platform.get("/models/fraud/versions?limit=2").await.expect(200);
    assert_eq!(numbers(&first), [3, 2]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = platform.get(&format!("/models/fraud/versions?cursor={cursor}")).await.expect(200);
    assert_eq!(numbers(&second), [1]);
}

#[actix_web::test]
async fn a_version_that_is_not_there_says_which_are() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    platform.register("fraud", 2).await;
    let message = "`fraud` has no version 9: its newest are `2`, `1`";
    for refused in [
        platform.get("/models/fraud/versions/9").await,
        platform.patch("/models/fraud/versions/9", json!({})).await,
        platform.delete("/models/fraud/versions/9").await,
        platform.put("/models/fraud/aliases/champion", json!({"version": 9})).await,
        platform.put("/endpoints/fraud", json!({"model": "fraud/9"})).await,
    ] {
        assert_eq!(refused.refusal(404, Some("version")), message);
    }
    let refused = platform.get("/models/fraud/versions/three").await;
    assert!(refused.refusal(400, Some("version")).starts_with("`three`"));
}

#[actix_web::test]
async fn a_versions_words_change_but_never_its_files() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    let path = "/models/fraud/versions/1";
    let before = platform.get(path).await.expect(200);
    let edit = json!({"description": "new", "tags": {"a": "b"}});
    let after = platform.patch(path, edit).await.expect(200);
    assert_eq!((&after["description"], &after["tags"]), (&json!("new"), &json!({"a": "b"})));
    assert_eq!(after["digest"], before["digest"]);
    let refused = platform.patch(path, json!({"stage": "Live"})).await;
    assert!(refused.refusal(400, Some("stage")).contains("unknown field"), "stages move elsewhere");
    platform.patch(path, json!({"files": []})).await.refusal(400, Some("files"));
    assert_eq!(platform.recorded().await.last().unwrap(), "version.edited model:fraud");
}

#[actix_web::test]
async fn a_version_that_is_needed_is_not_deleted_and_its_number_never_comes_back() {
    let platform = Platform::start().await;
    platform.servable("fraud", 1).await;
    platform.servable("fraud", 2).await;
    platform.put("/models/fraud/aliases/champion", json!({"version": 2})).await.expect(200);
    platform.live("scoring", "fraud/1").await;
    let refused = platform.delete("/models/fraud/versions/2").await;
    assert_eq!(refused.refusal(409, None), "`fraud/2` is needed by `alias champion`");
    let refused = platform.delete("/models/fraud/versions/1").await;
    assert_eq!(refused.refusal(409, None), "`fraud/1` is needed by `endpoint scoring`");
    platform.delete("/models/fraud/aliases/champion").await.expect(204);
    platform.delete("/models/fraud/versions/2").await.expect(204);
    assert_eq!(platform.recorded().await.last().unwrap(), "version.deleted model:fraud");
    assert_eq!(platform.register("fraud", 3).await, 3);
}

#[actix_web::test]
async fn a_long_poll_answers_when_the_trial_is_over() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let watcher = {
        let (state, stop) = (platform.state.clone(), stop.clone());
        actix_web::rt::spawn(async move { registry::watch(&state, stop).await })
    };
    let begun = Instant::now();
    let poll = platform.get("/models/fraud/versions/1?wait=20");
    let work = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        platform.end_trial("fraud", 1, TrialOutcome::Ready { batchable: false }).await;
    };
    let (answer, ()) = tokio::join!(poll, work);
    assert_eq!(answer.expect(200)["status"], "ready");
    let waited = begun.elapsed();
    assert!(waited > Duration::from_millis(300) && waited < Duration::from_secs(5), "{waited:?}");
    stop.cancel();
    watcher.await.unwrap();
}

#[actix_web::test]
async fn a_long_poll_ends_when_its_time_is_over_or_the_process_stops() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    let begun = Instant::now();
    let answer = platform.get("/models/fraud/versions/1?wait=1").await;
    assert_eq!(answer.expect(200)["status"], "pending");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let refused = platform.get("/models/fraud/versions/1?wait=61").await;
    assert_eq!(refused.refusal(400, Some("wait")), "`wait` is 61: expected at most 60 seconds");

    let stop = tokio_util::sync::CancellationToken::new();
    let poll = platform.get("/models/fraud/versions/1?wait=60");
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        stop.cancel();
        registry::watch(&platform.state, stop.clone()).await;
    };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(poll, stopping);
    assert_eq!(answer.expect(200)["status"], "pending");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[actix_web::test]
async fn tags_that_an_edit_changes_are_told_one_by_one() {
    let platform = Platform::start().await;
    platform.register("fraud", 1).await;
    let path = "/models/fraud/versions/1";
    let tags = json!({"tags": {"kept": "a", "changed": "b", "gone": "c"}});
    platform.patch(path, tags).await.expect(200);
    platform.execute("DELETE FROM outbox").await;
    let tags = json!({"tags": {"kept": "a", "changed": "B", "new": "d"}});
    platform.patch(path, tags).await.expect(200);
    platform
        .execute(
            "DO $$ BEGIN ASSERT (
                SELECT array_agg(concat_ws(' ', topic, payload->>'version', payload->>'key', payload->>'value') ORDER BY id)
                FROM outbox WHERE resource = 'model:fraud' AND topic LIKE 'version_tag.%'
             ) = ARRAY['version_tag.deleted 1 gone', 'version_tag.set 1 changed B', 'version_tag.set 1 new d'];
             END $$",
        )
        .await;
    platform.patch(path, json!({"description": "d"})).await.expect(200);
    platform
        .execute("DO $$ BEGIN ASSERT (SELECT count(*) FROM outbox WHERE topic LIKE 'version_tag.%') = 3; END $$")
        .await;
}

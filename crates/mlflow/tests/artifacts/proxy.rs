//! `/mlflow-artifacts/artifacts`, and the files of runs.

use actix_web::{
    body::BodySize,
    http::{Method, header},
    test::TestRequest,
};
use artifacts::Outside;
use domain::{Digest, ErrorCode, Problem};
use serde_json::json;
use weed::Weed;

use crate::platform::Platform;

/// What the proxy promises, held to on a folder, one test each, and on S3, all in one, since a
/// server takes a second to start.
macro_rules! wherever_files_lie {
    ($($case:ident),* $(,)?) => {
        mod on_a_folder {
            $(
                #[actix_web::test]
                async fn $case() {
                    super::$case(super::Platform::start().await).await;
                }
            )*
        }

        #[actix_web::test]
        async fn the_same_on_s3() {
            let weed = Weed::start();
            $(
                println!("case: {}", stringify!($case));
                $case(Platform::on(&weed, stringify!($case), Outside::Same).await).await;
            )*
        }
    };
}

wherever_files_lie! {
    a_file_goes_in_and_comes_out_whole_in_part_or_not_at_all,
    a_later_file_takes_the_place_of_an_earlier_one,
    an_upload_that_breaks_off_leaves_what_was_there,
    a_listing_has_names_relative_to_the_folder_and_a_file_has_none,
    the_files_of_a_run_are_listed_by_paths_from_its_root,
    no_path_leads_out_of_an_experiment_in_any_encoding,
    files_lie_only_where_an_experiment_keeps_them,
    a_path_is_a_file_or_a_folder_never_both,
    deleting_takes_a_file_or_a_whole_folder_and_may_be_repeated,
    what_a_path_names_is_not_collected_and_what_none_names_is,
    a_folder_is_found_by_every_form_of_uri,
    a_page_gets_a_file_of_a_run_or_a_model_by_its_path_from_the_root,
}

async fn a_file_goes_in_and_comes_out_whole_in_part_or_not_at_all(platform: Platform) {
    assert_eq!(
        platform.put("0/r/artifacts/a%20b/%C3%BC.txt", "abcdef").await.expect(200),
        json!({})
    );
    let get = || Platform::file(Method::GET, "0/r/artifacts/a%20b/%C3%BC.txt");
    let whole = platform.send(get()).await;
    assert_eq!((whole.status.as_u16(), &whole.body[..]), (200, &b"abcdef"[..]));
    assert_eq!(whole.header("content-type"), "text/plain");
    assert_eq!(whole.header("etag"), format!("\"{}\"", Digest::of(b"abcdef")));
    assert!(whole.header("content-disposition").starts_with("attachment; filename*=UTF-8''%C3%BC"));

    let part = platform.send(get().insert_header(("range", "bytes=2-3"))).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"cd"[..]));
    assert_eq!(part.header("content-range"), "bytes 2-3/6");
    let outside = platform.send(get().insert_header(("range", "bytes=6-"))).await;
    assert!(outside.refusal(416, "INVALID_PARAMETER_VALUE").contains("6 bytes"));
    assert_eq!(outside.header("content-range"), "bytes */6");
    let etag = whole.header("etag").to_owned();
    let same = platform.send(get().insert_header((header::IF_NONE_MATCH, etag))).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));

    let head = platform.send(get().method(Method::HEAD)).await;
    assert_eq!((head.status.as_u16(), head.length), (200, BodySize::Sized(6)));
}

async fn a_later_file_takes_the_place_of_an_earlier_one(platform: Platform) {
    platform.put("0/r/x", "old").await.expect(200);
    platform.put("0/r/x", "newer").await.expect(200);
    assert_eq!(&platform.send(Platform::file(Method::GET, "0/r/x")).await.body[..], b"newer");
}

async fn an_upload_that_breaks_off_leaves_what_was_there(platform: Platform) {
    platform.put("0/r/x", "old").await.expect(200);
    for path in ["0/r/x", "0/r/y"] {
        let refused = platform.break_off(Platform::file(Method::PUT, path), "new").await;
        refused.refusal(400, "INVALID_PARAMETER_VALUE");
    }
    assert_eq!(&platform.send(Platform::file(Method::GET, "0/r/x")).await.body[..], b"old");
    let absent = platform.send(Platform::file(Method::GET, "0/r/y")).await;
    absent.refusal(404, "RESOURCE_DOES_NOT_EXIST");
}

async fn a_listing_has_names_relative_to_the_folder_and_a_file_has_none(platform: Platform) {
    for path in
        ["0/r/artifacts/b/c/d.txt", "0/r/artifacts/a.txt", "0/r/artifacts/b/e.txt", "0/r0/z"]
    {
        platform.put(path, "abc").await.expect(200);
    }
    platform.put("0/r/artifacts/empty", "").await.expect(200);
    let list = async |path: &str| {
        platform.get(&format!("mlflow-artifacts/artifacts?path={path}")).await.expect(200)
    };
    let expected = json!({"files": [
        {"path": "a.txt", "is_dir": false, "file_size": 3},
        {"path": "b", "is_dir": true},
        {"path": "empty", "is_dir": false},
    ]});
    assert_eq!(list("0/r/artifacts").await, expected);
    assert_eq!(list("0%2Fr%2Fartifacts%2F").await, expected);
    let below = list("0/r/artifacts/b").await;
    assert_eq!(below["files"][0], json!({"path": "c", "is_dir": true}));
    for nothing in ["0/r/artifacts/a.txt", "0/nowhere", "0/r/art"] {
        assert_eq!(list(nothing).await, json!({}), "{nothing}");
    }
}

async fn the_files_of_a_run_are_listed_by_paths_from_its_root(platform: Platform) {
    let run = platform.run().await;
    platform.put(&format!("0/{run}/artifacts/m/MLmodel"), "x").await.expect(200);
    let list = async |query: &str| platform.get(&format!("mlflow/artifacts/list?{query}")).await;
    let root = format!("mlflow-artifacts:/0/{run}/artifacts");
    let answer = list(&format!("run_id={run}&path=m")).await.expect(200);
    let files = json!([{"path": "m/MLmodel", "is_dir": false, "file_size": 1}]);
    assert_eq!(answer, json!({"root_uri": root, "files": files}));
    let answer = list(&format!("run_uuid={run}&path=m/MLmodel")).await.expect(200);
    assert_eq!(answer, json!({"root_uri": root}));
    for path in ["..", "m/..", "%2e%2e", "%252e%252e", "/etc", "m//x", "a%5Cb"] {
        let refused = list(&format!("run_id={run}&path={path}")).await;
        refused.refusal(400, "INVALID_PARAMETER_VALUE");
    }
    list("run_id=nothing").await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    list("").await.refusal(400, "INVALID_PARAMETER_VALUE");
}

async fn no_path_leads_out_of_an_experiment_in_any_encoding(platform: Platform) {
    platform.put("0/a", "secret").await.expect(200);
    for path in [
        "0/../0/a",
        "0/%2e%2e/0/a",
        "0/%252e%252e/0/a",
        "0/%25252e%25252e/0/a",
        "..%2f0%2fa",
        "/0/a",
        "%2F0%2Fa",
        "0//a",
        "0/./a",
        "0%5Ca",
        "0%255Ca",
        "0/a%00",
        "0/a%2500",
        "0/a%23b",
        "C:/a",
        "0/%2e",
    ] {
        for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE] {
            let answer = platform.send(Platform::file(method.clone(), path)).await;
            assert_eq!(answer.status.as_u16(), 400, "{method} {path}: {:?}", answer.body);
        }
        let refused = platform.send(Platform::file(Method::GET, path)).await;
        let message = refused.refusal(400, "INVALID_PARAMETER_VALUE");
        assert!(message.starts_with("Invalid path"), "{path}: {message}");
    }
    assert_eq!(&platform.send(Platform::file(Method::GET, "0/a")).await.body[..], b"secret");
}

async fn files_lie_only_where_an_experiment_keeps_them(platform: Platform) {
    for path in ["77/r/x", "loose.txt", "00/x"] {
        let refused = platform.put(path, "x").await;
        let message = refused.refusal(404, "RESOURCE_DOES_NOT_EXIST");
        assert!(message.contains("no experiment"), "{message}");
    }
    platform.get("mlflow-artifacts/artifacts").await.refusal(400, "INVALID_PARAMETER_VALUE");
}

async fn a_path_is_a_file_or_a_folder_never_both(platform: Platform) {
    platform.put("0/r/a/b", "x").await.expect(200);
    for path in ["0/r/a", "0/r", "0/r/a/b/c"] {
        let refused = platform.put(path, "x").await;
        let message = refused.refusal(400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains("file and a folder"), "{message}");
    }
    platform
        .send(Platform::file(Method::GET, "0/r/a"))
        .await
        .refusal(404, "RESOURCE_DOES_NOT_EXIST");
}

async fn deleting_takes_a_file_or_a_whole_folder_and_may_be_repeated(platform: Platform) {
    for path in ["0/r/a/b", "0/r/a/c/d", "0/r/ab", "0/r/a0"] {
        platform.put(path, "x").await.expect(200);
    }
    for _ in 0..2 {
        let gone = platform.send(Platform::file(Method::DELETE, "0/r/a")).await;
        assert_eq!(gone.expect(200), json!({}));
    }
    let left = platform.get("mlflow-artifacts/artifacts?path=0/r").await.expect(200);
    let names: Vec<_> = left["files"].as_array().unwrap().iter().map(|it| &it["path"]).collect();
    assert_eq!(names, ["a0", "ab"]);
}

async fn what_a_path_names_is_not_collected_and_what_none_names_is(platform: Platform) {
    platform.put("0/r/x", "kept").await.expect(200);
    platform.put("0/r/y", "kept").await.expect(200);
    platform.send(Platform::file(Method::DELETE, "0/r/y")).await.expect(200);
    assert_eq!(platform.collect().await, 0);
    assert_eq!(&platform.send(Platform::file(Method::GET, "0/r/x")).await.body[..], b"kept");
    platform.send(Platform::file(Method::DELETE, "0/r/x")).await.expect(200);
    assert_eq!(platform.collect().await, 1);
}

async fn a_folder_is_found_by_every_form_of_uri(platform: Platform) {
    let run = platform.run().await;
    let model = platform.logged_model(json!({"name": "named", "source_run_id": run})).await;
    platform.put(&format!("0/{run}/artifacts/m/sub/f"), "in the run").await.expect(200);
    platform.put(&format!("0/models/{model}/artifacts/MLmodel"), "x").await.expect(200);
    for (uri, expected) in [
        (format!("runs:/{run}/m"), "sub/f"),
        (format!("runs:/{run}"), "m/sub/f"),
        (format!("mlflow-artifacts:/0/{run}/artifacts/m/sub"), "f"),
        (format!("mlflow-artifacts://host:80/0/{run}/artifacts/m/sub/"), "f"),
        (format!("runs:/{run}/m/sub/f"), "f"),
        (format!("mlflow-artifacts:/0/{run}/artifacts/m/sub/f"), "f"),
        (format!("models:/{model}"), "MLmodel"),
        (format!("runs:/{run}/named"), "MLmodel"),
    ] {
        let found = platform.folder(&uri).await.unwrap();
        let paths: Vec<_> = found.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, [expected], "{uri}");
    }
    assert_eq!(platform.folder(&format!("runs:/{run}/nothing")).await.unwrap(), []);
    for (uri, code) in [
        ("runs:/0123/m", ErrorCode::NotFound),
        ("models:/m-0123", ErrorCode::NotFound),
        ("s3://bucket/m", ErrorCode::Invalid),
        ("mlflow-artifacts:/0/../m", ErrorCode::Invalid),
        ("/etc/passwd", ErrorCode::Invalid),
        ("", ErrorCode::Invalid),
    ] {
        let problem = Problem::from(platform.folder(uri).await.unwrap_err());
        assert_eq!(problem.code, code, "{uri}: {}", problem.message);
    }
}

#[actix_web::test]
async fn ways_around_the_server_are_refused_in_the_words_that_clients_fall_back_on() {
    let platform = Platform::start().await;
    for part in ["create", "complete", "abort"] {
        let path = format!("/api/2.0/mlflow-artifacts/mpu/{part}/0/r/artifacts");
        let request = TestRequest::post().uri(&path).set_json(json!({"path": "x", "num_parts": 2}));
        let message = platform.send(request).await.refusal(501, "NOT_IMPLEMENTED");
        let known = "Multipart upload is not supported for the current artifact repository";
        assert!(message.starts_with(known), "{message}");
    }
    platform.get("mlflow-artifacts/presigned/0/r/x").await.refusal(501, "NOT_IMPLEMENTED");
    platform
        .get("mlflow-artifacts/presigned/0/%2e%2e")
        .await
        .refusal(400, "INVALID_PARAMETER_VALUE");
    let info = platform.send(TestRequest::get().uri("/api/3.0/mlflow/server-info")).await;
    let info = info.expect(200);
    assert_eq!(info["multipart_uploads_enabled"], false);
    assert_eq!(info["multipart_downloads_enabled"], false);
    for (path, expected) in [("/health", "OK"), ("/version", "3.17.2")] {
        let answer = platform.send(TestRequest::get().uri(path)).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, expected.as_bytes()));
    }
}

async fn a_page_gets_a_file_of_a_run_or_a_model_by_its_path_from_the_root(platform: Platform) {
    let run = platform.run().await;
    let model = platform.logged_model(json!({})).await;
    platform.put(&format!("0/{run}/artifacts/a/x.png"), "run").await.expect(200);
    platform.put(&format!("0/models/{model}/artifacts/a/x.html"), "model").await.expect(200);
    let uri = format!("/get-artifact?run_uuid={run}&path=a/x.png");
    let file = platform.send(TestRequest::get().uri(&uri)).await;
    assert_eq!((file.header("content-type"), &file.body[..]), ("image/png", &b"run"[..]));
    let files = format!("mlflow/logged-models/{model}/artifacts/files?artifact_file_path=a/x.html");
    let file = platform.get(&files).await;
    assert_eq!(&file.body[..], b"model");
    // What a stranger uploaded never runs in a browser.
    assert_eq!(file.header("content-security-policy"), "sandbox");
    assert!(file.header("content-disposition").starts_with("attachment"));
    let send = async |size: usize, path: &str| {
        let uri = format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}");
        platform.send(TestRequest::post().uri(&uri).set_payload(vec![b'x'; size])).await
    };
    send(10 << 20, "from/page.bin").await.expect(200);
    let uri = format!("/get-artifact?run_uuid={run}&path=from/page.bin");
    assert_eq!(platform.send(TestRequest::get().uri(&uri)).await.body.len(), 10 << 20);
    send((10 << 20) + 1, "x").await.refusal(400, "INVALID_PARAMETER_VALUE");
    send(1, "../x").await.refusal(400, "INVALID_PARAMETER_VALUE");
    send(1, "").await.refusal(400, "INVALID_PARAMETER_VALUE");

    let model = json!({"name": "fraud"});
    platform.call(Method::POST, "registered-models/create", model).await.expect(200);
    let source = json!({"name": "fraud", "source": format!("runs:/{run}/a"), "run_id": run});
    platform.call(Method::POST, "model-versions/create", source).await.expect(200);
    let of_version = |version: &str, path: &str| {
        let uri = format!("/model-versions/get-artifact?name=fraud&version={version}&path={path}");
        platform.send(TestRequest::get().uri(&uri))
    };
    let file = of_version("1", "x.png").await;
    assert_eq!((file.header("content-type"), &file.body[..]), ("image/png", &b"run"[..]));
    assert!(file.header("content-disposition").starts_with("attachment"));
    of_version("1", "nothing").await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    of_version("2", "x.png").await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    of_version("1", "../x.png").await.refusal(400, "INVALID_PARAMETER_VALUE");

    let out = format!("/get-artifact?run_uuid={run}&path=../../x");
    let refused = platform.send(TestRequest::get().uri(&out)).await;
    refused.refusal(400, "INVALID_PARAMETER_VALUE");
}

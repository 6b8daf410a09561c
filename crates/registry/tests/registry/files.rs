//! `/models/{name}/versions/{version}/files`

use actix_web::http::Method;
use domain::Digest;
use serde_json::json;

use crate::platform::Platform;

const FILES: &str = "/models/fraud/versions/1/files";

async fn with_files() -> Platform {
    let platform = Platform::start().await;
    let files = [
        platform.file("data/hello.html", b"<script>alert(1)</script>").await,
        platform.file("empty", b"").await,
        platform.file("z.bin", &vec![7; 3 << 20]).await,
    ];
    platform.post("/models/fraud/versions", json!({"files": files})).await.expect(201);
    platform
}

#[actix_web::test]
async fn files_are_listed_with_the_versions_digest() {
    let platform = with_files().await;
    let listed = platform.get(FILES).await.expect(200);
    let version = platform.get("/models/fraud/versions/1").await.expect(200);
    assert_eq!(listed["digest"], version["digest"]);
    let paths: Vec<_> = listed["items"].as_array().unwrap().iter().map(|it| &it["path"]).collect();
    assert_eq!(paths, ["data/hello.html", "empty", "z.bin"]);
    assert_eq!(listed["items"][0]["size"], 25);
}

#[actix_web::test]
async fn a_file_comes_as_it_was_and_is_never_shown() {
    let platform = with_files().await;
    let answer = platform.get(&format!("{FILES}/data/hello.html")).await;
    assert_eq!(answer.body, &b"<script>alert(1)</script>"[..]);
    for (header, expected) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename=\"hello.html\""),
        ("content-security-policy", "sandbox"),
        ("x-content-type-options", "nosniff"),
        ("accept-ranges", "bytes"),
        ("etag", &format!("\"{}\"", Digest::of(b"<script>alert(1)</script>"))),
    ] {
        assert_eq!(answer.header(header), expected);
    }
    let large = platform.get(&format!("{FILES}/z.bin")).await;
    assert_eq!((large.status.as_u16(), large.body.len()), (200, 3 << 20));
    let empty = platform.get(&format!("{FILES}/empty")).await;
    assert_eq!((empty.status.as_u16(), empty.body.len()), (200, 0));
}

#[actix_web::test]
async fn a_file_comes_in_parts_or_not_at_all_where_the_caller_has_it() {
    let platform = with_files().await;
    let path = format!("{FILES}/data/hello.html");
    let ask = |name: &'static str, value: String| {
        platform.send(platform.request(Method::GET, &path).insert_header((name, value)))
    };
    let part = ask("range", "bytes=1-6".to_owned()).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &b"script"[..]));
    assert_eq!(part.header("content-range"), "bytes 1-6/25");
    let beyond = ask("range", "bytes=25-".to_owned()).await;
    assert_eq!(beyond.refusal(416, Some("range")), "the file has 25 bytes");
    assert_eq!(beyond.header("content-range"), "bytes */25");
    let tag = format!("\"{}\"", Digest::of(b"<script>alert(1)</script>"));
    let same = ask("if-none-match", tag.clone()).await;
    assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), tag);
}

#[actix_web::test]
async fn a_file_that_is_not_there_is_not_found() {
    let platform = with_files().await;
    let refused = platform.get(&format!("{FILES}/data")).await;
    assert_eq!(refused.refusal(404, Some("path")), "`fraud/1` has no file `data`");
    let refused = platform.get(&format!("{FILES}/..%2f..%2fetc/passwd")).await;
    assert!(refused.refusal(400, Some("path")).contains("`..`"));
    platform.get("/models/fraud/versions/2/files").await.refusal(404, Some("version"));
}

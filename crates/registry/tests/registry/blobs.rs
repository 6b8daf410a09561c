//! `/blobs`

use actix_web::{body::BodySize, http::Method};
use domain::Digest;
use registry::Limits;
use serde_json::json;

use crate::platform::Platform;

#[actix_web::test]
async fn a_blob_is_uploaded_once_and_found_after() {
    let platform = Platform::start().await;
    let digest = Digest::of(b"abc");
    let path = format!("/blobs/{digest}");
    let missing = json!({"digests": [digest, Digest::of(b"x")]});
    let answer = platform.post("/blobs/missing", missing.clone()).await.expect(200);
    assert_eq!(answer["missing"], missing["digests"]);
    let put = || platform.send(platform.request(Method::PUT, &path).set_payload("abc"));
    assert_eq!(put().await.expect(201), json!({"digest": digest, "size": 3}));
    assert_eq!(put().await.expect(200), json!({"digest": digest, "size": 3}));
    let answer = platform.post("/blobs/missing", missing).await.expect(200);
    assert_eq!(answer["missing"], json!([Digest::of(b"x")]));
    let head = platform.send(platform.request(Method::HEAD, &path)).await;
    assert_eq!((head.status.as_u16(), head.length), (200, BodySize::Sized(3)));
    let absent = format!("/blobs/{}", Digest::of(b"x"));
    let head = platform.send(platform.request(Method::HEAD, &absent)).await;
    assert_eq!(head.status.as_u16(), 404);
}

#[actix_web::test]
async fn other_bytes_than_the_digest_says_are_not_kept() {
    let platform = Platform::start().await;
    let digest = Digest::of(b"abc");
    let path = format!("/blobs/{digest}");
    let refused = platform.send(platform.request(Method::PUT, &path).set_payload("abd")).await;
    assert!(refused.refusal(400, Some("digest")).contains("have the digest"));
    for digest in [digest, Digest::of(b"abd")] {
        let missing = platform.post("/blobs/missing", json!({"digests": [digest]})).await;
        assert_eq!(missing.expect(200)["missing"], json!([digest]));
    }
    let refused =
        platform.send(platform.request(Method::PUT, "/blobs/abc").set_payload("abc")).await;
    refused.refusal(400, Some("digest"));
    let many = json!({"digests": vec![digest; 10_001]});
    platform.post("/blobs/missing", many).await.refusal(400, Some("digests"));
}

#[actix_web::test]
async fn a_blob_beyond_the_limit_is_refused_whether_announced_or_not() {
    let limits = Limits { blob_bytes: 1000, ..Limits::default() };
    let platform = Platform::with_limits(limits).await;
    let content = vec![1; 1001];
    let path = format!("/blobs/{}", Digest::of(&content));
    let put = || platform.request(Method::PUT, &path).set_payload(content.clone());
    let announced = put().insert_header(("content-length", "1001"));
    for request in [put(), announced] {
        let refused = platform.send(request).await;
        assert_eq!(refused.refusal(413, None), "the file has more than 1000 bytes");
    }
    platform.file("x", &content[..1000]).await;
}

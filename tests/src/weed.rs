//! SeaweedFS, as an S3 that is not Amazon's.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;

use crate::{bottega, tool, wait_until};

const BUCKET: &str = "bottega";
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
    #[must_use]
    pub fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let [s3, master, volume, filer, admin] = free_ports();
        // setpriv: so that the server does not outlive a test that is killed.
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(tool("BOTTEGA_WEED"))
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
        let weed = Self { server, port: s3, _data: data };
        // It answers a moment before its bucket is there.
        wait_until("the bucket is there", Duration::from_secs(30), || {
            let doctor = Command::new(bottega())
                .args(["doctor", "--output", "json", "--artifacts", &weed.location("")])
                .envs(weed.environment(&[]))
                .output()
                .unwrap();
            let report: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
            let mut checks = report["checks"].as_array().unwrap().iter();
            checks.any(|check| check["name"] == "artifacts" && check["ok"] == true)
        });
        weed
    }

    /// `s3://BUCKET/PREFIX`
    #[must_use]
    pub fn location(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The variables that lead to it, changed as a test wants them.
    #[must_use]
    pub fn environment(&self, changes: &[(&str, &str)]) -> Vec<(String, String)> {
        let endpoint = format!("http://127.0.0.1:{}", self.port);
        let ours = [
            ("AWS_ACCESS_KEY_ID", KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_ENDPOINT_URL", &endpoint),
        ];
        let all = ours.iter().chain(changes);
        all.map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
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

//! The program `uv`: how it is started, and what it says.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

use super::{EnvironmentSettings, LONGEST_LOCK, Unbuilt};
use crate::Error;

/// Of what it complains, as much is kept, and as much is told.
const MOST_COMPLAINTS: u64 = 64 << 10;
const LONGEST_REASON: usize = 1200;
/// What it gets of this process's environment: how to reach the network, and no secret of ours.
const PASSED_ON: [&str; 11] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "LD_LIBRARY_PATH",
];
/// By these words it says that the index did not answer.
const AWAY: [&str; 7] = [
    "error sending request",
    "Failed to fetch",
    "Could not connect",
    "Connection refused",
    "dns error",
    "timed out",
    "Network is unreachable",
];

/// It, and where it takes packages from.
pub(super) struct Uv<'a> {
    program: PathBuf,
    cache: PathBuf,
    settings: &'a EnvironmentSettings,
}

impl<'a> Uv<'a> {
    /// Where it is.
    pub(super) fn find(settings: &'a EnvironmentSettings, folder: &Path) -> Result<Self, Unbuilt> {
        let path = env::var_os("PATH").unwrap_or_default();
        let on_path = || env::split_paths(&path).map(|at| at.join("uv")).find(|at| at.is_file());
        let program = settings.uv.clone().or_else(on_path).filter(|at| at.is_file());
        let program = program.ok_or_else(|| {
            Unbuilt::Reason(
                "it needs packages of Python, and uv, which builds environments, is not here: name it by --uv \
                 or BOTTEGA_UV, or put it on the path (`pip install uv` brings it)"
                    .to_owned(),
            )
        })?;
        let beside = || folder.parent().unwrap_or(folder).join("uv");
        let cache = settings.uv_cache.clone().unwrap_or_else(beside);
        Ok(Self { program, cache, settings })
    }

    /// Where packages come from, and that none is built unless that is allowed.
    pub(super) fn sources(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        if !self.settings.builds {
            arguments.push("--no-build".into());
        }
        match self.settings.index.as_deref() {
            Some("none") => arguments.push("--no-index".into()),
            Some(index) => arguments.extend(["--index-url".into(), index.into()]),
            None => {}
        }
        for links in &self.settings.find_links {
            arguments.extend(["--find-links".into(), links.into()]);
        }
        arguments
    }

    /// What it answers; nothing that it or its children do outlives this.
    pub(super) async fn run(
        &self,
        arguments: Vec<OsString>,
        input: Option<String>,
    ) -> Result<String, Unbuilt> {
        let ours = |error: std::io::Error| {
            Unbuilt::Fault(Error::Worker(format!("{}: {error}", self.program.display())))
        };
        let mut child = self.command(arguments).spawn().map_err(ours)?;
        let group = Group(child.id());
        let talk = converse(&mut child, input);
        let Ok(ended) = timeout(self.settings.time, talk).await else {
            drop(group);
            return Err(Unbuilt::Reason(too_slow(self.settings.time)));
        };
        let (answer, complaints, status) = ended.map_err(ours)?;
        group.ended();
        if status.success() {
            return Ok(answer);
        }
        Err(judge(&complaints))
    }

    fn command(&self, arguments: Vec<OsString>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["--no-config", "--no-python-downloads", "--no-progress", "--cache-dir"])
            .arg(&self.cache)
            .env_clear()
            .env("PATH", self.path())
            .env("HOME", &self.cache)
            .env("NO_COLOR", "1")
            .envs(PASSED_ON.iter().filter_map(|name| Some((name, env::var_os(name)?))))
            .current_dir("/")
            .process_group(0)
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Where interpreters are looked for: in `DIR/bin` and `DIR/*/bin` of each folder of them too.
    fn path(&self) -> OsString {
        let mut folders = Vec::new();
        for folder in &self.settings.pythons {
            folders.push(folder.join("bin"));
            let inside = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut inside: Vec<_> = inside.map(|entry| entry.path().join("bin")).collect();
            inside.sort();
            folders.extend(inside.into_iter().filter(|folder| folder.is_dir()));
        }
        let path = env::var_os("PATH").unwrap_or_default();
        folders.extend(env::split_paths(&path));
        env::join_paths(folders).unwrap_or(path)
    }
}

/// A process group that is killed unless it has ended.
struct Group(Option<u32>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // It may have ended by itself.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
    }
}

async fn converse(
    child: &mut Child,
    input: Option<String>,
) -> std::io::Result<(String, String, std::process::ExitStatus)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let tell = async move {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // One that ends before it has read everything says so by its status.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let most = LONGEST_LOCK as u64 + 1;
    let ((), answer, complaints) =
        tokio::join!(tell, hear(stdout, most), hear(stderr, MOST_COMPLAINTS));
    Ok((answer?, complaints?, child.wait().await?))
}

/// Hears all that comes, but keeps no more than `most` bytes.
async fn hear(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<String> {
    let mut heard = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(most).read_to_end(&mut heard).await?;
        tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

fn too_slow(time: Duration) -> String {
    format!("its environment was not built within {} s", time.as_secs())
}

/// Its complaint as one sentence.
fn judge(complaints: &str) -> Unbuilt {
    let mut words = String::new();
    for word in complaints.split(|c: char| c.is_whitespace() || "×╰─▶│├".contains(c)) {
        if word == "cause:" {
            words.push(':');
        } else if !word.is_empty() && words.len() < LONGEST_REASON {
            words.push_str(if words.is_empty() { "" } else { " " });
            words.extend(word.chars().filter(|c| !c.is_control()));
        }
    }
    let said = words.strip_prefix("error: ").unwrap_or(&words);
    if AWAY.iter().any(|sign| said.contains(sign)) {
        return Unbuilt::Away(format!("the package index does not answer: {said}"));
    }
    let is_source = said.contains("building from source is disabled");
    let hint = if is_source {
        "; packages that come as source are built where --python-builds is set"
    } else {
        ""
    };
    Unbuilt::Reason(format!("its packages cannot be had: {said}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_becomes_one_sentence() {
        let Unbuilt::Reason(said) = judge("error: No solution\n  cause: Because x") else {
            panic!()
        };
        assert_eq!(said, "its packages cannot be had: No solution: Because x");
        let told = "  × No solution found when resolving dependencies:\n  ╰─▶ Because x was not found\n      in the package registry\n";
        let Unbuilt::Reason(said) = judge(told) else { panic!() };
        assert_eq!(
            said,
            "its packages cannot be had: No solution found when resolving dependencies: Because x was not found in the package registry"
        );
        let Unbuilt::Reason(said) = judge("building from source is disabled") else { panic!() };
        assert!(said.ends_with("--python-builds is set"), "{said}");
        let told = "error: Failed to fetch: `https://x/simple/numpy/`\n  Caused by: dns error";
        assert!(matches!(judge(told), Unbuilt::Away(_)));
        let Unbuilt::Reason(said) = judge(&"long ".repeat(10_000)) else { panic!() };
        assert!(said.len() < 2 * LONGEST_REASON);
    }
}

//! `bottega doctor`: checks each dependency and says what to do, whether a server runs or not.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use client::Connection;
use serde_json::{Value, json};

use super::Done;
use crate::{
    output::{Output, exit},
    serve::{self, Flags},
    settings::{Layers, Settings},
};

/// How somebody comes to have it.
const UV: &str = "`pip install uv` brings it, and --uv FILE says where it is";

/// One thing that was looked at.
struct Finding {
    name: &'static str,
    found: Result<String, (String, String)>,
}

impl Finding {
    fn good(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, found: Ok(detail.into()) }
    }

    fn bad(name: &'static str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { name, found: Err((detail.into(), hint.into())) }
    }

    fn to_json(&self) -> Value {
        match &self.found {
            Ok(detail) => json!({"name": self.name, "ok": true, "detail": detail}),
            Err((detail, hint)) => {
                json!({"name": self.name, "ok": false, "detail": detail, "hint": hint})
            }
        }
    }
}

pub async fn run(flags: Flags, output: &Output) -> Done {
    let settings = Layers::stack(&flags, flags.config.clone())?.settings()?;
    let mut findings = vec![data_dir(&settings.data_dir), onnxruntime(&settings), uv(&settings)];
    findings.extend(serve::diagnose(&settings).await.into_iter().map(
        |(name, found)| match found {
            Ok(detail) => Finding::good(name, detail),
            Err((detail, hint)) => Finding::bad(name, detail, hint),
        },
    ));
    findings.push(server(&settings).await);
    let is_well = findings.iter().all(|finding| finding.found.is_ok());
    let items: Vec<_> = findings.iter().map(Finding::to_json).collect();
    if output.is_json() {
        output.object(&json!({"ok": is_well, "checks": items}), &[]);
    } else {
        for finding in &findings {
            show(finding);
        }
    }
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

fn show(finding: &Finding) {
    use owo_colors::OwoColorize as _;
    match &finding.found {
        Ok(detail) => anstream::println!("{} {:<14} {detail}", "✓".green(), finding.name),
        Err((detail, hint)) => {
            anstream::println!("{} {:<14} {detail}", "✕".red(), finding.name);
            anstream::println!("  {:<14} → {hint}", "");
        }
    }
}

fn data_dir(folder: &Path) -> Finding {
    let name = "data directory";
    // The nearest folder that is there decides whether the rest can be made.
    let there = folder.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(folder);
    let hint = "give a folder that this user may write with --data-dir";
    if nix::unistd::access(there, nix::unistd::AccessFlags::W_OK).is_err() {
        return Finding::bad(name, format!("{} cannot be written", there.display()), hint);
    }
    match nix::sys::statvfs::statvfs(there) {
        Ok(disk) => {
            let free = disk.blocks_available() * disk.fragment_size() / (1 << 20);
            if free < 1024 {
                return Finding::bad(
                    name,
                    format!("{}: {free} MiB are free", folder.display()),
                    "make room: 1 GiB at least",
                );
            }
            Finding::good(name, format!("{}: {} GiB are free", folder.display(), free / 1024))
        }
        Err(error) => Finding::bad(name, format!("{}: {error}", there.display()), hint),
    }
}

fn onnxruntime(settings: &Settings) -> Finding {
    let name = "ONNX Runtime";
    match serve::onnxruntime::find(settings) {
        Ok(library) => match inference::Runtime::load(&library) {
            Ok(_) => Finding::good(name, format!("{} can be used", library.display())),
            Err(error) => {
                Finding::bad(name, error.to_string(), "./just setup installs a fitting one")
            }
        },
        Err(problem) => Finding::bad(name, problem.message, problem.hint.unwrap_or_default()),
    }
}

/// Not everybody serves Python versions, so that there is none is told and no fault.
fn uv(settings: &Settings) -> Finding {
    let name = "uv";
    let program = settings.uv.clone().unwrap_or_else(|| "uv".into());
    let asked = Command::new(&program).arg("--version").output();
    let shown = program.display();
    match asked {
        Ok(told) if told.status.success() => {
            let version = String::from_utf8_lossy(&told.stdout);
            Finding::good(name, format!("{shown} is {}", version.trim()))
        }
        Ok(told) => Finding::bad(name, format!("{shown}: {}", told.status), UV),
        Err(error) if settings.uv.is_some() => Finding::bad(name, format!("{shown}: {error}"), UV),
        Err(_) => Finding::good(name, format!("none, so Python versions cannot be served: {UV}")),
    }
}

async fn server(settings: &Settings) -> Finding {
    let name = "server";
    let url = format!("http://{}", settings.listen);
    let alive = async { Connection::new(&url, None)?.is_alive().await };
    match alive.await {
        Ok(true) => Finding::good(name, format!("{url} is alive")),
        Ok(false) => Finding::bad(
            name,
            format!("something else answers at {url}"),
            "choose another port with --listen",
        ),
        Err(_) => Finding::good(name, format!("none runs at {url}: `bottega up` starts one")),
    }
}

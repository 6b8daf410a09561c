//! Shows that the trail is what it was.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::ExitCode,
};

use client::Connection;
use domain::{
    Problem,
    audit::{
        Checkpoint,
        archive::{Archive, Reader},
    },
};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use super::{Done, file};
use crate::output::{Column, Failure, Output, exit};

const FIELDS: &[Column<'_>] = &[
    ("ok", "/ok"),
    ("checked", "/checked"),
    ("first bad", "/first_bad/message"),
    ("unsealed", "/unsealed"),
    ("archived", "/archived"),
    ("checkpoints not compared", "/uncompared_checkpoints"),
    ("head", "/head/hash"),
];

pub async fn trail(server: &Connection, checkpoint: Option<&Path>, output: &Output) -> Done {
    let checkpoints = match checkpoint {
        None => Vec::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(file(path))?;
            Checkpoint::read_all(&text)?
        }
    };
    let bar = output.progress();
    let mut lines =
        server.post_lines("/audit/verify", &json!({"checkpoints": checkpoints})).await?;
    let mut last = Value::Null;
    while let Some(line) = lines.next().await? {
        last = serde_json::from_slice(&line).map_err(|_| Problem::internal())?;
        if let (Some(checked), Some(of)) = (last["checked"].as_u64(), last["of"].as_u64()) {
            bar.counted("verifying", checked, of);
        }
    }
    drop(bar);
    if !last["ok"].is_boolean() {
        return Err(Problem::unavailable("the server did not finish").hint("try again").into());
    }
    output.object(&last, FIELDS);
    Ok(if last["ok"] == true { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

/// Prints a checkpoint as a line of JSON, whatever the format: it is for a file.
pub async fn checkpoint(server: &Connection, _: &Output) -> Done {
    let made: Value = server.post("/audit/checkpoints", &json!({})).await?;
    anstream::println!("{made}");
    Ok(ExitCode::SUCCESS)
}

/// Reads an archive and checks every line of it.
pub fn read(path: &Path) -> Result<Archive, Failure> {
    let opened = std::fs::File::open(path).map_err(file(path))?;
    let mut lines = BufReader::new(MultiGzDecoder::new(BufReader::new(opened)));
    let mut reader = Reader::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(file(path))? == 0 {
            return Ok(reader.finish()?);
        }
        reader.line(line.strip_suffix(b"\n").unwrap_or(&line))?;
    }
}

pub async fn archive(server: &Connection, path: &Path, output: &Output) -> Done {
    let bar = output.progress();
    bar.waiting("verifying");
    let archive = read(path)?;
    let known: Value = server.get("/audit/archives", &[]).await?;
    drop(bar);
    let of_it = known["items"].as_array().and_then(|items| {
        items.iter().find(|item| item["through"]["seal"] == archive.through.seal)
    });
    let fits = of_it.is_some_and(|item| {
        item["digest"] == archive.digest.to_string()
            && item["through"]["hash"] == archive.through.hash.to_string()
    });
    let first_bad = if fits {
        Value::Null
    } else if of_it.is_some() {
        json!({"message": "it is not the archive that was made of these seals"})
    } else {
        json!({"message": "the server has made no archive up to this seal"})
    };
    let found = json!({
        "ok": fits, "checked": archive.events, "first_bad": first_bad,
        "after": archive.after, "head": archive.through, "digest": archive.digest,
    });
    output.object(&found, FIELDS);
    Ok(if fits { ExitCode::SUCCESS } else { ExitCode::from(exit::FAILED) })
}

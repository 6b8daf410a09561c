//! `bottega audit archive`: the file first, and only when it is safe on the disk the rows go.

use std::{
    io::{BufWriter, Write as _},
    path::Path,
};

use client::Connection;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use super::{Done, file, verify};
use crate::output::Output;

pub async fn run(
    server: &Connection,
    before: String,
    to: &Path,
    keep: bool,
    output: &Output,
) -> Done {
    let failed = file(to);
    let bar = output.progress();
    bar.waiting("archiving");
    let mut lines = server.get_lines("/audit/archive", &[("before", before)]).await?;
    let partial = to.with_extension("partial");
    if to.exists() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    let made = std::fs::File::create(&partial).map_err(&failed)?;
    let mut out = GzEncoder::new(BufWriter::new(made), Compression::default());
    while let Some(line) = lines.next().await? {
        out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(&failed)?;
    }
    let made = out.finish().and_then(|out| Ok(out.into_inner()?)).map_err(&failed)?;
    made.sync_all().map_err(&failed)?;
    // What is on the disk is what is checked.
    let archive = verify::read(&partial)?;
    std::fs::rename(&partial, to).map_err(&failed)?;
    let (events, shown) = (archive.events, to.display());
    if keep {
        drop(bar);
        let done = json!({"archive": archive, "file": to, "deleted": false});
        return Ok(output.done(&done, &format!("{events} events in {shown}; nothing is deleted")));
    }
    let body = json!({"seal": archive.through.seal, "digest": archive.digest});
    let confirmed: Value = server.post("/audit/archives", &body).await?;
    drop(bar);
    let done = json!({"archive": confirmed, "file": to, "deleted": true});
    Ok(output.done(&done, &format!("{events} events in {shown}, and no longer in the trail")))
}

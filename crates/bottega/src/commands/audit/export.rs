//! Events, in a file.

use std::{io::Write, path::Path, process::ExitCode};

use client::Connection;
use serde_json::json;

use super::{Done, Format, Which, file};
use crate::output::{Failure, Output};

pub async fn run(
    server: &Connection,
    which: Which,
    format: Format,
    to: Option<&Path>,
    output: &Output,
) -> Done {
    let format = match format {
        Format::Ndjson => "ndjson",
        Format::Cef => "cef",
    };
    let body = json!({"format": format, "filter": which.body()});
    let mut out: Box<dyn Write> = match to {
        None => Box::new(std::io::stdout().lock()),
        Some(path) => {
            let made = std::fs::File::create_new(path).map_err(file(path))?;
            Box::new(std::io::BufWriter::new(made))
        }
    };
    let failed: Box<dyn Fn(std::io::Error) -> Failure> = match to {
        None => Box::new(Failure::io),
        Some(path) => Box::new(file(path)),
    };
    let bar = output.progress();
    bar.waiting("exporting");
    let mut lines = server.post_lines("/audit/exports", &body).await?;
    let mut count = 0_u64;
    while let Some(line) = lines.next().await? {
        out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(&failed)?;
        count += 1;
    }
    out.flush().map_err(&failed)?;
    drop(bar);
    if let Some(path) = to {
        let done = json!({"events": count, "format": format, "file": path});
        return Ok(output.done(&done, &format!("{count} events in {}", path.display())));
    }
    Ok(ExitCode::SUCCESS)
}

//! A file of 1 GiB up and down through the artifact proxy.

use super::{Both, new_run, timed};
use crate::{Result, push};

const TURNS: u64 = 5;

pub(super) fn run(both: &mut Both) -> Result<()> {
    let servers = both.servers()?;
    let file = both.ours.folder().join("weights.bin");
    let (mut up, mut down) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for turn in 0..TURNS {
        // Other bytes each time, or they would be there already.
        push::fill(&file, turn)?;
        for (which, server) in servers.iter().enumerate() {
            let run = new_run(server)?;
            let path = format!("/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/weights.bin");
            // Neither pays for what the other has left to write.
            nix::unistd::sync();
            up[which].push(timed(|| server.upload(&path, &file))?.as_secs_f64());
            let fetch = || match server.download(&path)? {
                size if size == push::SIZE as u64 => Ok(()),
                size => Err(format!("{size} bytes came back").into()),
            };
            nix::unistd::sync();
            down[which].push(timed(fetch)?.as_secs_f64());
            // What is kept twice fills small disks.
            server.call("DELETE", &path, "")?;
        }
    }
    std::fs::remove_file(&file)?;
    for (what, [mut theirs, mut ours]) in [("upload", up), ("download", down)] {
        let mut ratios: Vec<f64> =
            theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
        anstream::println!(
            "  {what} of 1 GiB through the proxy: mlflow {:.2} s   bottega {:.2} s   ratio {:.1} (asked: >= 3)",
            crate::median(&mut theirs),
            crate::median(&mut ours),
            crate::median(&mut ratios)
        );
    }
    Ok(())
}

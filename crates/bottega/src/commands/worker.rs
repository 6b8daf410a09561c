//! `bottega worker`: one model, in a process that may be thrown away.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use inference::worker::{self, Inside, Serve};

#[derive(Args)]
#[group(id = "work", required = true, multiple = false, args = ["trial", "serve", "engine", "own"])]
pub struct Options {
    /// Try the version that standard input describes, and report on standard output
    #[arg(long)]
    trial: bool,
    /// Become, confined, the program that answers for a version; standard input is the socket to its node
    #[arg(long)]
    serve: bool,
    /// Answer for an ONNX version; standard input is the socket to its node
    #[arg(long)]
    engine: bool,
    /// Start the program of a version and answer by it; standard input is the socket to its node
    #[arg(long)]
    own: bool,
    /// The control group that `--serve` joins
    #[arg(long, hide = true, requires = "serve", conflicts_with = "seat")]
    group: Option<PathBuf>,
    #[command(flatten)]
    inside: InsideOptions,
}

/// What `--serve` tells itself.
#[derive(Args)]
struct InsideOptions {
    #[arg(long, hide = true, requires = "serve")]
    seat: Option<u32>,
    #[arg(long, hide = true, requires = "seat")]
    left: bool,
    #[arg(long, hide = true, requires = "left")]
    with_users: bool,
}

pub fn run(options: &Options) -> ExitCode {
    let InsideOptions { seat, left, with_users } = options.inside;
    if options.trial {
        worker::main()
    } else if options.engine {
        worker::engine()
    } else if options.own {
        gateway::own::main()
    } else {
        let inside = seat.map(|seat| Inside { seat, left, with_users });
        worker::serve(inside.map_or_else(|| Serve::Keep(options.group.clone()), Serve::Become))
    }
}

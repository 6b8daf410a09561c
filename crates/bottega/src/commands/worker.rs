//! `bottega worker`: one model, in a process that may be thrown away.

use std::process::ExitCode;

use clap::Args;

#[derive(Args)]
pub struct Options {
    /// Try the version that standard input describes, and report on standard output
    #[arg(long, required = true)]
    trial: bool,
}

pub fn run(_options: &Options) -> ExitCode {
    inference::worker::main()
}

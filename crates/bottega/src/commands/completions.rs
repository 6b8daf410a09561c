//! `bottega completions`, `bottega man`

use std::{path::Path, process::ExitCode};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Done;
use crate::{cli::Cli, output::Failure};

#[derive(Args)]
#[command(
    after_help = "Bash:  bottega completions bash > /etc/bash_completion.d/bottega\nZsh:   bottega completions zsh > \"${fpath[1]}/_bottega\"\nFish:  bottega completions fish > ~/.config/fish/completions/bottega.fish"
)]
pub struct Options {
    /// The shell
    shell: Shell,
}

pub fn run(options: &Options) -> Done {
    clap_complete::generate(options.shell, &mut Cli::command(), "bottega", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}

pub fn man(folder: &Path) -> Done {
    std::fs::create_dir_all(folder).map_err(Failure::io)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(Failure::io)?;
    Ok(ExitCode::SUCCESS)
}

//! The `bottega` binary: the command line, the configuration and the roles put together.
//!
//! Each command of the CLI is a client of the REST API and nothing more. The roles are put
//! together in [`serve`].

mod cli;
mod commands;
mod output;
mod serve;
mod session;
mod settings;

use std::process::ExitCode;

use clap::Parser as _;
use mimalloc::MiMalloc;

use crate::{
    cli::{Cli, Command, Question},
    output::{Failure, Output},
    session::Session,
};

/// A prediction makes some dozen short-lived things of all sizes, of which the system's allocator is fast for
/// those below 1 KiB alone: by it a request costs a tenth more of the processor.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    silence();
    let cli = Cli::parse();
    // TLS for S3, Postgres and the CLI; only the first call in a process counts.
    drop(rustls::crypto::ring::default_provider().install_default());
    let output = Output::new(cli.global.output);
    run(cli.command, &cli.global, &output).unwrap_or_else(|failure| output.failure(&failure))
}

/// Keeps ONNX Runtime from telling its makers about this machine, here and in whatever is started.
#[expect(unsafe_code, reason = "it reads that from the environment alone")]
fn silence() {
    let (name, value) = inference::SILENCE;
    // SAFETY: this is the first thing that the program does, on its only thread.
    unsafe { std::env::set_var(name, value) };
}

fn run(command: Command, global: &cli::Global, output: &Output) -> Result<ExitCode, Failure> {
    match command {
        Command::Worker(options) => Ok(commands::worker::run(&options)),
        Command::Up(flags) => serve::run(&flags, serve::Roles::ALL),
        Command::Registry(flags) => serve::run(&flags, serve::Roles::REGISTRY),
        Command::Gateway(flags) => serve::run(&flags, serve::Roles::GATEWAY),
        Command::Deployer(flags) => serve::run(&flags, serve::Roles::DEPLOYER),
        Command::Completions(options) => commands::completions::run(&options),
        Command::Man { to } => commands::completions::man(&to),
        Command::Config(flags) => commands::config::run(&flags, output),
        Command::Doctor(flags) => block_on(commands::doctor::run(flags, output)),
        Command::Login(options) => block_on(commands::login::login(options, global, output)),
        Command::Ask(question) => block_on(ask(question, global, output)),
    }
}

/// Waits on this thread: a command does one thing at a time.
fn block_on(work: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::io)?;
    runtime.block_on(work)
}

/// The commands that talk to a running Bottega.
async fn ask(
    question: Question,
    global: &cli::Global,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let session = Session::open(global)?;
    let server = &session.server;
    match question {
        Question::Whoami => commands::login::whoami(&session, output).await,
        Question::Status => commands::status::run(server, output).await,
        Question::Push(options) => commands::push::run(server, options, output).await,
        Question::Pull(options) => commands::pull::run(server, options, output).await,
        Question::Promote(options) => commands::promote::run(server, options, output).await,
        Question::Models(verb) => commands::models::run(server, verb, output).await,
        Question::Versions(verb) => commands::versions::run(server, verb, output).await,
        Question::Endpoints(verb) => commands::endpoints::run(server, verb, output).await,
        Question::Experiments(verb) => commands::ownership::run(server, verb, output).await,
        Question::Deploy(options) => commands::deploy::run(server, options, output).await,
        Question::Predict(options) => commands::predict::run(server, options).await,
        Question::Rollout(verb) => commands::rollout::run(server, verb, output).await,
        Question::Rollback(options) => commands::rollout::rollback(server, options, output).await,
        Question::Grants(verb) => commands::grants::run(server, verb, output).await,
        Question::Policies(verb) => commands::policies::run(server, verb, output).await,
        Question::Oidc(verb) => commands::oidc::run(server, verb, output).await,
        Question::Webhooks(verb) => commands::webhooks::run(server, verb, output).await,
        Question::Import(verb) => commands::import::run(server, verb, output).await,
        Question::Credentials(verb) => commands::credentials::run(server, verb, output).await,
        Question::Secrets(verb) => commands::secrets::run(server, verb, output).await,
        Question::Settings(verb) => commands::settings::run(server, verb, output).await,
        Question::Collect(options) => commands::collect::run(server, options, output).await,
        Question::Users(verb) => commands::users::run(server, verb, output).await,
        Question::Teams(verb) => commands::teams::run(server, verb, output).await,
        Question::Services(verb) => commands::services::run(server, verb, output).await,
        Question::Tokens(verb) => commands::tokens::run(server, verb, output).await,
        Question::Quota(verb) => commands::quota::run(server, verb, output).await,
        Question::Usage(options) => commands::usage::run(server, options, output).await,
        Question::Logs(options) => commands::logs::run(server, options, output).await,
        Question::Audit(verb) => commands::audit::run(server, verb, output).await,
    }
}

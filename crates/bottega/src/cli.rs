//! The command line: nouns and verbs, and nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{commands, serve};

/// Takes machine-learning models from trained to answering in production, watched and governed.
#[derive(Parser)]
#[command(name = "bottega", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "A first start:  bottega up\n\nThen, in another terminal:\n  bottega push model.onnx --name fraud --alias champion\n  bottega deploy fraud --model fraud@champion --wait\n  bottega predict fraud --file request.json"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone)]
pub struct Global {
    /// Answer as a table for people, or as JSON for programs
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub output: Format,
    /// The address of the Bottega to talk to [default: the one of `bottega login`, else http://127.0.0.1:8080]
    #[arg(long, global = true, env = "BOTTEGA_URL", value_name = "URL")]
    pub url: Option<String>,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run everything in one process: database, registry, deployer and gateway
    Up(serve::Flags),
    /// Run the registry role: the API and its documentation
    Registry(serve::Flags),
    /// Run the gateway role: predictions
    Gateway(serve::Flags),
    /// Run the deployer role: trials and rollouts
    Deployer(serve::Flags),
    /// Try one model version in this process (started by the deployer)
    #[command(hide = true)]
    Worker(commands::worker::Options),

    /// Log in: remember an address and a token for the other commands
    Login(commands::login::Options),
    /// Check every dependency and say what to do
    Doctor(serve::Flags),
    #[command(flatten)]
    Ask(Question),
    /// Print the effective server configuration and where each value comes from
    Config(serve::Flags),
    /// Print a completion script for a shell
    Completions(commands::completions::Options),
    /// Write man pages into a folder
    Man {
        /// The folder
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

/// What is asked of a running Bottega.
#[derive(Subcommand)]
pub enum Question {
    /// Show who the platform takes you for
    Whoami,
    /// Show nodes, replicas and endpoints
    Status,
    /// Send a trained model: a file, a folder or an archive
    Push(commands::push::Options),
    /// Bring a version's files back, verified
    Pull(commands::pull::Options),
    /// Move an alias to a version, or a version to a stage; and back
    Promote(commands::promote::Options),
    /// List, show, delete, restore and hand over models; their history and their rules
    #[command(subcommand)]
    Models(commands::models::Verb),
    /// List, show, delete and restore versions of a model
    #[command(subcommand)]
    Versions(commands::versions::Verb),
    /// List, show, hand over and delete endpoints
    #[command(subcommand)]
    Endpoints(commands::endpoints::Verb),
    /// Hand experiments over to other teams
    #[command(subcommand)]
    Experiments(commands::ownership::Verb),
    /// Make an endpoint serve a version, or follow an alias
    Deploy(commands::deploy::Options),
    /// Ask an endpoint for a prediction
    Predict(commands::predict::Options),
    /// Show the newest rollout of an endpoint
    #[command(subcommand)]
    Rollout(commands::rollout::Verb),
    /// Put an earlier release of an endpoint back
    Rollback(commands::rollout::Rollback),
    /// Say who may do what to what, and ask why
    #[command(subcommand)]
    Grants(commands::grants::Verb),
    /// Write policies in Cedar, for what grants cannot say
    #[command(subcommand)]
    Policies(commands::policies::Verb),
    /// Make webhooks, and see what they were told
    #[command(subcommand)]
    Webhooks(commands::webhooks::Verb),
    /// Carry what another server has over to this one
    #[command(subcommand)]
    Import(commands::import::Verb),
    /// Keep secrets that hooks and external models send to their servers
    #[command(subcommand)]
    Credentials(commands::credentials::Verb),
    /// List the platform's secret keys, and seal every secret under the current one
    #[command(subcommand)]
    Secrets(commands::secrets::Verb),
    /// List and change the platform's settings
    #[command(subcommand)]
    Settings(commands::settings::Verb),
    /// Delete for good what was deleted long ago, and the bytes that nothing names any more
    Collect(commands::collect::Options),
    /// Set up logging in at an identity provider, and tokens for CI jobs
    #[command(subcommand)]
    Oidc(commands::oidc::Verb),
    /// Make users, show them, keep them out, give them passwords
    #[command(subcommand)]
    Users(commands::users::Verb),
    /// Make teams, and say who is in them
    #[command(subcommand)]
    Teams(commands::teams::Verb),
    /// Make service accounts, show them, keep them out
    #[command(subcommand)]
    Services(commands::services::Verb),
    /// Make, list and revoke API tokens
    #[command(subcommand)]
    Tokens(commands::tokens::Verb),
    /// Set and show how much users, teams and service accounts may have, and ask for more
    #[command(subcommand)]
    Quota(commands::quota::Verb),
    /// Show what was used, and what that costs
    Usage(commands::usage::Options),
    /// Show what an endpoint answered lately
    Logs(commands::logs::Options),
    /// Read the audit trail
    #[command(subcommand)]
    Audit(commands::audit::Verb),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn every_command_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}

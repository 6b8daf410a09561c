//! Logging in at a real, certified OpenID provider, without a browser, and tokens of CI jobs.

mod browser;
mod command;
mod exchange;
mod login;
mod provider;
mod refusals;

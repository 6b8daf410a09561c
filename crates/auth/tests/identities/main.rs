//! Users, teams, service accounts, tokens and sessions, over HTTP and a real database.

#![expect(clippy::unwrap_used, reason = "these are tests")]

mod accounts;
mod deletion;
mod logins;
mod platform;
mod sessions;
mod standing;
mod teams;
mod tokens;

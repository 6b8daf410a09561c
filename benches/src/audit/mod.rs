//! The audit trail: what an event costs the change that it records, how fast events are sealed and
//! verified, and how fast one is found among millions.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Result, median, platform::Platform, repository};

const EVENTS: u64 = 5_000_000;
const TURNS: u64 = 2_000;
const SEARCHES: usize = 20;

/// `events` of them; [`EVENTS`] unless told.
pub fn run(events: Option<&String>) -> Result<()> {
    let events = events.map_or(Ok(EVENTS), |events| events.parse())?;
    let platform = Platform::start()?;
    append(&platform)?;
    let file = repository("benches/src/audit/fill.sql");
    platform.sql(&file, &[("events", events.to_string())])?;
    seal(&platform, events)?;
    let began = Instant::now();
    let found: Value =
        serde_json::from_str(&platform.server().call("GET", "/api/v1/audit/verify", "")?)?;
    let checked = found["checked"].as_f64().unwrap_or_default();
    if found["ok"] != true || checked < events as f64 {
        return Err(format!("the trail is not good: {found}").into());
    }
    anstream::println!(
        "  verify: {checked:.0} events, {:.0} events/s (asked: >= 100000)",
        checked / began.elapsed().as_secs_f64()
    );
    search(&platform, events)
}

/// The share of an event in the transaction that it is in.
fn append(platform: &Platform) -> Result<()> {
    let file = repository("benches/src/audit/append.sql");
    let printed = platform.ask(&file, &[("turns", TURNS.to_string())])?;
    let times: Vec<f64> = printed.trim().split('|').flat_map(str::parse).collect();
    let [without, with] = times[..] else { return Err(format!("no times: {printed:?}").into()) };
    anstream::println!(
        "audit\n  append: a change of a model takes {without:.3} ms without its event, {with:.3} ms with it: {:.1} % of it (asked: <= 15 %)",
        (with - without) / with * 100.0
    );
    Ok(())
}

fn seal(platform: &Platform, events: u64) -> Result<()> {
    let began = Instant::now();
    let file = repository("benches/src/audit/sealed.sql");
    let until = began + Duration::from_secs(1800);
    while platform.ask(&file, &[])?.trim().parse::<u64>()? < events {
        if Instant::now() > until {
            return Err("the events are not sealed".into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    anstream::println!(
        "  seal: {events} events at once, {:.0} events/s",
        events as f64 / began.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Of one actor in one month.
fn search(platform: &Platform, events: u64) -> Result<()> {
    let server = platform.server();
    let mut taken = Vec::new();
    for turn in 0..SEARCHES {
        let actor = turn * 37 % 1000;
        // Somewhere in the past year, as the fill has it.
        let month = format!("2026-{:02}", 1 + turn % 9);
        let path = format!(
            "/api/v1/audit/events?actor=user:u{actor}&since={month}-01T00:00:00Z&until={month}-28T00:00:00Z"
        );
        let began = Instant::now();
        let page: Value = serde_json::from_str(&server.call("GET", &path, "")?)?;
        taken.push(began.elapsed().as_secs_f64() * 1000.0);
        if page["items"].as_array().is_none_or(Vec::is_empty) && events >= EVENTS {
            return Err(format!("nothing found: {path}").into());
        }
    }
    let most = taken.iter().copied().fold(0.0, f64::max);
    anstream::println!(
        "  search: by actor and time among {events}, a page of 100: {:.1} ms, {most:.1} ms at most (asked: <= 100)",
        median(&mut taken)
    );
    Ok(())
}

//! Every operation of the document, asked by every role, of one's own team's things, another team's
//! and nobody's: who may is let in, who may not is refused, and who may not even see it hears the
//! same as of what is not there.
//!
//! What is expected follows from `x-bottega-action` and from the table of `/api/v1/roles` alone. That
//! `x-bottega-action` is true is held against what was asked of `auth::Access` while the requests ran,
//! which the server logs.
//!
//! A new operation needs a row in `api.rs`, `mlflow.rs` or `inference.rs`: a request that can be
//! sent again and again, as it fails for another reason once it is let in, or is undone.

mod api;
mod inference;
mod mlflow;
mod needs;
mod rows;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, stream};

use needs::{Need, asked_in, needs_of};
use rows::{Names, Place, Row};
use world::{Answer, Principal, World};

/// Requests that are on their way at a time.
const AT_ONCE: usize = 8;

/// What somebody should hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Allowed,
    Forbidden,
    /// As if it were not there; the kind of thing that is hidden.
    Hidden(&'static str),
}

fn expected(who: &Principal, row: &Row, needs: &[Need], place: Place) -> Expected {
    let oversees = |action| who.may(action, Place::Platform);
    if row.is_overseen && ["audit", "administer"].into_iter().any(oversees) {
        return Expected::Allowed;
    }
    for need in needs.iter().filter(|need| need.is_asked_by(row)) {
        let receiving = row.receiving.filter(|_| need.is_sometimes());
        let at = match receiving {
            Some(receiving) => receiving,
            None if need.resource == "platform" => Place::Platform,
            None => place,
        };
        let may = |action: &str| who.may(action, at);
        if may(&need.action) || need.or.as_deref().is_some_and(may) {
            continue;
        }
        // What is to be made has no name that could be given away; names of models are everybody's.
        let makes = row.makes
            || (need.action == "register" && need.resource == "model")
            || receiving == Some(Place::Nobodys);
        if at == Place::Platform || makes || may("view") {
            return Expected::Forbidden;
        }
        return Expected::Hidden(if receiving.is_some() { "team" } else { "thing" });
    }
    Expected::Allowed
}

/// What is wrong with an answer, if anything.
async fn verdict(
    world: &World,
    who: &Principal,
    row: &Row,
    (names, place): (&Names, Place),
    expected: Expected,
    answer: &Answer,
) -> Option<String> {
    let wrong = |why: &str| Some(format!("{why}: expected {expected:?}"));
    // What artifacts in a folder cannot do is said with 501.
    let is_away = row.is_away && answer.status == 503;
    if answer.status >= 500 && answer.status != 501 && !is_away {
        return wrong("a failure of ours");
    }
    match expected {
        Expected::Allowed
            if matches!(answer.status, 401 | 403) && row.own_refusal != answer.status =>
        {
            wrong("refused")
        }
        Expected::Allowed
            if answer.status == 404 && place != Place::Platform && !row.is_absent_to_all =>
        {
            let absent = world.send(who, row, &names.absent("thing")).await;
            (absent.words(&names.absent("thing")) == answer.words(names))
                .then(|| "hidden from who may see it".to_owned())
        }
        Expected::Allowed => None,
        Expected::Forbidden if answer.status == row.refused => None,
        Expected::Forbidden => wrong("not refused"),
        Expected::Hidden(kind) => {
            let there = names.absent(kind);
            let absent = world.send(who, row, &there).await;
            let (heard, of_absent) = (answer.words(names), absent.words(&there));
            (absent.status != answer.status || heard != of_absent)
                .then(|| format!("not as what is not there ({}): {of_absent}", absent.status))
        }
    }
}

/// One request, by one principal, about one thing.
async fn case(
    world: &World,
    who: &Principal,
    row: &Row,
    needs: &[Need],
    place: Place,
) -> Option<String> {
    let mut names = world.names(row, place);
    if let Some((operation, body, (name, pointer))) = row.fresh {
        let made = world.as_administrator(operation, Some(body), &names).await;
        names.set(name, made.pointer(pointer).unwrap().as_str().unwrap());
    }
    let expected = expected(who, row, needs, place);
    let answer = world.send(who, row, &names).await;
    let mut wrong = verdict(world, who, row, (&names, place), expected, &answer).await;
    if let (true, Some(shown)) = (wrong.is_none(), row.shows) {
        let each = needs.iter().find(|need| need.each).unwrap();
        for place in Place::THINGS {
            let name = world.names(row, place).fill(shown);
            if answer.text.contains(&name) != who.may(&each.action, place) {
                wrong = Some(format!("{name} is shown or not against what {} may", who.name));
            }
        }
    }
    if answer.status < 300 {
        for (operation, body) in &row.undo {
            world.as_administrator(operation, body.as_deref(), &names).await;
        }
    }
    wrong.map(|why| format!("{} by {} of {place:?}: {why}: {answer:?}", row.operation, who.name))
}

async fn run(world: &World, rows: &[Row], needs: &BTreeMap<String, Vec<Need>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for row in rows {
        let needs = &needs[row.operation];
        let cases = world
            .principals
            .iter()
            .flat_map(|who| row.places(needs).iter().map(move |place| (who, *place)));
        let cases = cases.map(|(who, place)| case(world, who, row, needs, place));
        // What is undone is asked one after the other.
        let at_once = if row.undo.is_empty() && row.fresh.is_none() { AT_ONCE } else { 1 };
        let found: Vec<_> = stream::iter(cases).buffered(at_once).collect().await;
        wrong.extend(found.into_iter().flatten());
    }
    wrong
}

/// Whether what the document says is what was asked.
fn untrue(world: &World, rows: &[Row], needs: &BTreeMap<String, Vec<Need>>) -> Vec<String> {
    let log = asked_in(&world.server.log());
    let mut asked: BTreeMap<&str, BTreeSet<(String, String)>> = BTreeMap::new();
    for (request, operation) in world.requests.lock().unwrap().iter() {
        let of_operation = asked.entry(operation).or_default();
        of_operation.extend(log.get(request).into_iter().flatten().cloned());
    }
    let mut wrong = Vec::new();
    let sent: BTreeSet<_> = rows.iter().map(|row| row.operation).collect();
    for operation in sent {
        let (told, found) = (&needs[operation], &asked[operation]);
        for (action, kind) in found.iter().filter(|asked| !told.iter().any(|need| need.is(asked))) {
            wrong.push(format!(
                "{operation} asks `{action}:{kind}`, and x-bottega-action does not say so"
            ));
        }
        for need in told.iter().filter(|need| !found.iter().any(|asked| need.is(asked))) {
            if need.is_of_a_grant() && !need.is_asked_in_sql() {
                wrong.push(format!("{operation} says {need:?}, which no request was asked for"));
            }
        }
    }
    wrong
}

#[test]
fn every_operation_is_open_to_who_may_and_closed_to_everybody_else() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let needs = needs_of(&world.document);
    let rows = api::rows().into_iter().chain(mlflow::rows()).chain(inference::rows());
    let rows: Vec<Row> = rows.chain(api::last()).collect();
    let known: BTreeSet<&str> = rows.iter().map(|row| row.operation).collect();
    let mut wrong: Vec<String> = needs
        .keys()
        .filter(|operation| !known.contains(operation.as_str()))
        .map(|operation| {
            format!("{operation} has no row in tests/tests/matrix: write a request for it")
        })
        .collect();
    for operation in known.iter().filter(|operation| !needs.contains_key(**operation)) {
        wrong.push(format!("{operation} has a row in tests/tests/matrix, and is not in the document or says no x-bottega-action"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    wrong.extend(inference::over_grpc(&world));
    wrong.extend(runtime.block_on(run(&world, &rows, &needs)));
    wrong.extend(untrue(&world, &rows, &needs));
    let shown: Vec<_> = wrong.iter().take(1000).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), shown.join("\n"));
}

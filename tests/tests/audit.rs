//! The audit trail from outside: it is verified, exported, archived, and survives being killed.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bottega_tests::{Caller, Server, model, tool, wait_for};
use serde_json::{Value, json};

/// Statements as the cluster's superuser, past everything that the platform allows.
fn tamper(server: &Server, statements: &str) {
    let psql = tool("BOTTEGA_PG_BIN_DIR").join("psql");
    let socket = server.data_dir().join("postgres/run");
    let done = Command::new(psql)
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "bottega", "-d", "bottega", "-h"])
        .arg(socket)
        .args(["-c", statements])
        .status()
        .unwrap();
    assert!(done.success(), "{statements}");
}

/// A server with some changes behind it.
fn busy() -> Server {
    let server = Server::start();
    let caller = Caller::of(&server);
    for number in 0..10 {
        let body = json!({"name": format!("model-{number}")});
        caller.json("POST", "/api/2.0/mlflow/registered-models/create", &body).expect(200);
    }
    server
}

fn sealed(server: &Server) -> Value {
    let look = || server.cli(["audit", "verify"]).json();
    wait_for("everything is sealed", Duration::from_secs(20), look, |seen| seen["unsealed"] == 0);
    look()
}

#[test]
fn the_trail_is_verified_and_the_first_bad_event_named() {
    let server = busy();
    let found = sealed(&server);
    assert_eq!(found["ok"], true);
    assert!(found["checked"].as_i64().unwrap() > 10, "{found}");
    assert_eq!(found["first_bad"], Value::Null);
    let plain = server.get_as_admin("/api/v1/audit/verify");
    assert_eq!((plain.0, &plain.1["ok"]), (200, &json!(true)));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoints.json");
    let checkpoint = server.cli(["audit", "checkpoint"]).json();
    std::fs::write(&file, checkpoint.to_string()).unwrap();
    let with = ["audit", "verify", "--checkpoint", file.to_str().unwrap()];
    assert_eq!(server.cli(with).json()["ok"], true);
    let listed = server.get_as_admin("/api/v1/audit/checkpoints").1;
    assert!(
        listed["items"].as_array().unwrap().iter().any(|item| item["seal"] == checkpoint["seal"])
    );

    // A checkpoint that somebody changed is refused, whatever the chain says.
    let mut forged = checkpoint.clone();
    forged["total"] = json!(1);
    std::fs::write(&file, forged.to_string()).unwrap();
    assert_eq!(server.cli(with).error(1)["field"], "checkpoints");
    std::fs::write(&file, checkpoint.to_string()).unwrap();

    let events = server.cli(["audit", "list"]).json();
    let event = &events["items"][3];
    let id = event["id"].as_i64().unwrap();
    tamper(&server, &format!("UPDATE audit_events SET actor = 'user:nobody' WHERE id = {id}"));
    let answer = server.cli(["audit", "verify"]);
    assert_eq!(answer.code, 1, "{}", answer.stderr);
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((&found["ok"], &found["first_bad"]["event"]), (&json!(false), &json!(id)));
    assert_eq!(found["first_bad"]["damage"], "changed");

    // Put right, and the tail cut off: only the checkpoint tells.
    tamper(&server, &format!("UPDATE audit_events SET actor = 'user:admin' WHERE id = {id}"));
    assert_eq!(server.cli(["audit", "verify"]).json()["ok"], true);
    tamper(
        &server,
        "DELETE FROM audit_checkpoints;
         DELETE FROM audit_events WHERE (xid, id) > (SELECT last_xid, last_id FROM audit_seals WHERE number = 1);
         DELETE FROM audit_seals WHERE number > 1",
    );
    assert_eq!(server.cli(["audit", "verify"]).json()["ok"], true);
    let answer = server.cli(with);
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(answer.code, 1);
    let damage = found["first_bad"]["damage"].as_str().unwrap();
    assert!(["cut", "rewritten"].contains(&damage), "{found}");
}

#[test]
fn events_are_exported_in_both_formats_and_the_export_is_recorded() {
    let server = busy();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.cef");
    let cef = ["audit", "export", "--format", "cef", "--action", "register", "--to"];
    let done = server.cli(cef.iter().copied().chain([file.to_str().unwrap()])).json();
    assert_eq!(done["events"], 10);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 10);
    for line in lines {
        assert!(line.starts_with("CEF:0|Bottega|Bottega|"), "{line}");
        assert!(line.contains(" cs1=model:model-") && line.contains(" src=127.0.0.1 "), "{line}");
    }
    let answer = server.cli(["audit", "export", "--resource", "model:model-3"]);
    let event: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((&event["actor"], &event["decision"]), (&json!("user:admin"), &json!("allowed")));
    let exports = server.cli(["audit", "list", "--change", "audit.exported"]).json();
    let exports = exports["items"].as_array().unwrap();
    assert_eq!(exports.len(), 2);
    assert_eq!(exports[1]["detail"], json!({"format": "cef", "filter": {"action": "register"}}));
    let wrong = server.cli(["audit", "list", "--decision", "maybe"]).error(1);
    assert_eq!(wrong["field"], "decision");
}

#[test]
fn old_events_move_into_a_file_that_is_verified_against_the_chain() {
    let server = busy();
    let before = sealed(&server)["checked"].as_i64().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.ndjson.gz");
    let archive = ["audit", "archive", "--before", "2999-01-01T00:00:00Z", "--to"];
    let archive = || archive.iter().copied().chain([file.to_str().unwrap()]);
    assert_eq!(server.cli(archive().chain(["--keep"])).json()["deleted"], false);
    assert_eq!(server.cli(archive()).code, 1, "the file is there already");
    let known = ["audit", "verify", "--archive", file.to_str().unwrap()];
    assert_eq!(server.cli(known).code, 1, "nobody knows this archive yet");
    std::fs::remove_file(&file).unwrap();
    let done = server.cli(archive()).json();
    assert_eq!(done["deleted"], true);
    let events = done["archive"]["events"].as_i64().unwrap();
    assert!(events >= before, "{done}");
    assert_eq!(server.cli(known).json()["ok"], true);
    let found = sealed(&server);
    assert_eq!((&found["ok"], &found["archived"]), (&json!(true), &json!(events)));
    let left = server.cli(["audit", "list"]).json();
    assert_eq!(left["items"][0]["change"], "audit.archived");

    // A byte of it changes.
    let mut bytes = Vec::new();
    let mut zipped =
        Command::new("gzip").arg("-dc").arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    std::io::copy(zipped.stdout.as_mut().unwrap(), &mut bytes).unwrap();
    zipped.wait().unwrap();
    let text = String::from_utf8(bytes).unwrap().replacen("model-3", "model-9", 1);
    zip(&file, &text);
    let refused = server.cli(known).error(1);
    assert!(refused["message"].as_str().unwrap().contains("does not fit its events"), "{refused}");
}

fn zip(file: &Path, text: &str) {
    let out = std::fs::File::create(file).unwrap();
    let mut zipped =
        Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(out).spawn().unwrap();
    zipped.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(zipped.wait().unwrap().success());
}

#[test]
fn endpoints_and_grants_are_known_as_they_were() {
    let server = busy();
    server.serve("cancer", &model("breast_cancer.onnx"));
    let at = |moment: &str| {
        let path = format!("/api/v1/endpoints/cancer/history?as_of={moment}");
        server.get_as_admin(&path).1
    };
    let now = at("2999-01-01T00:00:00Z");
    let standing = &now["standing"]["state"];
    assert_eq!(standing["follows"], "cancer@champion", "{now}");
    assert_eq!(
        standing["live_versions"],
        json!([{"model": "cancer", "version": 1, "weight": 100}])
    );
    let first = now["items"].as_array().unwrap().last().unwrap();
    assert!(first["state"].get("live_release").is_none(), "{now}");
    let long_ago = at("2000-01-01T00:00:00Z");
    assert_eq!((&long_ago["items"], long_ago.get("standing")), (&json!([]), None));
    let before = first["at"].as_str().unwrap();
    let then = at(before)["standing"]["state"].clone();
    assert_eq!((&then["follows"], then.get("live_release")), (&json!("cancer@champion"), None));

    let grants = server.get_as_admin("/api/v1/audit/grants?as_of=2999-01-01T00:00:00Z").1;
    let grant = &grants["items"][0]["state"];
    assert_eq!(
        (&grant["subject"], &grant["action"]),
        (&json!("user:admin"), &json!("role:administrator"))
    );
    let wrong = server.get_as_admin("/api/v1/audit/grants");
    assert_eq!((wrong.0, &wrong.1["error"]["field"]), (400, &json!("as_of")));
}

/// A moment between 0 and `most`, another one each time.
fn moment(most: Duration) -> Duration {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    most.mul_f64(f64::from(nanos % 1000) / 1000.0)
}

/// Changes a description again and again until nobody answers; answers the last one that was taken.
fn describe(server: &Server, mut number: usize) -> usize {
    let (http, token) = (server.plain(), server.token);
    let url = format!("{}/api/v1/models/model-0", server.url);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        loop {
            let body = json!({"description": (number + 1).to_string()});
            let sent = http.patch(&url).bearer_auth(token).json(&body).send().await;
            match sent {
                Ok(answer) => assert!(answer.status().is_success(), "{answer:?}"),
                Err(_) => return number,
            }
            number += 1;
        }
    })
}

#[test]
fn fifty_kills_leave_both_the_change_and_its_event_or_none() {
    let mut server = busy();
    let mut number = 0;
    let mut tried = 0;
    for turn in 0..50 {
        let before = number;
        number = std::thread::scope(|scope| {
            let changing = scope.spawn(|| describe(&server, before));
            std::thread::sleep(moment(Duration::from_millis(300)));
            nix::sys::signal::kill(server.pid(), nix::sys::signal::Signal::SIGKILL).unwrap();
            changing.join().unwrap()
        });
        tried += number - before;
        server = server.kill_and_restart();
        let model = server.get_as_admin("/api/v1/models/model-0").1;
        let events = server
            .get_as_admin("/api/v1/audit/events?resource=model:model-0&change=model.edited&limit=1")
            .1;
        let is: usize = model["description"].as_str().unwrap().parse().unwrap_or_default();
        let told = &events["items"][0]["detail"]["after"]["description"];
        let told: usize = told.as_str().unwrap_or("0").parse().unwrap();
        assert_eq!(
            is, told,
            "turn {turn}: a change without its event, or an event without its change"
        );
        assert!(is == number || is == number + 1, "turn {turn}: {is} after {number} was answered");
        number = is;
    }
    assert!(tried > 50, "hardly anything was tried: {tried}");
    let found = sealed(&server);
    assert_eq!(found["ok"], true, "{found}");
}

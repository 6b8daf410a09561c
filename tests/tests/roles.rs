//! The same binary as several processes, one role each, on a database and artifacts that they share.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bottega_tests::{
    Caller, Database, Options, Platform, Server, bottega, model, model_json, wait_until,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use store::testing::ChaosProxy;

const SOON: Duration = Duration::from_secs(20);

/// One prediction; which version made it.
fn ask(gateway: &Server, endpoint: &str) -> i64 {
    let caller = Caller::of(gateway);
    let example = model_json("breast_cancer.example.json");
    let answer = caller.json("POST", &format!("/v2/models/{endpoint}/infer"), &example);
    answer.expect(200)["model_version"].as_str().unwrap().parse().unwrap()
}

/// Pushes the model beside a file that makes its bytes others.
fn push(registry: &Server, note: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(model("breast_cancer.onnx"), folder.path().join("model.onnx")).unwrap();
    std::fs::write(folder.path().join("note"), note).unwrap();
    registry.cli(["push", path(folder.path()), "--name", "cancer", "--alias", "champion"]).json()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn check(server: &Server, name: &str) -> bool {
    let (_, health) = server.get("/health/ready");
    let mut checks = health["checks"].as_array().unwrap().iter();
    checks.find(|check| check["name"] == name).unwrap()["ok"].as_bool().unwrap()
}

#[test]
fn registries_gateways_and_a_deployer_are_one_platform_and_each_may_be_killed() {
    let database = Database::empty();
    let platform = Platform::on(&database.url);
    // Both migrate, at the same time.
    let (registry, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| platform.start("registry", "registry-1"));
        let two = scope.spawn(|| platform.start("registry", "registry-2"));
        (one.join().unwrap(), two.join().unwrap())
    });
    let mut deployer = platform.start("deployer", "deployer");
    let mut gateway = platform.start("gateway", "gateway-1");
    let second = platform.start("gateway", "gateway-2");
    assert!(!gateway.grpc.is_empty() && registry.grpc.is_empty() && deployer.grpc.is_empty());

    // Each serves what belongs to its role, and nothing else.
    for (server, found, absent) in [
        (&registry, "/api/v1/models", "/v2"),
        (&gateway, "/v2", "/api/v1/models"),
        (&deployer, "/metrics", "/api/v1/models"),
    ] {
        assert_eq!(server.get_as_admin(found).0, 200, "{found}");
        assert_eq!(server.get_as_admin(absent).0, 404, "{absent}");
        assert_eq!(server.get("/health/ready").0, 200);
    }

    assert_eq!(push(&registry, "one")["status"], "ready");
    // By the other registry; whoever was told that it is live may ask at once.
    for turn in 0..5 {
        let endpoint = format!("cancer-{turn}");
        other.cli(["deploy", &endpoint, "--model", "cancer@champion", "--wait"]).json();
        assert_eq!((ask(&gateway, &endpoint), ask(&second, &endpoint)), (1, 1));
    }

    gateway.signal(Signal::SIGKILL);
    assert_eq!(ask(&second, "cancer-0"), 1);
    deployer.signal(Signal::SIGKILL);
    let waiting =
        registry.cli(["push", path(&model("digits.onnx")), "--name", "digits", "--no-wait"]);
    assert_eq!(waiting.json()["status"], "pending");
    assert_eq!(ask(&second, "cancer-0"), 1);
    // The new deployer finds what was left, and soon nobody waits for the dead gateway.
    let _deployer = platform.start("deployer", "deployer");
    wait_until("the version is tried", SOON, || {
        other.cli(["versions", "show", "digits/1"]).json()["status"] == "ready"
    });
    assert_eq!(push(&other, "two")["version"], 2);
    wait_until("the new version answers", SOON, || ask(&second, "cancer-0") == 2);
    // One that comes later holds what is live before it says that it is ready.
    let third = platform.start("gateway", "gateway-3");
    assert_eq!(ask(&third, "cancer-0"), 2);
}

#[test]
fn the_program_may_be_replaced_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("bottega");
    std::fs::copy(bottega(), &copy).unwrap();
    let instead = ["sh", "-c", r#"shift && exec "$0" "$@""#, path(&copy)];
    let under = instead.map(str::to_owned).into();
    let server = Server::start_with(Options { under, ..Options::default() });
    std::fs::write(folder.path().join("new"), "another program").unwrap();
    std::fs::rename(folder.path().join("new"), &copy).unwrap();
    // Trials are processes of this program.
    server.serve("cancer", &model("breast_cancer.onnx"));
    assert_eq!(ask(&server, "cancer"), 1);
}

#[test]
fn while_the_database_is_away_predictions_go_on_and_everything_else_says_so() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = Database::empty();
    let (proxy, url) = runtime.block_on(ChaosProxy::to(&database.url));
    let platform = Platform::on(&url);
    let registry = platform.start("registry", "registry");
    let deployer = platform.start("deployer", "deployer");
    let gateway = platform.start("gateway", "gateway");
    push(&registry, "one");
    registry.cli(["deploy", "cancer", "--model", "cancer@champion", "--wait"]).json();
    assert_eq!(ask(&gateway, "cancer"), 1);

    proxy.cut();
    let api = Caller::of(&registry);
    let since = Instant::now();
    let mut answers = 0;
    // Longer than any look at the tables, and than a token is taken for granted without one.
    while since.elapsed() < Duration::from_secs(4) {
        assert_eq!(ask(&gateway, "cancer"), 1);
        answers += 1;
    }
    assert!(answers > 20, "only {answers} answers");
    for server in [&registry, &gateway, &deployer] {
        assert_eq!(server.get("/health/ready").0, 503);
        assert!(!check(server, "database") && check(server, "artifacts"));
        assert_eq!(server.get("/health/live").0, 200);
    }
    let begun = Instant::now();
    for reply in [
        api.ask("GET", "/api/v1/models"),
        api.json("POST", "/api/v1/models", &json!({"name": "new"})),
        api.json("PUT", "/api/v1/endpoints/new", &json!({"model": "cancer/1"})),
    ] {
        let (_, text) = reply.refusal(503);
        assert_eq!(reply.body["error"]["code"], "unavailable");
        assert_eq!(reply.headers["retry-after"], "1");
        assert!(text.contains("database"), "{text}");
        assert!(!text.contains("postgres://") && !text.contains("127.0.0.1"), "{text}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "it took {:?} to say so", begun.elapsed());

    // Who starts meanwhile waits for it.
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| platform.start("gateway", "gateway-2"));
        std::thread::sleep(Duration::from_secs(1));
        assert!(!starting.is_finished(), "it started without a database");
        proxy.restore();
        let second = starting.join().unwrap();
        assert_eq!(ask(&second, "cancer"), 1);
    });
    for server in [&registry, &gateway, &deployer] {
        wait_until("all is well again", SOON, || server.get("/health/ready").0 == 200);
    }
    assert_eq!(push(&registry, "two")["status"], "ready");
    wait_until("the new version answers", SOON, || ask(&gateway, "cancer") == 2);
}

/// Two hundred clients, half of them on each of two gateways.
#[test]
fn two_gateways_never_let_through_more_than_the_limit_and_a_lease() {
    const RATE: u64 = 30;
    let database = Database::empty();
    let platform = Platform::on(&database.url);
    let registry = platform.start("registry", "registry");
    let _deployer = platform.start("deployer", "deployer");
    let gateways = [platform.start("gateway", "gateway-1"), platform.start("gateway", "gateway-2")];
    push(&registry, "one");
    registry.cli(["deploy", "cancer", "--model", "cancer@champion", "--wait"]).json();
    let limits = [format!("requests_per_second={RATE}"), "burst=10".to_owned()];
    registry.cli(["quota", "set", "user:admin", &limits[0], &limits[1]]).json();
    wait_until("both keep to it", SOON, || {
        gateways.iter().all(|gateway| {
            let (caller, example) = (Caller::of(gateway), model_json("breast_cancer.example.json"));
            (0..60).any(|_| caller.json("POST", "/v2/models/cancer/infer", &example).status == 429)
        })
    });
    let through = Arc::new(AtomicU64::new(0));
    let body = model_json("breast_cancer.example.json").to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let clients: Vec<_> = (0..200)
            .map(|at| {
                let server = &gateways[at % 2];
                let request = server
                    .plain()
                    .post(format!("{}/v2/models/cancer/infer", server.url))
                    .bearer_auth(server.token)
                    .header("content-type", "application/json")
                    .body(body.clone());
                let through = Arc::clone(&through);
                tokio::spawn(async move {
                    while began.elapsed() < Duration::from_secs(5) {
                        let answer = request.try_clone().unwrap().send().await.unwrap();
                        match answer.status().as_u16() {
                            200 => drop(through.fetch_add(1, Relaxed)),
                            429 => tokio::time::sleep(Duration::from_millis(20)).await,
                            other => panic!("{other}"),
                        }
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
    let (through, time) = (through.load(Relaxed), began.elapsed().as_secs_f64());
    let most = RATE as f64 * (time + 0.25) + 10.0;
    assert!(through as f64 <= most, "{through} in {time} s, at most {most}");
    assert!(through as f64 >= RATE as f64 * 2.0, "{through} in {time} s");
}

//! What a user would pick instead, on the same models and cores: FastAPI with ONNX Runtime, Triton with
//! dynamic batching, MLServer.
//!
//! Each is installed when it is asked for, by pinned requirements, and started by the script of its name
//! here. Its answers are checked first. Ours and theirs take turns, and the figures are medians of the
//! turns: requests a second, CPU for a request of all processes of each (ours with its Postgres), p99,
//! memory (ours with and without Postgres), and the time from the start of the process to its first answer.
//! They answer less than we do: the probabilities alone, without authentication, quotas and records.

mod server;

use serde_json::{Value, json};

use self::server::Running;
use crate::{
    Pressed, Result, TURNS, awake::Awake, grpc, http::Server, load, load::Target, median,
    platform::Platform, repository,
};

/// How a request is written.
#[derive(Clone, Copy)]
enum Form {
    /// `{"instances": [[…], …]}`
    Rows,
    /// Open Inference V2.
    V2,
}

/// Somebody else's server.
struct Peer {
    name: &'static str,
    /// Where its Python is.
    variable: &'static str,
    script: &'static str,
    path: &'static str,
    form: Form,
    /// Whether it speaks gRPC too, on the next port.
    grpc: bool,
}

const V2: &str = "/v2/models/model/infer";
const PEERS: [Peer; 3] = [
    Peer {
        name: "fastapi",
        variable: "BOTTEGA_FASTAPI",
        script: "fastapi_app.py",
        path: "/predict",
        form: Form::Rows,
        grpc: false,
    },
    Peer {
        name: "triton",
        variable: "BOTTEGA_TRITON",
        script: "triton_app.py",
        path: V2,
        form: Form::V2,
        grpc: true,
    },
    Peer {
        name: "mlserver",
        variable: "BOTTEGA_MLSERVER",
        script: "mlserver_app.py",
        path: V2,
        form: Form::V2,
        grpc: true,
    },
];

/// A model, and how it is asked.
struct Work {
    model: &'static str,
    about: &'static str,
    rows: usize,
    connections: &'static [usize],
}

const WORK: [Work; 2] = [
    Work {
        model: "breast_cancer",
        about: "one row, logistic regression",
        rows: 1,
        connections: &[1, 64],
    },
    Work {
        model: "digits",
        about: "32 rows of 64 floats, small network",
        rows: 32,
        connections: &[64],
    },
];

/// Compares with these peers, or all.
pub fn run(names: &[String]) -> Result<()> {
    let known: Vec<_> = PEERS.iter().map(|peer| peer.name).collect();
    if let Some(other) = names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("`{other}`: expected {}", known.join(", ")).into());
    }
    for peer in
        PEERS.iter().filter(|peer| names.is_empty() || names.iter().any(|name| name == peer.name))
    {
        server::install(peer.name)?;
        for work in &WORK {
            anstream::println!("{}: {}", peer.name, work.about);
            compare(peer, work)?;
        }
    }
    Ok(())
}

fn compare(peer: &Peer, work: &Work) -> Result<()> {
    let model = repository(&format!("tests/models/data/{}.onnx", work.model));
    let example = repository(&format!("tests/models/data/{}.example.json", work.model));
    let bodies = bodies(&example, work.rows, peer.form)?;
    let ours_bodies = self::bodies(&example, work.rows, Form::V2)?;
    let platform = Platform::start()?;
    platform.deploy(&model, "model")?;
    let (platform, our_first) = platform.again(V2, &ours_bodies[0])?;
    let (theirs, their_first) = Running::start(peer, &model, &bodies[0])?;
    let (us, them) = (platform.server(), theirs.server());
    check(&us, &ours_bodies, &them, peer, &bodies)?;

    let json = requests(&us, V2, &ours_bodies);
    let binary = load::binary_bodies(&example, work.rows)?;
    let binary = binary.iter().map(|(json, tensors)| us.binary(V2, json, tensors)).collect();
    let binary = Target::again(&us, binary);
    let theirs_json = requests(&them, peer.path, &bodies);
    for &connections in work.connections {
        for (form, ours) in [("JSON", &json), ("binary tensors", &binary)] {
            let turns = turns((&platform, ours), (&theirs, &theirs_json), connections)?;
            anstream::println!("  {connections:3} connections, {form} against JSON: {turns}");
        }
    }
    if peer.grpc {
        compare_grpc(&platform, &theirs, &example, work)?;
    }
    let (own, all) = (platform.own_mib()?, platform.resident_mib()?);
    let their_memory = theirs.resident_mib()?;
    anstream::println!(
        "  memory {own:.0}, with Postgres {all:.0}, against {their_memory:.0} MiB ({:.2}x, {:.2}x), first answer {:.2} against {:.2} s ({:.2}x)",
        own / their_memory,
        all / their_memory,
        our_first.as_secs_f64(),
        their_first.as_secs_f64(),
        our_first.as_secs_f64() / their_first.as_secs_f64(),
    );
    Ok(())
}

/// The same by gRPC, raw tensors both ways where they speak so.
fn compare_grpc(
    platform: &Platform,
    theirs: &Running,
    example: &std::path::Path,
    work: &Work,
) -> Result<()> {
    let requests = grpc::requests(example, "model", work.rows)?;
    let us = grpc::Target::new(&platform.grpc()?, Some(&platform.authorization()), &requests)?;
    let them = grpc::Target::new(&theirs.grpc(), None, &requests)?;
    const OUTPUT: &str = "probabilities";
    for (ours, theirs) in us.floats(OUTPUT)?.into_iter().zip(them.floats(OUTPUT)?) {
        let numbers = |floats: Vec<f32>| floats.into_iter().map(f64::from).collect::<Vec<_>>();
        same(&numbers(ours), &numbers(theirs))?;
    }
    for &connections in work.connections {
        let turns = turns((platform, &us), (theirs, &them), connections)?;
        anstream::println!("  {connections:3} connections, gRPC against gRPC: {turns}");
    }
    let most = work.connections.iter().max().copied().unwrap_or(1);
    let turns = turns((platform, &grpc::ByOne(us)), (theirs, &grpc::ByOne(them)), most)?;
    anstream::println!("  {most:3} calls at a time on one connection of gRPC: {turns}");
    Ok(())
}

fn requests(server: &Server, path: &str, bodies: &[String]) -> Target {
    Target::again(server, bodies.iter().map(|body| server.request("POST", path, body)).collect())
}

/// Both in turns, as a line of medians.
fn turns(
    (platform, ours): (&Platform, &impl Pressed),
    (peer, theirs): (&Running, &impl Pressed),
    connections: usize,
) -> Result<String> {
    let _awake = Awake::for_connections(connections)?;
    let (mut rates, mut costs, mut p99s) = (Vec::new(), Vec::new(), Vec::new());
    let (mut our_rates, mut their_rates) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let before = (platform.cpu_of_all()?, peer.cpu()?);
        let us = ours.turn(connections)?;
        let our_cost = (platform.cpu_of_all()? - before.0) / us.requests;
        let them = theirs.turn(connections)?;
        let their_cost = (peer.cpu()? - before.1) / them.requests;
        rates.push(us.rate() / them.rate());
        costs.push(their_cost / our_cost);
        p99s.push(us.p99 / them.p99);
        our_rates.push(us.rate());
        their_rates.push(them.rate());
    }
    Ok(format!(
        "{:.0} against {:.0} requests/s: {:.1}x; a request costs 1/{:.1} of the CPU; p99 {:.2}x",
        median(&mut our_rates),
        median(&mut their_rates),
        median(&mut rates),
        median(&mut costs),
        median(&mut p99s),
    ))
}

/// 16 different bodies of so many rows of an example, over and over.
fn bodies(example: &std::path::Path, rows: usize, form: Form) -> Result<Vec<String>> {
    let example: Value = serde_json::from_slice(&std::fs::read(example)?)?;
    let input = &example["inputs"][0];
    let width = input["shape"][1].as_u64().ok_or("the example has no second dimension")? as usize;
    let data = input["data"].as_array().ok_or("the example has no data")?;
    let flat: Vec<_> = data
        .iter()
        .flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]))
        .collect();
    let body = |first: usize| {
        let values: Vec<_> =
            flat.iter().cycle().skip(first * width).take(rows * width).cloned().collect();
        match form {
            Form::Rows => json!({"instances": values.chunks(width).collect::<Vec<_>>()}),
            Form::V2 => json!({"inputs": [{
                "name": input["name"], "shape": [rows, width], "datatype": input["datatype"], "data": values,
            }]}),
        }
        .to_string()
    };
    Ok((0..16).map(body).collect())
}

/// Whether both say the same.
fn check(
    us: &Server,
    ours: &[String],
    them: &Server,
    peer: &Peer,
    theirs: &[String],
) -> Result<()> {
    for (our_body, their_body) in ours.iter().zip(theirs) {
        let answer: Value = serde_json::from_str(&us.call("POST", V2, our_body)?)?;
        let ours = probabilities(&answer)?;
        let answer: Value = serde_json::from_str(&them.call("POST", peer.path, their_body)?)?;
        let theirs = probabilities(&answer)?;
        same(&ours, &theirs)?;
    }
    Ok(())
}

fn same(ours: &[f64], theirs: &[f64]) -> Result<()> {
    let is_close = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-4;
    if ours.len() != theirs.len() || ours.is_empty() || !ours.iter().zip(theirs).all(is_close) {
        return Err(format!("they answer otherwise: {theirs:?}, not {ours:?}").into());
    }
    Ok(())
}

fn probabilities(answer: &Value) -> Result<Vec<f64>> {
    let by_name = |output: &&Value| output["name"] == "probabilities";
    let tensor = answer["outputs"].as_array().and_then(|outputs| outputs.iter().find(by_name));
    let data = tensor.map_or(&answer["predictions"], |tensor| &tensor["data"]);
    let data = data.as_array().ok_or_else(|| format!("no probabilities in {answer}"))?;
    let flat =
        data.iter().flat_map(|it| it.as_array().cloned().unwrap_or_else(|| vec![it.clone()]));
    Ok(flat.filter_map(|value| value.as_f64()).collect())
}

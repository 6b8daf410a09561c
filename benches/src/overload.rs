//! More requests than can be answered: what is answered all the same, how late, and whose they are.

use std::{thread, time::Duration};

use serde_json::json;

use crate::{
    Result, TURN, TURNS,
    http::Server,
    load::{Offered, Target},
    median,
    platform::Platform,
    processes, repository,
};

/// How long a run shall take about: so long that the load itself costs little beside it.
const RUN: f64 = 2.0;
/// How long more than can be answered is offered before it is counted: in the first moments nobody knows
/// yet that it goes on.
const SETTLES: Duration = Duration::from_secs(1);
/// How much more than can be answered is offered.
const TIMES: f64 = 3.0;
/// Connections that offer it, more than ever wait: those of whom all wait offer no more than is answered.
const CONNECTIONS: usize = 2048;
/// How much more the one tenant sends than the other, whose share of the peak is that part.
const LOUDER: f64 = 20.0;
const QUIET: f64 = 0.15;

/// The figures; with `fair`, those of two tenants.
pub fn run(what: Option<&String>) -> Result<()> {
    match what.map(String::as_str) {
        None => overload(&Slow::start()?),
        Some("fair") => fair(&Slow::start()?),
        Some(other) => Err(format!("`{other}`: expected fair, or nothing").into()),
    }
}

/// A platform with a model whose every run takes [`RUN`] or more.
struct Slow {
    platform: Platform,
    iterations: u64,
}

impl Slow {
    fn start() -> Result<Self> {
        let platform = Platform::start()?;
        platform.deploy(&repository("tests/models/data/slow.onnx"), "slow")?;
        let mut slow = Self { platform, iterations: 100 };
        while slow.asked().press(1, Duration::from_millis(500))?.p50 < RUN {
            slow.iterations *= 2;
        }
        Ok(slow)
    }

    /// It, asked by the administrator.
    fn asked(&self) -> Target {
        self.asked_by(&self.platform.server())
    }

    fn asked_by(&self, server: &Server) -> Target {
        let body = json!({"inputs": [{
            "name": "iterations", "shape": [1], "datatype": "INT64", "data": [self.iterations],
        }]});
        let request = server.request("POST", "/v2/models/slow/infer", &body.to_string());
        Target::again(server, vec![request])
    }

    /// It, asked by a service account of that name, which is a tenant by itself.
    fn asked_by_tenant(&self, name: &str) -> Result<Target> {
        let server = self.platform.server();
        let service = format!("service:{name}");
        server.json("POST", "/api/v1/services", &json!({"name": name}))?;
        let token = json!({"name": "bench", "holder": service});
        let made = server.json("POST", "/api/v1/tokens", &token)?;
        let token = made["token"].as_str().ok_or("no token")?;
        self.platform.cli(&["grants", "add", &service, "invoke", "endpoint:slow"])?;
        Ok(self.asked_by(&Server::new(&server.address, Some(format!("Bearer {token}")))))
    }

    /// The most that it answers in a second.
    fn peak(&self) -> Result<f64> {
        let mut peak: f64 = 0.0;
        for connections in [2, 4, 8, 16] {
            peak = peak.max(self.asked().press(connections, TURN / 2)?.rate());
        }
        Ok(peak)
    }
}

fn overload(slow: &Slow) -> Result<()> {
    let (mut goodput, mut late, mut shed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut taken) = (Vec::new(), Vec::new());
    let lasts = (SETTLES + TURN * 2).as_secs_f64();
    let cores = thread::available_parallelism()?.get() as f64;
    let own_cpu = || processes::own_cpu(std::process::id());
    let (mut answering, mut refusing, mut first) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let unloaded = slow.asked().press(1, TURN)?;
        let peak = slow.peak()?;
        let before = slow.platform.cpu()?;
        let busy = slow.asked().press(16, TURN)?;
        let of_answer = (slow.platform.cpu()? - before) / busy.requests;
        let (before, own) = (slow.platform.cpu()?, own_cpu()?);
        let offered = slow.asked().offer(TIMES * peak, CONNECTIONS, SETTLES, TURN * 2)?;
        let of_all = slow.platform.cpu()? - before;
        taken.push((own_cpu()? - own) / lasts / cores);
        let Offered { settling, answered, refused } = offered;
        first.push(settling.p99 / unloaded.p99);
        goodput.push(answered.rate() / peak);
        late.push(answered.p99 / unloaded.p99);
        let all = refused + settling.requests + answered.requests;
        times.push(all / lasts / peak);
        shed.push(refused / all);
        answering.push(1e6 * of_answer);
        refusing
            .push(1e6 * (of_all - of_answer * (settling.requests + answered.requests)) / refused);
    }
    anstream::println!(
        "overload: {:.1} times the peak offered (meant: {TIMES}), runs of {RUN} ms and more: goodput {:.2} of the peak, p99 of what is answered {:.1}x unloaded ({:.1}x in the first {SETTLES:?}, until it is seen), {:.0} % refused; CPU of an answer {:.0} us, of a refusal {:.0} us; what offers it has {:.2} of the processors",
        median(&mut times),
        median(&mut goodput),
        median(&mut late),
        median(&mut first),
        100.0 * median(&mut shed),
        median(&mut answering),
        median(&mut refusing),
        median(&mut taken),
    );
    Ok(())
}

fn fair(slow: &Slow) -> Result<()> {
    let quiet = slow.asked_by_tenant("quiet")?;
    let loud = slow.asked_by_tenant("loud")?;
    let (mut kept, mut all) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let peak = slow.peak()?;
        let rate = QUIET * peak;
        let connections = CONNECTIONS / 8;
        let alone = quiet.offer(rate, connections, Duration::ZERO, TURN)?.answered.rate();
        let (beside, louder) = thread::scope(|scope| {
            let louder =
                scope.spawn(|| loud.offer(LOUDER * rate, CONNECTIONS, Duration::ZERO, TURN * 2));
            // Once there is overload.
            thread::sleep(TURN / 2);
            let beside = quiet.offer(rate, connections, Duration::ZERO, TURN);
            let louder = louder.join().map_err(|_| "the load ended early")?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((beside?, louder?))
        })?;
        let beside = beside.answered.rate();
        anstream::println!(
            "  peak {peak:.0}/s   quiet alone {alone:.0}/s   quiet beside {beside:.0}/s   loud {:.0}/s of {:.0}/s",
            louder.answered.rate(),
            LOUDER * rate,
        );
        kept.push(beside / alone);
        all.push((beside + louder.answered.rate()) / peak);
    }
    anstream::println!(
        "fair share: a tenant at {QUIET} of the peak beside one at {LOUDER} times as much keeps {:.2} of its goodput; both together have {:.2} of the peak",
        median(&mut kept),
        median(&mut all),
    );
    Ok(())
}

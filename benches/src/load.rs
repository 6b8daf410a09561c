//! A load generator: keep-alive connections, each with one request in flight.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{Result, http::Server};

/// One-row request bodies out of an example with many rows: different ones, so that nothing can
/// answer from memory.
pub fn bodies(example: &Path) -> Result<Vec<String>> {
    let example: serde_json::Value = serde_json::from_slice(&std::fs::read(example)?)?;
    let input = &example["inputs"][0];
    let width = input["shape"][1].as_u64().ok_or("the example has no second dimension")? as usize;
    let data = input["data"].as_array().ok_or("the example has no data")?;
    let flat: Vec<_> = data
        .iter()
        .flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]))
        .collect();
    let bodies = flat.chunks(width).take(16).map(|row| {
        serde_json::json!({"inputs": [{
            "name": input["name"], "shape": [1, width], "datatype": input["datatype"], "data": row,
        }]})
        .to_string()
    });
    Ok(bodies.collect())
}

/// Requests of so many rows in binary, as JSON and the bytes behind it: the example's rows over and
/// over, each request beginning with another one.
pub fn binary_bodies(example: &Path, rows: usize) -> Result<Vec<(String, Vec<u8>)>> {
    let example: serde_json::Value = serde_json::from_slice(&std::fs::read(example)?)?;
    let input = &example["inputs"][0];
    let width = input["shape"][1].as_u64().ok_or("the example has no second dimension")? as usize;
    let data = input["data"].as_array().ok_or("the example has no data")?;
    let number =
        |value: &serde_json::Value| value.as_f64().map(|value| (value as f32).to_le_bytes());
    let flat: Vec<_> = data
        .iter()
        .flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]))
        .filter_map(|value| number(&value))
        .collect();
    let bodies = (0..8).map(|first| {
        let floats = flat.iter().cycle().skip(first * width).take(rows * width);
        let tensors: Vec<u8> = floats.flatten().copied().collect();
        let json = serde_json::json!({
            "inputs": [{
                "name": input["name"], "shape": [rows, width], "datatype": input["datatype"],
                "parameters": {"binary_data_size": tensors.len()},
            }],
            "parameters": {"binary_data_output": true},
        });
        (json.to_string(), tensors)
    });
    Ok(bodies.collect())
}

/// What is pressed.
pub struct Target {
    address: String,
    requests: Arc<Requests>,
}

/// Requests, taken in turn by whichever connection is free.
struct Requests {
    all: Vec<Vec<u8>>,
    next: AtomicUsize,
    again: bool,
}

impl Requests {
    /// The next one; none when all are through, unless they begin again.
    fn next(&self) -> Option<&[u8]> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let at = if self.again { next % self.all.len() } else { next };
        self.all.get(at).map(Vec::as_slice)
    }
}

impl Target {
    /// A server that is asked this again and again.
    pub fn again(server: &Server, requests: Vec<Vec<u8>>) -> Self {
        Self::new(server, requests, true)
    }

    /// A server that is asked each of these once.
    pub fn once(server: &Server, requests: Vec<Vec<u8>>) -> Self {
        Self::new(server, requests, false)
    }

    fn new(server: &Server, all: Vec<Vec<u8>>, again: bool) -> Self {
        let requests = Requests { all, next: AtomicUsize::new(0), again };
        Self { address: server.address.clone(), requests: Arc::new(requests) }
    }

    /// Presses for a while; an answer other than 200 ends it with an error.
    pub fn press(&self, connections: usize, time: Duration) -> Result<Figures> {
        press(connections, time, |_, until| {
            connection(self.address.clone(), Arc::clone(&self.requests), until)
        })
    }
}

/// Runs so many connections until the time is over, all on one thread: `connection` is given its number and
/// when to end, and answers how long each of its requests took. The first error ends it.
pub fn press<F>(
    connections: usize,
    time: Duration,
    connection: impl Fn(usize, Instant) -> F,
) -> Result<Figures>
where
    F: Future<Output = Result<Vec<Duration>>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let until = begun + time;
        let workers: Vec<_> =
            (0..connections).map(|at| tokio::spawn(connection(at, until))).collect();
        let mut latencies = Vec::new();
        for worker in workers {
            latencies.append(&mut worker.await??);
        }
        Ok(Figures::of(latencies, begun.elapsed()))
    })
}

/// What came of requests that did not wait for each other.
pub struct Offered {
    /// Those that were answered while it settled.
    pub settling: Figures,
    /// Those that were answered afterwards.
    pub answered: Figures,
    /// How many were refused for now, all the time.
    pub refused: f64,
}

impl Target {
    /// Offers so many requests a second, whether they are answered or not, as far as there are
    /// connections left. What is refused for now is counted; any other refusal ends it with an error.
    /// What is asked in the time that it is given to settle is told apart.
    pub fn offer(
        &self,
        rate: f64,
        connections: usize,
        settles: Duration,
        time: Duration,
    ) -> Result<Offered> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let begun = Instant::now();
            let (counts, until) = (begun + settles, begun + settles + time);
            let interval = Duration::from_secs_f64(connections as f64 / rate);
            let workers: Vec<_> = (0..connections)
                .map(|at| {
                    let first = begun + interval.mul_f64(at as f64 / connections as f64);
                    let requests = Arc::clone(&self.requests);
                    let address = self.address.clone();
                    tokio::spawn(offering(address, requests, first, interval, (counts, until)))
                })
                .collect();
            let mut all = Outcomes::default();
            for worker in workers {
                let Outcomes { mut settling, mut answered, refused } = worker.await??;
                all.settling.append(&mut settling);
                all.answered.append(&mut answered);
                all.refused += refused;
            }
            Ok(Offered {
                settling: Figures::of(all.settling, settles),
                answered: Figures::of(all.answered, counts.elapsed()),
                refused: f64::from(all.refused),
            })
        })
    }
}

/// How one connection's requests ended.
#[derive(Default)]
struct Outcomes {
    settling: Vec<Duration>,
    answered: Vec<Duration>,
    refused: u32,
}

async fn offering(
    address: String,
    requests: Arc<Requests>,
    first: Instant,
    interval: Duration,
    (counts, until): (Instant, Instant),
) -> Result<Outcomes> {
    let mut outcomes = Outcomes::default();
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(4096);
    let mut next = first;
    while next < until {
        tokio::time::sleep_until(next.into()).await;
        let Some(request) = requests.next() else { break };
        let begun = Instant::now();
        let status = match stream.write_all(request).await {
            Ok(()) => answer(&mut stream, &mut buffer).await.ok(),
            Err(_) => None,
        };
        match status {
            Some(200) if begun < counts => outcomes.settling.push(begun.elapsed()),
            Some(200) => outcomes.answered.push(begun.elapsed()),
            Some(429 | 503 | 504) => outcomes.refused += 1,
            Some(other) => return Err(format!("unexpected answer: {other}").into()),
            // Hanging up is a way to refuse, too.
            None => {
                outcomes.refused += 1;
                stream = TcpStream::connect(&address).await?;
                stream.set_nodelay(true)?;
            }
        }
        // Whoever is late makes up for nothing, and keeps their place among the others: those who are late
        // together would come together from then on.
        next += interval;
        while next < Instant::now() {
            next += interval;
        }
    }
    Ok(outcomes)
}

async fn connection(
    address: String,
    requests: Arc<Requests>,
    until: Instant,
) -> Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let begun = Instant::now();
        if begun >= until {
            break;
        }
        let Some(request) = requests.next() else { break };
        stream.write_all(request).await?;
        if answer(&mut stream, &mut buffer).await? != 200 {
            return Err(format!("unexpected answer: {}", String::from_utf8_lossy(&buffer)).into());
        }
        latencies.push(begun.elapsed());
    }
    Ok(latencies)
}

/// Reads one whole answer, and tells its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16> {
    buffer.clear();
    loop {
        if stream.read_buf(buffer).await? == 0 {
            return Err("the server hung up".into());
        }
        let Some(head) = memchr::memmem::find(buffer, b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head])?;
        let status = text.split(' ').nth(1).ok_or("no status")?.parse()?;
        let length = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let whole = head + 4 + length.ok_or("an answer without content-length")?;
        while buffer.len() < whole {
            if stream.read_buf(buffer).await? == 0 {
                return Err("the server hung up".into());
            }
        }
        return Ok(status);
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    /// Requests answered.
    pub requests: f64,
    seconds: f64,
    /// Half were answered within this, in milliseconds.
    pub p50: f64,
    /// Of a hundred one took longer, in milliseconds.
    pub p99: f64,
}

impl Figures {
    /// Of requests that took so long, in this time.
    pub fn of(mut latencies: Vec<Duration>, time: Duration) -> Self {
        latencies.sort_unstable();
        let at = |share: f64| {
            let index = (latencies.len() as f64 * share) as usize;
            latencies.get(index).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
        };
        Self {
            requests: latencies.len() as f64,
            seconds: time.as_secs_f64(),
            p50: at(0.50),
            p99: at(0.99),
        }
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    /// The faster of two.
    pub fn best(self, other: Self) -> Self {
        if self.requests > other.requests { self } else { other }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}/s ({:.2} / {:.2})", self.rate(), self.p50, self.p99)
    }
}

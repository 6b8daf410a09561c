//! The reference: a bare actix-web and ONNX Runtime server, as fast as one can reasonably be.
//!
//! It decodes one FP32 input of a V2 body, JSON or binary, into a typed struct, hands it to inference
//! threads that take what is queued and never wait, and encodes the answer in the request's form. No
//! authentication, no checks, no names looked up, no log, no metrics.

use std::{io::Write as _, sync::Arc, thread};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use crossbeam_channel::{Receiver, Sender};
use ort::{environment::Environment, session::Session, value::TensorRef};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::Result;

/// The most rows in one batch; a request with more runs by itself.
const MAX_BATCH: usize = 64;

/// What tells that tensors stand behind the JSON.
const LENGTH: &str = "inference-header-content-length";

#[derive(Deserialize)]
struct Request {
    inputs: Vec<Input>,
}

/// One input.
#[derive(Deserialize)]
pub struct Input {
    pub shape: Vec<usize>,
    #[serde(default)]
    pub data: Vec<f32>,
}

#[derive(Serialize)]
struct Response<'a> {
    model_name: &'a str,
    outputs: [Output<'a>; 2],
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'a str,
    datatype: &'a str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Size>,
}

#[derive(Serialize)]
struct Size {
    binary_data_size: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Labels(&'a [i64]),
    Scores(&'a [f32]),
}

/// Rows, and where their labels and scores are waited for.
pub struct Job {
    pub rows: Input,
    pub answer: oneshot::Sender<(Vec<i64>, Vec<f32>)>,
}

/// Serves the model on a free port, which it prints as `ready http://HOST:PORT`.
pub fn serve(model: &str, count: &str) -> Result<()> {
    let jobs = threads(model, count)?;
    rt::System::new().block_on(async move {
        let jobs = web::Data::from(Arc::new(jobs));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(jobs.clone())
                .app_data(web::PayloadConfig::new(16 << 20))
                .route("/infer", web::post().to(handle))
        })
        .workers(thread::available_parallelism().map_or(2, usize::from))
        .bind("127.0.0.1:0")?;
        let address = server.addrs().first().copied().ok_or("no address")?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "ready http://{address}")?;
        out.flush()?;
        drop(out);
        Ok(server.run().await?)
    })
}

/// Starts inference threads, and answers where they are given work.
pub fn threads(model: &str, count: &str) -> Result<Sender<Job>> {
    let (jobs, queue) = crossbeam_channel::bounded(4096);
    let environment =
        ort::init_from(std::env::var("BOTTEGA_ONNXRUNTIME")?)?.with_telemetry(false).build()?;
    for _ in 0..count.parse()? {
        let (session, queue) = (load(&environment, model)?, queue.clone());
        thread::spawn(move || infer(session, &queue));
    }
    Ok(jobs)
}

fn load(environment: &Environment, model: &str) -> Result<Session> {
    // A builder's own error cannot leave this thread: this type can.
    let session = || -> ort::Result<Session> {
        Session::builder(environment)?.with_intra_threads(1)?.commit_from_file(model)
    };
    Ok(session()?)
}

async fn handle(
    jobs: web::Data<Sender<Job>>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let json_length = request.headers().get(LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let Some(rows) = read(&body, json_length) else { return HttpResponse::BadRequest().finish() };
    let (answer, answered) = oneshot::channel();
    if jobs.try_send(Job { rows, answer }).is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let Ok((labels, scores)) = answered.await else {
        return HttpResponse::InternalServerError().finish();
    };
    write(&labels, &scores, json_length.is_some())
}

fn read(body: &[u8], json_length: Option<usize>) -> Option<Input> {
    let (json, tail) = body.split_at_checked(json_length.unwrap_or(body.len()))?;
    let mut input = serde_json::from_slice::<Request>(json).ok()?.inputs.into_iter().next()?;
    if json_length.is_some() {
        let floats = tail.as_chunks().0.iter();
        input.data = floats.map(|&bytes| f32::from_le_bytes(bytes)).collect();
    }
    Some(input)
}

fn write(labels: &[i64], scores: &[f32], is_binary: bool) -> HttpResponse {
    let (rows, classes) = (labels.len(), scores.len() / labels.len().max(1));
    let size = |bytes: usize| is_binary.then_some(Size { binary_data_size: bytes });
    let response = Response {
        model_name: "model",
        outputs: [
            Output {
                name: "label",
                datatype: "INT64",
                shape: [rows, 1],
                data: (!is_binary).then_some(Data::Labels(labels)),
                parameters: size(size_of_val(labels)),
            },
            Output {
                name: "probabilities",
                datatype: "FP32",
                shape: [rows, classes],
                data: (!is_binary).then_some(Data::Scores(scores)),
                parameters: size(size_of_val(scores)),
            },
        ],
    };
    if !is_binary {
        return HttpResponse::Ok().json(response);
    }
    let Ok(mut body) = serde_json::to_vec(&response) else {
        return HttpResponse::InternalServerError().finish();
    };
    let json_length = body.len();
    body.reserve(size_of_val(labels) + size_of_val(scores));
    labels.iter().for_each(|label| body.extend_from_slice(&label.to_le_bytes()));
    scores.iter().for_each(|score| body.extend_from_slice(&score.to_le_bytes()));
    HttpResponse::Ok()
        .insert_header((LENGTH, json_length))
        .content_type("application/octet-stream")
        .body(body)
}

/// An inference thread: what is queued becomes one batch.
fn infer(mut session: Session, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let count = |job: &Job| job.rows.shape.first().copied().unwrap_or(1);
        let mut rows = count(&first);
        let mut jobs = vec![first];
        while rows < MAX_BATCH
            && let Ok(job) = queue.try_recv()
        {
            rows += count(&job);
            jobs.push(job);
        }
        let width = jobs[0].rows.shape.get(1).copied().unwrap_or(1);
        let data = match jobs.as_mut_slice() {
            [only] => std::mem::take(&mut only.rows.data),
            all => all.iter().flat_map(|job| job.rows.data.iter().copied()).collect(),
        };
        // Whoever waits for a batch that fails sees its channel closed.
        let Ok((labels, scores)) = run(&mut session, &data, width) else { continue };
        if jobs.len() == 1 {
            if let Some(job) = jobs.pop() {
                drop(job.answer.send((labels, scores)));
            }
            continue;
        }
        let classes = scores.len() / labels.len().max(1);
        let mut at = 0;
        for job in jobs {
            let mine = at..at + count(&job);
            at = mine.end;
            let scores = scores[mine.start * classes..mine.end * classes].to_vec();
            drop(job.answer.send((labels[mine].to_vec(), scores)));
        }
    }
}

fn run(session: &mut Session, data: &[f32], width: usize) -> ort::Result<(Vec<i64>, Vec<f32>)> {
    let input = TensorRef::from_array_view(([data.len() / width, width], data))?;
    let outputs = session.run(ort::inputs![input])?;
    let labels = outputs[0].try_extract_tensor::<i64>()?.1.to_vec();
    let scores = outputs[1].try_extract_tensor::<f32>()?.1.to_vec();
    Ok((labels, scores))
}

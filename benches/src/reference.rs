//! The reference: a bare actix-web and ONNX Runtime server, as fast as one can reasonably be.
//!
//! It decodes one FP32 input of a V2 JSON body into a typed struct, hands it to one inference
//! thread that takes what is queued and never waits, and encodes the answer. No authentication,
//! no checks, no names looked up, no log, no metrics.

use std::{io::Write as _, sync::Arc, thread};

use actix_web::{App, HttpResponse, HttpServer, rt, web};
use crossbeam_channel::{Receiver, Sender};
use ort::{session::Session, value::TensorRef};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::Result;

/// The most requests in one batch.
const MAX_BATCH: usize = 64;

#[derive(Deserialize)]
struct Request {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
struct Input {
    shape: Vec<usize>,
    data: Vec<f32>,
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
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Labels(&'a [i64]),
    Scores(&'a [f32]),
}

struct Job {
    rows: Input,
    answer: oneshot::Sender<(Vec<i64>, Vec<f32>)>,
}

/// Serves the model on a free port, which it prints as `ready http://HOST:PORT`.
pub fn serve(model: &str) -> Result<()> {
    let session = load(model, &std::env::var("BOTTEGA_ONNXRUNTIME")?)?;
    let (jobs, queue) = crossbeam_channel::bounded(4096);
    thread::spawn(move || infer(session, &queue));
    rt::System::new().block_on(async move {
        let jobs = web::Data::from(Arc::new(jobs));
        let server = HttpServer::new(move || {
            App::new().app_data(jobs.clone()).route("/infer", web::post().to(handle))
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

fn load(model: &str, library: &str) -> Result<Session> {
    let environment = ort::init_from(library)?.with_telemetry(false).build()?;
    // A builder's own error cannot leave this thread: this type can.
    let session = || -> ort::Result<Session> {
        Session::builder(&environment)?.with_intra_threads(1)?.commit_from_file(model)
    };
    Ok(session()?)
}

async fn handle(jobs: web::Data<Sender<Job>>, body: web::Bytes) -> HttpResponse {
    let Ok(request) = serde_json::from_slice::<Request>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let Some(rows) = request.inputs.into_iter().next() else {
        return HttpResponse::BadRequest().finish();
    };
    let (answer, answered) = oneshot::channel();
    if jobs.try_send(Job { rows, answer }).is_err() {
        return HttpResponse::ServiceUnavailable().finish();
    }
    let Ok((labels, scores)) = answered.await else {
        return HttpResponse::InternalServerError().finish();
    };
    let (rows, classes) = (labels.len(), scores.len() / labels.len().max(1));
    HttpResponse::Ok().json(Response {
        model_name: "cancer",
        outputs: [
            Output {
                name: "label",
                datatype: "INT64",
                shape: [rows, 1],
                data: Data::Labels(&labels),
            },
            Output {
                name: "probabilities",
                datatype: "FP32",
                shape: [rows, classes],
                data: Data::Scores(&scores),
            },
        ],
    })
}

/// The inference thread: what is queued becomes one batch.
fn infer(mut session: Session, queue: &Receiver<Job>) {
    while let Ok(first) = queue.recv() {
        let mut jobs = vec![first];
        jobs.extend(queue.try_iter().take(MAX_BATCH - 1));
        let width = jobs[0].rows.shape.get(1).copied().unwrap_or(1);
        let mut data = Vec::with_capacity(jobs.len() * width);
        for job in &jobs {
            data.extend_from_slice(&job.rows.data);
        }
        // Whoever waits for a batch that fails sees its channel closed.
        let Ok((labels, scores)) = run(&mut session, &data, width) else { continue };
        let classes = scores.len() / labels.len().max(1);
        let mut at = 0;
        for job in jobs {
            let rows = job.rows.shape.first().copied().unwrap_or(1);
            let mine = at..at + rows;
            at += rows;
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

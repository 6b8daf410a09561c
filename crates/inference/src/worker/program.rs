//! `bottega worker --engine`: the program that answers for an ONNX version, confined.

use std::{
    env,
    io::{self, BufReader, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use domain::{FilePath, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::frugal;
use crate::{
    Engine, Error, ModelFolder, Runtime, arrange,
    onnx::{OnnxEngine, OnnxOptions},
    process::{
        Program,
        frame::{self, Answer, Fault, FrameError, Infer, Kind, Loaded, Refusal},
    },
};

/// What it is told first.
#[derive(Serialize, Deserialize)]
struct Load {
    /// ONNX Runtime's library.
    library: PathBuf,
    file: FilePath,
    threads: usize,
    output_bytes: usize,
}

impl Program {
    /// What answers for an ONNX version: `exe` is the program whose `worker --engine` is
    /// [`engine`](crate::worker::engine), normally the running one.
    #[must_use]
    pub fn onnx(exe: &Path, library: &Path, model: &ModelFolder, options: &OnnxOptions) -> Self {
        let load = Load {
            library: library.to_owned(),
            file: model.file.clone(),
            threads: options.threads,
            output_bytes: options.max_output_bytes,
        };
        // Whoever runs may be named by a link.
        let exe = &exe.canonicalize().unwrap_or_else(|_| exe.to_owned());
        let mut readable = Self::machine();
        readable.extend([exe.clone(), library.to_owned()]);
        // The library may be a link to a file beside it.
        readable.extend(library.canonicalize());
        let paths = env::var_os("LD_LIBRARY_PATH");
        readable.extend(paths.iter().flat_map(env::split_paths).filter(|path| path.is_absolute()));
        let paths = paths.and_then(|paths| paths.into_string().ok());
        let paths = paths.map(|paths| ("LD_LIBRARY_PATH".to_owned(), paths));
        Self {
            command: exe.clone(),
            arguments: ["worker", "--engine"].map(String::from).to_vec(),
            environment: paths.into_iter().chain([frugal()]).collect(),
            readable,
            folder: model.path.clone(),
            talks: false,
            load: serde_json::to_value(load).unwrap_or_default(),
        }
    }
}

/// The whole program that answers for an ONNX version.
#[must_use]
pub fn engine() -> ExitCode {
    answer(|order| {
        let order =
            serde_json::from_value(order).map_err(|error| Error::Model(error.to_string()))?;
        Ok(Box::new(load(order)?))
    })
}

/// A whole program: answers by the engine that is made of what the node says first.
#[must_use]
pub fn answer(load: impl FnOnce(Value) -> Result<Box<dyn Engine>, Error>) -> ExitCode {
    match talk(load) {
        // The node has left.
        Ok(()) | Err(FrameError::Io(_)) => ExitCode::SUCCESS,
        Err(FrameError::Broken(_) | FrameError::TooLarge { .. }) => ExitCode::FAILURE,
    }
}

fn talk(load: impl FnOnce(Value) -> Result<Box<dyn Engine>, Error>) -> Result<(), FrameError> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut reader = BufReader::with_capacity(64 << 10, socket.try_clone()?);
    let (mut out, mut buffer) = (Vec::new(), Vec::new());
    let frame = frame::read(&mut reader, 0, &mut buffer)?;
    let number = frame.number;
    let mut engine =
        match frame.head().map_err(|error| Error::Model(error.to_string())).and_then(load) {
            Ok(engine) => engine,
            Err(error) => {
                encode(&mut out, Kind::Error, number, &refusal(error), &[]);
                return Ok(socket.write_all(&out)?);
            }
        };
    encode(
        &mut out,
        Kind::Loaded,
        number,
        &Loaded { signature: Some(engine.signature().clone()) },
        &[],
    );
    loop {
        socket.write_all(&out)?;
        let frame = frame::read(&mut reader, u64::MAX, &mut buffer)?;
        if frame.kind != Kind::Infer {
            return Err(FrameError::Broken("it is no question".to_owned()));
        }
        let number = frame.number;
        let Infer { within_us, tensors } = frame.head()?;
        let deadline =
            Instant::now() + Duration::from_micros(within_us).min(Duration::from_hours(24));
        let inputs = frame.tensors(tensors)?;
        let answer = arrange(engine.signature(), inputs)
            .map_err(Error::from)
            .and_then(|inputs| engine.infer(&inputs, deadline));
        match answer {
            Ok(tensors) => {
                let head = Answer { tensors: frame::describe(&tensors) };
                encode(&mut out, Kind::Answer, number, &head, &tensors);
            }
            Err(error) => encode(&mut out, Kind::Error, number, &refusal(error), &[]),
        }
        buffer.shrink_to(1 << 20);
    }
}

/// Writes a frame in place of what is there, or why that cannot be.
fn encode(out: &mut Vec<u8>, kind: Kind, number: u32, head: &impl Serialize, tensors: &[Tensor]) {
    if out.capacity() > 1 << 20 {
        *out = Vec::new();
    }
    if let Err(problem) = frame::encode(out, kind, number, head, tensors) {
        let refusal = Refusal { kind: Fault::Failed, message: problem.message, field: None };
        // Its head is short.
        let _ = frame::encode(out, Kind::Error, number, &refusal, &[]);
    }
}

fn load(load: Load) -> Result<OnnxEngine, Error> {
    let runtime = Runtime::load(&load.library)?;
    let model = ModelFolder { path: folder()?, file: load.file, bytes: 0 };
    let options = OnnxOptions { threads: load.threads, max_output_bytes: load.output_bytes };
    OnnxEngine::load(&runtime, &model, &options)
}

/// The version's folder, as a confined process sees it.
///
/// # Errors
/// [`Error::Worker`]: this is none.
pub fn folder() -> Result<PathBuf, Error> {
    let path = env::var_os("BOTTEGA_MODEL").map(PathBuf::from);
    path.ok_or_else(|| Error::Worker("it is told of no folder".to_owned()))
}

fn refusal(error: Error) -> Refusal {
    let (kind, message, field) = match error {
        Error::Input(problem) => (Fault::Input, problem.message, problem.field),
        Error::Run(why) => (Fault::Run, why, None),
        Error::Model(why) => (Fault::Load, why, None),
        Error::Memory => (Fault::Memory, error.to_string(), None),
        Error::OutputTooLarge { ref name, .. } => {
            (Fault::TooLarge, error.to_string(), Some(name.clone()))
        }
        Error::Timeout => (Fault::Timeout, error.to_string(), None),
        Error::Failed(why) => (Fault::Failed, why, None),
        Error::Gone(_)
        | Error::Library(_)
        | Error::Overloaded
        | Error::Draining
        | Error::Worker(_)
        | Error::Thread(_)
        | Error::Fetch(_)
        | Error::Cache { .. } => (Fault::Failed, error.to_string(), None),
    };
    Refusal { kind, message, field }
}

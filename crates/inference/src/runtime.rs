//! ONNX Runtime's library, loaded once per process.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use ort::{environment::Environment, logging::LogLevel};

use crate::{Error, sync::lock, watchdog::Watchdog};

/// ONNX Runtime, and the thread that ends its runs at their deadlines. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    pub(crate) environment: Environment,
    pub(crate) watchdog: Watchdog,
}

/// ONNX Runtime allows one environment per process, for good: this is where it is kept.
static LOADED: Mutex<Option<Runtime>> = Mutex::new(None);

/// The variable, and its value, without which the library keeps an id and a database of events in the user's
/// home as soon as it is loaded, and sends them to its makers. It must be set before: that
/// [`Runtime::load`] turns telemetry off comes too late for that.
pub const SILENCE: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

impl Runtime {
    /// Loads the library at `path`. Later calls in the same process return the first one.
    ///
    /// # Errors
    /// [`Error::Library`], with what to do, if the library is missing, too old or something else.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut loaded = lock(&LOADED);
        if let Some(runtime) = &*loaded {
            return Ok(runtime.clone());
        }
        let wrong = |what: String| {
            Error::Library(format!(
                "ONNX Runtime cannot be used: {what}. Name a library of version 1.{} or newer \
                 (the file libonnxruntime.so of the PyPI wheel `onnxruntime`) by \
                 BOTTEGA_ONNXRUNTIME; `./just setup` installs one",
                ort::MINOR_VERSION
            ))
        };
        if !path.is_file() {
            return Err(wrong(format!("there is no file {}", path.display())));
        }
        // A relative path would be looked up beside the executable first.
        let absolute = std::path::absolute(path).map_err(|error| wrong(error.to_string()))?;
        let environment = ort::init_from(absolute)
            .map_err(|error| wrong(error.to_string()))?
            .with_name("bottega")
            .with_telemetry(false)
            .with_logger(Arc::new(log))
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        environment.set_log_level(LogLevel::Warning);
        let watchdog = Watchdog::start().map_err(|error| wrong(error.to_string()))?;
        Ok(loaded.insert(Self { environment, watchdog }).clone())
    }
}

/// Every error is also returned and handled, so the library's own log is for debugging only.
fn log(level: LogLevel, _category: &str, _id: &str, place: &str, message: &str) {
    tracing::debug!(target: "onnxruntime", ?level, place, "{message}");
}

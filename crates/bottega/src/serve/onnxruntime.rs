//! Where ONNX Runtime's library is.

use std::path::PathBuf;

use domain::Problem;

use crate::settings::Settings;

const NAME: &str = "libonnxruntime.so";

/// The library: named, or beside the binary, or in the system's usual places.
pub fn find(settings: &Settings) -> Result<PathBuf, Problem> {
    if let Some(named) = &settings.onnxruntime {
        return Ok(named.clone());
    }
    let beside =
        std::env::current_exe().ok().and_then(|exe| exe.parent().map(|folder| folder.join(NAME)));
    let usual = ["/opt/bottega/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib"];
    let mut places =
        beside.into_iter().chain(usual.iter().map(|folder| PathBuf::from(folder).join(NAME)));
    places.find(|place| place.is_file()).ok_or_else(|| {
        let message = format!("ONNX Runtime is not here: no {NAME} beside the binary or in {}", usual.join(", "));
        Problem::invalid("onnxruntime", message)
            .hint("name it with --onnxruntime; `./just up` installs one; it is the library in the PyPI package onnxruntime")
    })
}

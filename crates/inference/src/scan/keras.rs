//! Keras' models: no pickles, but layers that carry code, or name what is to be called.

use std::io::{self, BufRead};

use domain::pickle::{Format, Report, Verdict, named};
use memchr::memmem;
use serde_json::Value;

use super::{archives::objects, search::Found};

const LAMBDA: &str = "a Keras `Lambda` layer carries code that runs when the model is loaded";

/// What a model's `config.json` names; absent where all of it is Keras' own.
pub(super) fn config(config: &Value) -> Option<Report> {
    let mut report = Report::default();
    for fields in objects(config) {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let Some(class) = text("class_name") else { continue };
        if matches!(class, "Lambda" | "__lambda__") {
            report.note(Verdict::Dangerous, LAMBDA);
        }
        let Some(module) = text("module") else { continue };
        // A function is named one level below.
        let name = if class == "function" { text("config").unwrap_or(class) } else { class };
        if !is_kerass_own(module) {
            report.merge(named(module, name));
        }
    }
    let is_empty = report.imports.is_empty() && report.notes.is_empty();
    (!is_empty).then_some(report)
}

/// Modules of Keras whose classes and functions only compute.
fn is_kerass_own(module: &str) -> bool {
    const OWN: [&str; 12] = [
        "activations",
        "constraints",
        "dtype_policies",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "models",
        "optimizers",
        "ops",
        "random",
        "regularizers",
    ];
    let Some(rest) = module.strip_prefix("keras") else { return false };
    let rest = rest.strip_prefix(".src").unwrap_or(rest);
    let part = rest.strip_prefix('.').map(|rest| rest.split('.').next().unwrap_or_default());
    // Keras itself names its plainest models.
    rest.is_empty() || part.is_some_and(|part| OWN.contains(&part))
}

/// What the description of a model in HDF5 tells. It is a JSON text, in one piece wherever it stands.
pub(super) fn hdf5(content: &mut dyn BufRead) -> io::Result<Found> {
    /// Longer than whatever is looked for, which may begin in one piece and end in the next.
    const OVERLAP: usize = 32;
    let (mut report, mut window) = (Report::default(), Vec::new());
    loop {
        let length = match content.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error().is_some() => return Err(error),
            Err(_) | Ok([]) => break,
            Ok(bytes) => {
                window.extend_from_slice(bytes);
                bytes.len()
            }
        };
        content.consume(length);
        read(&window, &mut report);
        window.drain(..window.len().saturating_sub(OVERLAP));
    }
    Ok((!report.notes.is_empty()).then_some((Format::Keras, report)))
}

fn read(text: &[u8], report: &mut Report) {
    if [br#""Lambda""#.as_slice(), br#""__lambda__""#].iter().any(|class| find(text, class)) {
        report.note(Verdict::Dangerous, LAMBDA);
    }
    // Nobody who writes JSON writes plain letters as numbers, but to hide them.
    let mut escapes = memmem::find_iter(text, br"\u00");
    let hides = |at: usize| {
        let code = text.get(at + 4..at + 6).and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        code.is_some_and(|code| matches!(code, b' '..=b'~'))
    };
    if escapes.any(hides) {
        report.note(Verdict::Unknown, "a text in it writes plain letters as numbers");
    }
}

fn find(text: &[u8], word: &[u8]) -> bool {
    memmem::find(text, word).is_some()
}

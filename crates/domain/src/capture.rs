//! What is captured of predictions: records that the gateway hands to a [`Sink`], and what an
//! endpoint's owner says about them.

use std::{
    collections::HashSet,
    fmt,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    Actor, EndpointId, ErrorCode, ModelName, Problem, SubjectId, Tensor, Timestamp, VersionId,
    version::words,
};

/// The most bytes that one record may have: of a larger request the first rows are taken.
pub const MOST_BYTES: usize = 1 << 20;

/// What a row that is kept takes besides its values, about: its name, the caller, when it was.
const KEPT_ROW: usize = 64;

/// The most inputs that are masked.
const MOST_MASKS: usize = 1_000;

/// How long rows are kept at most.
const LONGEST: Duration = Duration::from_secs(3_650 * DAY);

/// How long rows are kept unless the owner says.
const RETENTION: Duration = Duration::from_secs(30 * DAY);

const DAY: u64 = 86_400;

words! {
    /// What is done to an input before anything of it is written.
    How, "masks" {
        /// Nothing of it is written.
        Drop = "drop",
        /// A keyed hash stands for each value: equal values stay equal.
        Hash = "hash",
    }
}

/// An input that is not written as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mask {
    /// Its name in the signature.
    pub input: String,
    /// What is done to it.
    pub how: How,
}

/// What is captured of an endpoint's predictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The share of requests whose rows are kept, 0 to 1.
    pub rate: f64,
    /// Whether all rows go into sketches: distributions by the minute, no row by itself.
    pub sketches: bool,
    /// Inputs that are not written as they are.
    pub masks: Vec<Mask>,
    /// The input whose value says whom a row is about.
    pub subject: Option<String>,
    /// How long kept rows and sketches stay.
    pub retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rate: 0.0, sketches: true, masks: Vec::new(), subject: None, retention: RETENTION }
    }
}

impl Settings {
    /// Whether it can be kept to.
    ///
    /// # Errors
    /// A rate that is no share, a mask that stands twice or names nothing, a retention that is too
    /// short or too long.
    pub fn check(&self) -> Result<(), Problem> {
        if !(0.0..=1.0).contains(&self.rate) {
            let message = format!("{}: expected a share from 0 to 1", self.rate);
            return Err(Problem::invalid("rate", message).hint("0.1 keeps every tenth request"));
        }
        if self.masks.len() > MOST_MASKS {
            let message = format!("{} masks: expected at most {MOST_MASKS}", self.masks.len());
            return Err(Problem::invalid("masks", message));
        }
        let mut seen = HashSet::new();
        for Mask { input, .. } in &self.masks {
            check_name("masks.input", input)?;
            if !seen.insert(input) {
                let message = format!("`{input}` stands twice: expected one mask for an input");
                return Err(Problem::invalid("masks", message));
            }
        }
        if let Some(subject) = &self.subject {
            check_name("subject", subject)?;
        }
        if !(Duration::from_secs(60)..=LONGEST).contains(&self.retention) {
            let message = "expected a duration from 1m to 3650d";
            return Err(Problem::invalid("retention", message));
        }
        Ok(())
    }

    /// What is done to that input.
    #[must_use]
    pub fn mask(&self, input: &str) -> Option<How> {
        self.masks.iter().find(|mask| mask.input == input).map(|mask| mask.how)
    }
}

fn check_name(field: &str, name: &str) -> Result<(), Problem> {
    if name.is_empty() || name.len() > 1_000 || name.contains('\0') {
        let message = "expected the name of an input, of 1 to 1000 bytes";
        return Err(Problem::invalid(field, message)
            .hint("`bottega endpoints schema` tells what the inputs are called"));
    }
    Ok(())
}

words! {
    /// By which protocol a prediction was asked for.
    Protocol, "protocol" {
        /// The Open Inference Protocol over HTTP.
        V2 = "v2",
        /// The same over gRPC.
        Grpc = "grpc",
        /// TensorFlow Serving's REST API.
        TensorFlow = "tensorflow",
        /// MLflow's scoring server.
        MlFlow = "mlflow",
        /// SageMaker's runtime.
        SageMaker = "sagemaker",
    }
}

/// What all records of one version behind one endpoint share.
#[derive(Debug)]
pub struct Source {
    /// Its id.
    pub endpoint: EndpointId,
    /// Its name on the wire.
    pub name: String,
    /// The team that owns it.
    pub team: Option<SubjectId>,
    /// The release that the version is part of, by number.
    pub release: i32,
    /// The version that answers.
    pub version: VersionId,
    /// Its model's name.
    pub model: ModelName,
    /// Its number.
    pub number: i32,
    /// What the owner says.
    pub settings: Settings,
    drawn: AtomicU64,
}

/// What names a version behind an endpoint.
#[derive(Debug)]
pub struct Place<'a> {
    /// The endpoint's id.
    pub endpoint: EndpointId,
    /// Its name on the wire.
    pub name: &'a str,
    /// The team that owns it.
    pub team: Option<SubjectId>,
    /// The release, by number.
    pub release: i32,
}

impl Source {
    /// Where records come from.
    #[must_use]
    pub fn new(
        place: &Place<'_>,
        (version, model, number): (VersionId, &ModelName, i32),
        settings: Settings,
    ) -> Self {
        let &Place { endpoint, name, team, release } = place;
        Self {
            endpoint,
            name: name.to_owned(),
            team,
            release,
            version,
            model: model.clone(),
            number,
            settings,
            drawn: AtomicU64::new(version.0.as_u64_pair().1),
        }
    }

    /// What is wanted of the next request; absent: nothing.
    pub fn wanted(&self) -> Option<Wanted> {
        let Settings { rate, sketches, .. } = self.settings;
        // Who asks is not who decides: neither the request's id nor its place in a row says it.
        let keep = rate >= 1.0
            || rate > 0.0 && (scramble(self.drawn.fetch_add(1, Relaxed)) as f64) < rate * TOP;
        (sketches || keep).then_some(Wanted { keep })
    }
}

/// 2 to the power of 64.
const TOP: f64 = 18_446_744_073_709_551_616.0;

/// Steele's and Vigna's `splitmix64`.
const fn scramble(ticket: u64) -> u64 {
    let mut z = ticket.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What is wanted of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Whether its rows are kept.
    pub keep: bool,
}

/// One request that was answered, or failed.
#[derive(Debug)]
pub struct Record {
    /// What it shares with others.
    pub source: Arc<Source>,
    /// What the answer is called.
    pub id: Arc<str>,
    /// When it was answered.
    pub at: Timestamp,
    /// How long that took.
    pub took: Duration,
    /// Who asked.
    pub caller: Actor,
    /// By which protocol.
    pub protocol: Protocol,
    /// Whether the caller was answered by another version, and this one only tried.
    pub shadow: bool,
    /// Why it failed, if it did.
    pub code: Option<ErrorCode>,
    /// Whether its rows are kept.
    pub keep: bool,
    /// How many rows the request had; the tensors may hold the first of them only.
    pub rows: usize,
    /// The inputs, decoded; none of a request that could not be, or that failed and is not kept.
    pub inputs: Vec<Tensor>,
    /// All outputs of the model; none where it failed.
    pub outputs: Vec<Tensor>,
}

impl Record {
    /// How many bytes its tensors take, and its rows where they are kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rows = if self.keep { self.held() * KEPT_ROW } else { 0 };
        bytes(&self.inputs) + bytes(&self.outputs) + rows
    }

    /// Whether no more is wanted of it than its rows, all of which it holds.
    #[must_use]
    pub fn is_only_rows(&self) -> bool {
        let has_rows = |tensor: &Tensor| tensor.shape.first() == Some(&self.rows);
        let Self { keep, code, rows, inputs, outputs, .. } = self;
        !keep && code.is_none() && *rows > 0 && inputs.iter().chain(outputs).all(has_rows)
    }

    /// Takes over the rows of another record of the same source, of both of which nothing more is wanted;
    /// false, and nothing, where they do not fit.
    pub fn join(&mut self, other: &Self) -> bool {
        let both = |of: fn(&Self) -> &Vec<Tensor>| of(self).iter().zip(of(other));
        let fits = |(one, more): (&Tensor, &Tensor)| {
            one.name == more.name
                && one.shape.get(1..) == more.shape.get(1..)
                && one.data.datatype() == more.data.datatype()
        };
        let lengths = |it: &Self| (it.inputs.len(), it.outputs.len());
        if lengths(self) != lengths(other)
            || !both(|it| &it.inputs).chain(both(|it| &it.outputs)).all(fits)
        {
            return false;
        }
        self.rows += other.rows;
        let these = self.inputs.iter_mut().chain(&mut self.outputs);
        for (one, more) in these.zip(other.inputs.iter().chain(&other.outputs)) {
            one.data.extend(&more.data);
            if let Some(rows) = one.shape.first_mut() {
                *rows = self.rows;
            }
        }
        true
    }

    /// How many rows its tensors hold.
    #[must_use]
    pub fn held(&self) -> usize {
        let first = self.inputs.first().and_then(|input| input.shape.first());
        first.map_or(self.rows, |&held| held.min(self.rows))
    }
}

/// How many bytes tensors take.
#[must_use]
pub fn bytes(tensors: &[Tensor]) -> usize {
    tensors.iter().map(|tensor| tensor.data.bytes()).sum()
}

/// How many of so many rows, of tensors of so many bytes, fit into [`MOST_BYTES`], at least one. Rows that
/// are kept take more than their values.
#[must_use]
pub fn fitting(rows: usize, bytes: usize, keep: bool) -> usize {
    let bytes = bytes.saturating_add(if keep { rows.saturating_mul(KEPT_ROW) } else { 0 });
    if bytes <= MOST_BYTES {
        return rows;
    }
    let fits = (MOST_BYTES as u128 * rows as u128) / bytes.max(1) as u128;
    usize::try_from(fits).unwrap_or(rows).clamp(1.min(rows), rows)
}

/// Keeps the first of so many rows. What has no such rows stays whole.
pub fn cut(tensors: &mut [Tensor], rows: usize, keep: usize) {
    for tensor in tensors.iter_mut().filter(|_| keep < rows) {
        let Some(width) = tensor.width(rows) else { continue };
        tensor.data.truncate(keep * width);
        if let Some(first) = tensor.shape.first_mut() {
            *first = keep;
        }
    }
}

/// A copy of the first of so many rows. What has no such rows is copied whole.
#[must_use]
pub fn beginning(tensors: &[Tensor], rows: usize, keep: usize) -> Vec<Tensor> {
    let copy = |tensor: &Tensor| match tensor.width(rows).filter(|_| keep < rows) {
        None => tensor.clone(),
        Some(width) => {
            let mut shape = tensor.shape.clone();
            if let Some(first) = shape.first_mut() {
                *first = keep;
            }
            let data = tensor.data.first(keep * width);
            Tensor { name: tensor.name.clone(), shape, data }
        }
    };
    tensors.iter().map(copy).collect()
}

/// Takes records in. It never blocks: what finds no room is dropped and counted.
pub trait Sink: Send + Sync {
    /// Takes one.
    fn offer(&self, record: Record);
}

/// Keeps nothing: for gateways that nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn offer(&self, _record: Record) {}
}

#[cfg(test)]
mod tests {
    use crate::TensorData;

    use super::*;

    fn source(rate: f64, sketches: bool) -> Source {
        let place = Place { endpoint: EndpointId::new(), name: "fraud", team: None, release: 1 };
        let settings = Settings { rate, sketches, ..Settings::default() };
        Source::new(&place, (VersionId::new(), &"fraud".parse().unwrap(), 3), settings)
    }

    #[test]
    fn requests_are_drawn_at_their_rate() {
        for (rate, least, most) in [(0.0, 0, 0), (0.1, 900, 1100), (1.0, 10_000, 10_000)] {
            let source = source(rate, false);
            let drawn = (0..10_000).filter_map(|_| source.wanted()).filter(|it| it.keep).count();
            assert!((least..=most).contains(&drawn), "{rate}: {drawn}");
        }
        let all = source(0.0, true);
        assert!((0..100).all(|_| all.wanted() == Some(Wanted { keep: false })));
    }

    #[test]
    fn what_cannot_be_kept_to_is_refused_by_its_field() {
        let good = Settings { rate: 0.5, subject: Some("id".to_owned()), ..Settings::default() };
        good.check().unwrap();
        let mask = || Mask { input: "x".to_owned(), how: How::Drop };
        for (settings, field) in [
            (Settings { rate: 1.5, ..good.clone() }, "rate"),
            (Settings { rate: -0.1, ..good.clone() }, "rate"),
            (Settings { rate: f64::NAN, ..good.clone() }, "rate"),
            (Settings { masks: vec![mask(), mask()], ..good.clone() }, "masks"),
            (Settings { subject: Some(String::new()), ..good.clone() }, "subject"),
            (Settings { retention: Duration::from_secs(59), ..good.clone() }, "retention"),
            (Settings { retention: LONGEST * 2, ..good.clone() }, "retention"),
        ] {
            assert_eq!(settings.check().unwrap_err().field.as_deref(), Some(field));
        }
    }

    #[test]
    fn of_a_large_request_the_first_rows_are_taken() {
        let rows = 1_000_000;
        let tensor = |name: &str, width: usize| {
            let data = TensorData::F32((0..rows * width).map(|at| at as f32).collect());
            Tensor::new(name, vec![rows, width], data).unwrap()
        };
        let mut inputs = vec![tensor("x", 2)];
        let fits = fitting(rows, bytes(&inputs), false);
        assert_eq!(fits, MOST_BYTES / 8);
        let copy = beginning(&inputs, rows, fits);
        cut(&mut inputs, rows, fits);
        assert_eq!(copy, inputs);
        assert_eq!(
            (inputs[0].shape.as_slice(), bytes(&inputs)),
            ([fits, 2].as_slice(), MOST_BYTES)
        );
        assert_eq!(fitting(3, 100, true), 3);
        assert_eq!(fitting(1, MOST_BYTES * 9, false), 1);
        assert_eq!(fitting(0, 0, true), 0);
        // Narrow rows are bounded by what keeping them takes.
        assert_eq!(fitting(rows, rows, false), rows);
        assert_eq!(fitting(rows, rows, true), MOST_BYTES / (KEPT_ROW + 1));
        assert_eq!(fitting(usize::MAX, 0, true), MOST_BYTES);
    }
}

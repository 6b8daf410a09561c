//! What is said between a node and the process of a version: see `docs/decisions/0038-workers.md`.
//!
//! Neither side trusts the other: lengths are held against bounds before memory is set aside, and whatever
//! is no frame ends the talk.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use domain::{DataType, Problem, Signature, Tensor, raw};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 4] = b"BTG1";
/// The bytes before the head.
const PREFIX: usize = 24;
/// Tensors begin at multiples of this.
const ALIGNMENT: usize = 8;
/// The longest head. The signature of a model of a thousand inputs is long.
const MAX_HEAD: u32 = 4 << 20;
/// Memory is set aside for so much of what is announced; for the rest as it comes.
const AT_ONCE: u64 = 4 << 20;
/// So much of an error's message is kept.
const MAX_MESSAGE: usize = 4 << 10;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// What the program is to do.
    Load = 1,
    /// It can answer now.
    Loaded = 2,
    /// A request.
    Infer = 3,
    /// Its answer.
    Answer = 4,
    /// There is none.
    Error = 5,
    /// The worker is confined, and now becomes the program.
    Confined = 6,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        use Kind::{Answer, Confined, Error, Infer, Load, Loaded};
        [Load, Loaded, Infer, Answer, Error, Confined].into_iter().find(|&it| it as u8 == byte)
    }
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The other side is gone, or has said nothing for too long.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What came is none.
    #[error("it sent something that is no frame: {0}")]
    Broken(String),
    /// It is larger than allowed.
    #[error("it sent {bytes} bytes, and {limit} are the limit")]
    TooLarge {
        /// What was announced.
        bytes: u64,
        /// What is read.
        limit: u64,
    },
}

/// The head of [`Kind::Infer`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Infer<'a> {
    /// After so many microseconds the answer is of no use.
    pub(crate) within_us: u64,
    #[serde(borrow)]
    pub(crate) tensors: Vec<Described<'a>>,
}

/// The head of [`Kind::Answer`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Answer<'a> {
    #[serde(borrow)]
    pub(crate) tensors: Vec<Described<'a>>,
}

/// The head of [`Kind::Loaded`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) signature: Option<Signature>,
}

/// The head of [`Kind::Confined`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Confined {
    /// What this machine does not allow.
    pub(crate) without: Vec<String>,
}

/// The head of [`Kind::Error`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) kind: Fault,
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
}

/// Why a program does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Fault {
    /// The request does not fit.
    Input,
    /// The model failed on this input.
    Run,
    /// The model's code failed.
    Failed,
    /// There was not enough memory.
    Memory,
    /// The answer would be larger than allowed.
    TooLarge,
    /// The run was ended at its deadline.
    Timeout,
    /// The model cannot be loaded.
    Load,
}

/// A tensor in the body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Described<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    datatype: DataType,
    shape: Cow<'a, [usize]>,
    bytes: usize,
}

/// A list of tensors, as a head tells it.
pub(crate) fn describe(tensors: &[Tensor]) -> Vec<Described<'_>> {
    tensors
        .iter()
        .map(|Tensor { name, shape, data }| Described {
            name: name.into(),
            datatype: data.datatype(),
            shape: shape.into(),
            bytes: raw::len(data),
        })
        .collect()
}

/// Writes a frame in place of what is in `out`.
///
/// # Errors
/// A BYTES element that has no raw form, or a head that is too long.
pub(crate) fn encode(
    out: &mut Vec<u8>,
    kind: Kind,
    number: u32,
    head: &impl Serialize,
    tensors: &[Tensor],
) -> Result<(), Problem> {
    out.clear();
    out.resize(PREFIX, 0);
    serde_json::to_writer(&mut *out, head).map_err(|_| Problem::internal())?;
    pad(out, 0, b' ');
    let body = out.len();
    let head = u32::try_from(body - PREFIX).ok().filter(|head| *head <= MAX_HEAD);
    let head = head.ok_or_else(|| Problem::invalid("inputs", "their names are too long"))?;
    for tensor in tensors {
        pad(out, body, 0);
        raw::append(out, &tensor.data)?;
    }
    let length = (out.len() - body) as u64;
    let mut prefix = [0; PREFIX];
    let fields: [(usize, &[u8]); 5] = [
        (0, MAGIC),
        (4, &[kind as u8]),
        (8, &head.to_le_bytes()),
        (12, &number.to_le_bytes()),
        (16, &length.to_le_bytes()),
    ];
    for (at, bytes) in fields {
        for (to, from) in prefix.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }
    if let Some(begin) = out.get_mut(..PREFIX) {
        begin.copy_from_slice(&prefix);
    }
    Ok(())
}

/// Fills up to the next multiple of [`ALIGNMENT`] from `begin`.
fn pad(out: &mut Vec<u8>, begin: usize, with: u8) {
    let length = (out.len() - begin).next_multiple_of(ALIGNMENT);
    out.resize(begin + length, with);
}

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) number: u32,
    head: &'a [u8],
    body: &'a [u8],
}

/// Reads the next frame into `buffer`, whose body has at most `limit` bytes.
///
/// # Errors
/// The other side is gone, or sends something else.
pub(crate) fn read<'a>(
    from: &mut impl Read,
    limit: u64,
    buffer: &'a mut Vec<u8>,
) -> Result<Frame<'a>, FrameError> {
    let mut prefix = [0; PREFIX];
    from.read_exact(&mut prefix)?;
    if field(&prefix, 5) != [0; 3] || field(&prefix, 0) != *MAGIC {
        return Err(FrameError::Broken("it begins with other bytes".to_owned()));
    }
    let [kind] = field(&prefix, 4);
    let kind =
        Kind::of(kind).ok_or_else(|| FrameError::Broken(format!("there is no kind {kind}")))?;
    let number = u32::from_le_bytes(field(&prefix, 12));
    let head = u32::from_le_bytes(field(&prefix, 8));
    let body = u64::from_le_bytes(field(&prefix, 16));
    for (bytes, limit) in [(head.into(), MAX_HEAD.into()), (body, limit)] {
        if bytes > limit {
            return Err(FrameError::TooLarge { bytes, limit });
        }
    }
    let length = body.saturating_add(head.into());
    buffer.clear();
    buffer.reserve(usize::try_from(length.min(AT_ONCE)).unwrap_or_default());
    from.take(length).read_to_end(buffer)?;
    if buffer.len() as u64 != length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    let (head, body) = buffer.split_at(head as usize);
    Ok(Frame { kind, number, head, body })
}

fn field<const N: usize>(prefix: &[u8; PREFIX], at: usize) -> [u8; N] {
    std::array::from_fn(|next| prefix.get(at + next).copied().unwrap_or_default())
}

impl<'a> Frame<'a> {
    /// What its head says.
    ///
    /// # Errors
    /// Something else.
    pub(crate) fn head<H: Deserialize<'a>>(&self) -> Result<H, FrameError> {
        serde_json::from_slice(self.head)
            .map_err(|error| FrameError::Broken(format!("its head: {error}")))
    }

    /// The tensors that its head lists.
    ///
    /// # Errors
    /// The body holds something else.
    pub(crate) fn tensors(&self, described: Vec<Described<'_>>) -> Result<Vec<Tensor>, FrameError> {
        let (mut rest, mut begin) = (self.body, 0_usize);
        let mut tensors = Vec::with_capacity(described.len());
        for Described { name, datatype, shape, bytes } in described {
            let gap = begin.next_multiple_of(ALIGNMENT) - begin;
            let short = || FrameError::Broken(format!("its body ends before `{name}` does"));
            let (_, behind) = rest.split_at_checked(gap).ok_or_else(short)?;
            let (data, behind) = behind.split_at_checked(bytes).ok_or_else(short)?;
            let wrong = |problem: Problem| FrameError::Broken(problem.message);
            let elements = Tensor::elements(&shape)
                .ok_or_else(|| FrameError::Broken(format!("the shape of `{name}` is too large")))?;
            let data = raw::read(datatype, elements, data, &name).map_err(wrong)?;
            tensors.push(Tensor::new(name.into_owned(), shape.into_owned(), data).map_err(wrong)?);
            (rest, begin) = (behind, begin + gap + bytes);
        }
        if rest.is_empty() {
            return Ok(tensors);
        }
        Err(FrameError::Broken(format!("{} bytes are behind its tensors", rest.len())))
    }

    /// Why there is no answer, in words of a bounded length.
    ///
    /// # Errors
    /// It says something else.
    pub(crate) fn refusal(&self) -> Result<Refusal, FrameError> {
        let mut refusal: Refusal = self.head()?;
        let end = refusal.message.floor_char_boundary(MAX_MESSAGE);
        refusal.message.truncate(end);
        Ok(refusal)
    }
}

#[cfg(test)]
mod tests;

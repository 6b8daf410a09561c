//! The protobuf wire format, read by a state machine that may be stopped after any byte.
//!
//! A message is a row of fields; a field is a key (number and wire type, one varint) and a value.
//! Where each open message ends is known from its length, so positions in the file are all that
//! is needed to know what ends where.

use super::Fault;
use super::message::{Field, Kept, Message, Model};

/// The longest name, in bytes.
const LONGEST_TEXT: u64 = 64 * 1024;
/// The most messages in messages; protobuf's own readers stop at 100 as well.
const DEEPEST: usize = 100;

/// Where in a field the reader stands.
#[derive(Debug)]
enum State {
    /// In the key; at its first byte, also between two fields.
    Key(Varint),
    /// In the value of a number that matters.
    Number { field: u32, varint: Varint },
    /// In the value of a number that does not.
    SkipNumber(Varint),
    /// In the length of a field.
    Length { field: u32, varint: Varint },
    /// In bytes that do not matter, up to this position.
    Skip { end: u64 },
    /// In a text that matters, up to this position.
    Text { field: u32, end: u64, bytes: Vec<u8> },
}

/// A message that has begun and not ended.
#[derive(Debug)]
struct Open {
    message: Message,
    /// Its number in the message that it stands in.
    field: u32,
    /// The position behind its last byte.
    end: u64,
}

/// Takes the file apart.
#[derive(Debug)]
pub(super) struct Reader {
    position: u64,
    state: State,
    /// The messages inside the model that have begun and not ended, the innermost last.
    open: Vec<Open>,
    model: Model,
    kept: Kept,
    fault: Option<Fault>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            position: 0,
            state: State::Key(Varint::default()),
            open: Vec::new(),
            model: Model::default(),
            kept: Kept::default(),
            fault: None,
        }
    }
}

impl Reader {
    /// How many bytes have been read; after a fault, where it was found.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// Takes the next bytes.
    pub(super) fn feed(&mut self, mut chunk: &[u8]) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        while !chunk.is_empty() {
            match self.advance(chunk) {
                Ok(rest) => chunk = rest,
                Err(fault) => {
                    self.fault = Some(fault);
                    return Err(fault);
                }
            }
        }
        Ok(())
    }

    /// Why the file may not end here.
    pub(super) fn fault(&self) -> Option<Fault> {
        let may_end = self.between_fields() && self.open.is_empty();
        self.fault.or((!may_end).then_some(Fault::Early))
    }

    /// Whether it looks like ONNX up to here: writers put the format's version first.
    pub(super) const fn has_begun(&self) -> bool {
        self.model.ir_version.is_some()
    }

    /// What was read.
    pub(super) fn into_model(self) -> Model {
        self.model
    }

    /// Takes a byte, or as many as are alike, and gives back the rest.
    fn advance<'a>(&mut self, chunk: &'a [u8]) -> Result<&'a [u8], Fault> {
        let (taken, rest) = match &self.state {
            State::Skip { end } | State::Text { end, .. } => {
                let left = usize::try_from(end - self.position).unwrap_or(usize::MAX);
                chunk.split_at(left.min(chunk.len()))
            }
            State::Key(_) | State::Number { .. } | State::SkipNumber(_) | State::Length { .. } => {
                chunk.split_at(1)
            }
        };
        self.end_after(taken.len() as u64)?;
        self.take(taken)?;
        self.close_what_ends_here()?;
        Ok(rest)
    }

    /// Moves over `taken`: one byte in a varint, else bytes of the value.
    fn take(&mut self, taken: &[u8]) -> Result<(), Fault> {
        self.position += taken.len() as u64;
        let first = taken.first().copied().unwrap_or_default();
        match &mut self.state {
            State::Key(varint) => {
                if let Some(key) = varint.push(first)? {
                    self.state = self.value_of(key)?;
                }
            }
            State::SkipNumber(varint) => {
                if varint.push(first)?.is_some() {
                    self.next_field();
                }
            }
            State::Number { field, varint } => {
                if let Some(value) = varint.push(first)? {
                    let field = *field;
                    match self.open.last_mut() {
                        Some(open) => open.message.number(field, value),
                        None => self.model.number(field, value),
                    }
                    self.next_field();
                }
            }
            State::Length { field, varint } => {
                if let Some(length) = varint.push(first)? {
                    let field = *field;
                    self.begin(field, length)?;
                }
            }
            State::Skip { end } => {
                if *end == self.position {
                    self.next_field();
                }
            }
            State::Text { field, end, bytes } => {
                bytes.extend_from_slice(taken);
                if *end == self.position {
                    let (field, bytes) = (*field, std::mem::take(bytes));
                    self.text(field, bytes)?;
                }
            }
        }
        Ok(())
    }

    /// What follows a key.
    fn value_of(&self, key: u64) -> Result<State, Fault> {
        let field = u32::try_from(key >> 3).map_err(|_| Fault::FieldNumber)?;
        if field == 0 || field >= 1 << 29 {
            return Err(Fault::FieldNumber);
        }
        let known = self.known(field);
        match (key & 7, known) {
            (0, Field::Number) => Ok(State::Number { field, varint: Varint::default() }),
            (0, Field::Skip) => Ok(State::SkipNumber(Varint::default())),
            (1, Field::Skip) => Ok(State::Skip { end: self.end_after(8)? }),
            (2, Field::Skip | Field::Text | Field::Enter(_)) => {
                Ok(State::Length { field, varint: Varint::default() })
            }
            (5, Field::Skip) => Ok(State::Skip { end: self.end_after(4)? }),
            (0..=2 | 5, _) => Err(Fault::FieldType),
            (_, _) => Err(Fault::WireType),
        }
    }

    /// Begins the value of a field with a length.
    fn begin(&mut self, field: u32, length: u64) -> Result<(), Fault> {
        let end = self.end_after(length)?;
        match self.known(field) {
            Field::Skip | Field::Number if length == 0 => self.next_field(),
            Field::Skip | Field::Number => self.state = State::Skip { end },
            Field::Text if length > LONGEST_TEXT => return Err(Fault::Length),
            Field::Text if length == 0 => self.text(field, Vec::new())?,
            Field::Text => self.state = State::Text { field, end, bytes: Vec::new() },
            Field::Enter(_) if self.open.len() == DEEPEST => return Err(Fault::Depth),
            Field::Enter(message) => {
                self.open.push(Open { message, field, end });
                self.next_field();
            }
        }
        Ok(())
    }

    /// The position behind the next `length` bytes, which must fit into the innermost message.
    fn end_after(&self, length: u64) -> Result<u64, Fault> {
        let end = self.position.checked_add(length).ok_or(Fault::Overrun)?;
        if self.end().is_some_and(|parent| end > parent) { Err(Fault::Overrun) } else { Ok(end) }
    }

    fn text(&mut self, field: u32, bytes: Vec<u8>) -> Result<(), Fault> {
        let text = String::from_utf8(bytes).map_err(|_| Fault::Text)?;
        match self.open.last_mut() {
            Some(open) => open.message.text(field, text),
            None => self.model.text(field, text),
        }
        self.next_field();
        Ok(())
    }

    /// Hands every message that ends here to the one that it stands in.
    fn close_what_ends_here(&mut self) -> Result<(), Fault> {
        while self.between_fields() && self.end() == Some(self.position) {
            let Some(Open { message, field, .. }) = self.open.pop() else { break };
            match self.open.last_mut() {
                Some(parent) => {
                    parent.message.absorb(field, message, &mut self.model, &mut self.kept)?;
                }
                None => self.model.absorb(field, message, &mut self.kept)?,
            }
        }
        Ok(())
    }

    fn between_fields(&self) -> bool {
        matches!(&self.state, State::Key(varint) if varint.is_fresh())
    }

    fn next_field(&mut self) {
        self.state = State::Key(Varint::default());
    }

    fn known(&self, field: u32) -> Field {
        self.open.last().map_or_else(|| Model::field(field), |open| open.message.field(field))
    }

    /// Where the innermost message ends; the model ends with the file.
    fn end(&self) -> Option<u64> {
        self.open.last().map(|open| open.end)
    }
}

/// A number in 1 to 10 bytes of 7 bits each, the lowest first.
#[derive(Debug, Default)]
struct Varint {
    value: u64,
    bytes: u32,
}

impl Varint {
    /// Takes one byte in; the number, if it was the last.
    fn push(&mut self, byte: u8) -> Result<Option<u64>, Fault> {
        if self.bytes == 9 && byte > 1 {
            return Err(Fault::Varint);
        }
        self.value |= u64::from(byte & 0x7F) << (7 * self.bytes);
        self.bytes += 1;
        Ok((byte & 0x80 == 0).then_some(self.value))
    }

    const fn is_fresh(&self) -> bool {
        self.bytes == 0
    }
}

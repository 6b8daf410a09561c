//! A node's end of the talk with one process.

use std::{
    io::{self, BufReader, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use domain::{Problem, Signature, Tensor};

use super::frame::{self, Answer, Fault, Frame, FrameError, Infer, Kind, Loaded, Refusal};
use crate::Error;

/// So often whoever waits looks at the clock.
const TICK: Duration = Duration::from_millis(20);
/// Buffers that grew beyond this are given back.
const KEPT: usize = 1 << 20;
/// Most answers come by one call to the kernel.
const AT_ONCE: usize = 64 << 10;

/// A stream whose reads and writes end at a time.
struct Patient {
    stream: UnixStream,
    until: Instant,
}

impl Patient {
    fn wait<T>(&self, mut attempt: impl FnMut(&UnixStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            match attempt(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= self.until {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }
}

impl Read for Patient {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.wait(|mut stream| stream.read(to))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The program said so, and can be asked again.
    Said(Error),
    /// It was gone before it was asked.
    WasGone,
    /// It went while it was asked.
    Went,
    /// It says nothing.
    Silent,
    /// It does not keep to what is agreed.
    Broken(String),
}

/// The talk.
pub(super) struct Link {
    reader: BufReader<Patient>,
    /// What is written next.
    out: Vec<u8>,
    /// What was read last.
    buffer: Vec<u8>,
    /// Of the last question.
    number: u32,
    output_bytes: usize,
}

impl Link {
    pub(super) fn new(stream: UnixStream, output_bytes: usize) -> io::Result<Self> {
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        let reader = BufReader::with_capacity(AT_ONCE, Patient { stream, until: Instant::now() });
        let (out, buffer) = (Vec::new(), Vec::new());
        Ok(Self { reader, out, buffer, number: 0, output_bytes })
    }

    /// Orders the worker, and waits until it says that it is confined, and without what.
    pub(super) fn order(
        &mut self,
        order: &super::Order,
        until: Instant,
    ) -> Result<Vec<String>, Trouble> {
        let frame = self.ask(Kind::Load, 0, order, &[], until)?;
        if frame.kind == Kind::Confined {
            return Ok(frame.head::<frame::Confined>()?.without);
        }
        Err(refused(&frame, 0)
            .map_or_else(|broken| broken, |refusal| Trouble::Said(Error::Worker(refusal.message))))
    }

    /// Has the program load its model.
    pub(super) fn load(
        &mut self,
        load: &serde_json::Value,
        until: Instant,
    ) -> Result<Option<Signature>, Trouble> {
        let frame = self.ask(Kind::Load, 1, load, &[], until)?;
        if frame.kind == Kind::Loaded {
            return Ok(frame.head::<Loaded>()?.signature);
        }
        if frame.number == 0 {
            // What was to become the program did not.
            let refusal = refused(&frame, 0)?;
            return Err(Trouble::Said(Error::Worker(refusal.message)));
        }
        let refusal = refused(&frame, 1)?;
        Err(Trouble::Said(match refusal.kind {
            Fault::Memory => Error::Memory,
            Fault::Load
            | Fault::Input
            | Fault::Run
            | Fault::Failed
            | Fault::TooLarge
            | Fault::Timeout => Error::Model(refusal.message),
        }))
    }

    /// Asks for an answer.
    pub(super) fn infer(
        &mut self,
        inputs: &[Tensor],
        within: Duration,
        until: Instant,
    ) -> Result<Vec<Tensor>, Trouble> {
        let within_us = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
        let head = Infer { within_us, tensors: frame::describe(inputs) };
        let number = self.number.wrapping_add(1).max(1);
        let limit = self.output_bytes;
        let frame = self.ask(Kind::Infer, number, &head, inputs, until)?;
        let answer = if frame.kind == Kind::Answer {
            let head: Answer<'_> = frame.head()?;
            Ok(frame.tensors(head.tensors)?)
        } else {
            Err(Trouble::Said(said(refused(&frame, number)?, limit)))
        };
        for buffer in [&mut self.out, &mut self.buffer] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
        answer
    }

    fn ask(
        &mut self,
        kind: Kind,
        number: u32,
        head: &impl serde::Serialize,
        tensors: &[Tensor],
        until: Instant,
    ) -> Result<Frame<'_>, Trouble> {
        self.number = number;
        frame::encode(&mut self.out, kind, number, head, tensors)
            .map_err(|problem| Trouble::Said(problem.into()))?;
        self.reader.get_mut().until = until;
        self.send()?;
        let limit = self.output_bytes as u64;
        let frame = frame::read(&mut self.reader, limit, &mut self.buffer)?;
        // One that did not become the program answers to its order.
        if frame.number != number && !(frame.kind == Kind::Error && frame.number == 0) {
            return Err(Trouble::Broken("it answered another question".to_owned()));
        }
        Ok(frame)
    }

    fn send(&mut self) -> Result<(), Trouble> {
        let stream = self.reader.get_ref();
        let mut left = self.out.as_slice();
        while !left.is_empty() {
            let sent = stream.wait(|mut stream| stream.write(left)).map_err(|error| {
                if error.kind() == ErrorKind::TimedOut {
                    Trouble::Silent
                } else if left.len() == self.out.len() {
                    Trouble::WasGone
                } else {
                    Trouble::Went
                }
            })?;
            left = left.get(sent..).unwrap_or_default();
        }
        Ok(())
    }
}

impl From<FrameError> for Trouble {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error) if error.kind() == ErrorKind::TimedOut => Self::Silent,
            FrameError::Io(_) => Self::Went,
            broken @ (FrameError::Broken(_) | FrameError::TooLarge { .. }) => {
                Self::Broken(broken.to_string())
            }
        }
    }
}

/// What a program says that does not answer.
fn refused(frame: &Frame<'_>, number: u32) -> Result<Refusal, Trouble> {
    if frame.kind != Kind::Error || frame.number != number {
        return Err(Trouble::Broken(format!("it sent a frame of the kind {:?}", frame.kind)));
    }
    let mut refusal = frame.refusal()?;
    // Words of a stranger, which others will read.
    refusal.message = refusal.message.replace(|char: char| char.is_control(), " ");
    Ok(refusal)
}

fn said(Refusal { kind, message, field }: Refusal, limit: usize) -> Error {
    let field = field.filter(|field| field.len() <= 255);
    match kind {
        Fault::Input => {
            Problem::invalid(field.unwrap_or_else(|| "inputs".to_owned()), message).into()
        }
        Fault::Run => Error::Run(message),
        Fault::Failed | Fault::Load => Error::Failed(message),
        Fault::Memory => Error::Memory,
        Fault::TooLarge => {
            Error::OutputTooLarge { name: field.unwrap_or_else(|| "outputs".to_owned()), limit }
        }
        Fault::Timeout => Error::Timeout,
    }
}

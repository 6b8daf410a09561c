//! What a program prints: read always, so that it never waits for us, unless it prints without end.

use std::{
    collections::VecDeque,
    io::{PipeReader, Read},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use super::Host;
use crate::{Error, sync::lock};

/// Of a line so much is kept.
const MAX_LINE: usize = 4 << 10;
/// So many of the last lines are kept, to tell why it ended.
const LAST: usize = 12;
/// So much is read in a second; who prints more waits.
const A_SECOND: usize = 1 << 20;
/// So many lines of a second are told; the rest are counted.
const TOLD: u32 = 100;

/// The last lines.
#[derive(Clone, Default)]
pub(super) struct Printed {
    lines: Arc<Mutex<VecDeque<String>>>,
    is_over: Arc<AtomicBool>,
}

impl Printed {
    /// Hears what is printed, till the last one who could print is gone.
    pub(super) fn listen(host: &Host, from: PipeReader) -> Result<Self, Error> {
        let printed = Self::default();
        let (lines, host) = (printed.clone(), host.clone());
        thread::Builder::new()
            .name("printed".to_owned())
            .spawn(move || lines.hear(&host, from))
            .map_err(Error::Thread)?;
        Ok(printed)
    }

    /// The last lines, the last one last.
    pub(super) fn last(&self) -> Vec<String> {
        lock(&self.lines).iter().cloned().collect()
    }

    /// The same once all is read that was printed, or after a moment.
    pub(super) fn all(&self) -> Vec<String> {
        for _ in 0..100 {
            if self.is_over.load(SeqCst) {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.last()
    }

    fn hear(&self, host: &Host, mut from: PipeReader) {
        let (mut line, mut buffer) = (Vec::new(), [0; 16 << 10]);
        let mut second = Second::begin();
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            for &byte in buffer.iter().take(count) {
                if byte == b'\n' {
                    self.take(host, &mut line, &mut second);
                } else if line.len() < MAX_LINE {
                    line.push(byte);
                }
            }
            second.read(count, host);
        }
        if !line.is_empty() {
            self.take(host, &mut line, &mut second);
        }
        second.end(host);
        self.is_over.store(true, SeqCst);
    }

    fn take(&self, host: &Host, line: &mut Vec<u8>, second: &mut Second) {
        let text = String::from_utf8_lossy(line).replace(|char: char| char.is_control(), " ");
        line.clear();
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        {
            let mut last = lock(&self.lines);
            if last.len() == LAST {
                last.pop_front();
            }
            last.push_back(text.to_owned());
        }
        if second.told < TOLD {
            second.told += 1;
            (host.printed)(text);
        } else {
            second.left_out += 1;
        }
    }
}

/// What has come in this second.
struct Second {
    since: Instant,
    bytes: usize,
    told: u32,
    left_out: u64,
}

impl Second {
    fn begin() -> Self {
        Self { since: Instant::now(), bytes: 0, told: 0, left_out: 0 }
    }

    fn read(&mut self, bytes: usize, host: &Host) {
        self.bytes += bytes;
        let second = Duration::from_secs(1);
        if self.bytes > A_SECOND {
            thread::sleep(second.saturating_sub(self.since.elapsed()));
        }
        if self.since.elapsed() >= second {
            self.end(host);
        }
    }

    fn end(&mut self, host: &Host) {
        if self.left_out > 0 {
            (host.printed)(&format!("({} lines are left out)", self.left_out));
        }
        *self = Self::begin();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_are_bounded_and_a_flood_is_counted() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let hears = Arc::clone(&told);
        let printed = Arc::new(move |line: &str| lock(&hears).push(line.to_owned()));
        let host = Host::new("/none".into()).printing(printed);
        let (reader, mut writer) = std::io::pipe().unwrap();
        let writes = thread::spawn(move || {
            writer.write_all(b"first\nwith \x1b[31m a colour\n\n").unwrap();
            writer.write_all(&vec![b'x'; 100_000]).unwrap();
            for at in 0..1000 {
                writeln!(writer, "\n{at}").unwrap();
            }
            writer.write_all(b"no end").unwrap();
        });
        let lines = Printed::default();
        lines.hear(&host, reader);
        writes.join().unwrap();
        let told = lock(&told);
        assert_eq!(told[..2], ["first", "with  [31m a colour"]);
        assert_eq!(told[2].len(), MAX_LINE);
        assert!(told.iter().any(|line| line.ends_with("lines are left out)")), "{}", told.len());
        assert_eq!(lines.last().last().unwrap(), "no end");
        assert_eq!(lines.last().len(), LAST);
    }
}

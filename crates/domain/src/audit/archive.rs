//! Archives: a stretch of the chain in a file that can be checked by itself.
//!
//! Lines of canonical JSON: where the chain stood before, then for each seal its events, as they were
//! digested, and the seal, then where the chain stands behind it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Link, Seal};
use crate::{Digest, Hasher, Problem, Timestamp, json::canonical};

/// The first line, and the last one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    bottega_audit_archive: Edge,
    /// Where the chain stands.
    link: Link,
}

/// Which end of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// Before its first seal.
    Begin,
    /// Behind its last seal.
    End,
}

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Where the chain stood before it.
    pub after: Link,
    /// Where it stands behind it.
    pub through: Link,
    /// How many events it holds.
    pub events: i64,
    /// The digest of its lines.
    pub digest: Digest,
}

/// Writes and reads line after line, and knows at the end what it was.
pub struct Reader {
    after: Option<Link>,
    through: Link,
    pending: Vec<(i64, Digest)>,
    events: i64,
    lines: u64,
    hasher: Hasher,
    ended: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            after: None,
            through: Link::BEGINNING,
            pending: Vec::new(),
            events: 0,
            lines: 0,
            hasher: Hasher::default(),
            ended: false,
        }
    }
}

/// The line of an edge.
#[must_use]
pub fn edge(edge: Edge, link: Link) -> Vec<u8> {
    let header = Header { bottega_audit_archive: edge, link };
    line(&serde_json::to_value(header).unwrap_or_default())
}

/// The line of a seal.
#[must_use]
pub fn seal(seal: &Seal) -> Vec<u8> {
    let mut described = seal.describe();
    described["hash"] = Value::from(seal.hash.to_string());
    line(&serde_json::json!({"seal": described}))
}

fn line(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    canonical::write(&mut out, value);
    out.push(b'\n');
    out
}

/// A seal's line.
#[derive(Deserialize)]
struct SealLine {
    seal: Sealed,
}

#[derive(Deserialize)]
struct Sealed {
    sealed_at: Timestamp,
}

impl Reader {
    /// Takes the next line in, without its end.
    ///
    /// # Errors
    /// The line is none of an archive, or not what was sealed.
    pub fn line(&mut self, line: &[u8]) -> Result<(), Problem> {
        self.lines += 1;
        self.hasher.update(line);
        self.hasher.update(b"\n");
        let number = self.lines;
        let wrong = |what: &str| Problem::invalid("archive", format!("line {number}: {what}"));
        if self.ended {
            return Err(wrong("something stands behind the end"));
        }
        let value: Value =
            serde_json::from_slice(line).map_err(|error| wrong(&format!("no JSON: {error}")))?;
        let Some(after) = self.after else {
            let header: Header = serde_json::from_value(value)
                .map_err(|_| wrong("this is no archive of an audit trail"))?;
            if header.bottega_audit_archive != Edge::Begin {
                return Err(wrong("the beginning is missing"));
            }
            self.through = header.link;
            self.after = Some(header.link);
            return Ok(());
        };
        if value.get("bottega_audit_archive").is_some() {
            let header: Header =
                serde_json::from_value(value).map_err(|_| wrong("no end of an archive"))?;
            let fits = header.bottega_audit_archive == Edge::End
                && header.link == self.through
                && self.pending.is_empty()
                && self.through.seal > after.seal;
            if !fits {
                return Err(wrong("the end does not fit what stands before it"));
            }
            self.ended = true;
        } else if value.get("seal").is_some() {
            let SealLine { seal } =
                serde_json::from_value(value).map_err(|_| wrong("no seal of an archive"))?;
            let events = std::mem::take(&mut self.pending);
            let made = Seal::next(&self.through, events, seal.sealed_at);
            // Each word of the line, not only those that are digested.
            if self::seal(&made).strip_suffix(b"\n") != Some(line) {
                let message =
                    format!("seal {} does not fit its events, or the seal before", made.number);
                return Err(wrong(&message));
            }
            self.through = made.link();
        } else {
            let id = value.get("id").and_then(Value::as_i64);
            let id = id.ok_or_else(|| wrong("neither an event nor a seal"))?;
            self.pending.push((id, Digest::of(line)));
            self.events += 1;
        }
        Ok(())
    }

    /// What it was.
    ///
    /// # Errors
    /// The end is missing.
    pub fn finish(self) -> Result<Archive, Problem> {
        match self.after {
            Some(after) if self.ended => Ok(Archive {
                after,
                through: self.through,
                events: self.events,
                digest: self.hasher.finish(),
            }),
            _ => Err(Problem::invalid("archive", "the archive breaks off before its end")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> (Vec<Vec<u8>>, Link) {
        let now = "2026-11-17T14:00:00Z".parse().unwrap();
        let mut link = Link { seal: 4, total: 40, hash: Digest::of(b"before") };
        let mut lines = vec![edge(Edge::Begin, link)];
        for ids in [1..3, 3..7] {
            let mut events = Vec::new();
            for id in ids {
                let text = format!(r#"{{"actor":"user:ana","id":{id}}}"#).into_bytes();
                events.push((id, Digest::of(&text)));
                lines.push([text, b"\n".to_vec()].concat());
            }
            let made = Seal::next(&link, events, now);
            lines.push(seal(&made));
            link = made.link();
        }
        lines.push(edge(Edge::End, link));
        (lines, link)
    }

    fn read(lines: &[Vec<u8>]) -> Result<Archive, Problem> {
        let mut reader = Reader::default();
        for line in lines {
            reader.line(line.strip_suffix(b"\n").unwrap())?;
        }
        reader.finish()
    }

    #[test]
    fn an_archive_says_where_it_begins_and_ends() {
        let (lines, through) = lines();
        let archive = read(&lines).unwrap();
        assert_eq!((archive.after.seal, archive.through, archive.events), (4, through, 6));
        assert_eq!(archive.digest, Digest::of(&lines.concat()));
    }

    #[test]
    fn whatever_is_changed_removed_or_moved_in_it_is_found() {
        let (lines, _) = lines();
        for at in 0..lines.len() {
            let mut removed = lines.clone();
            removed.remove(at);
            assert!(read(&removed).is_err(), "line {at} removed");
            let mut changed = lines.clone();
            let text = String::from_utf8(changed[at].clone()).unwrap();
            let digit = text.rfind(|c: char| c.is_ascii_digit()).unwrap();
            let other = if text.as_bytes()[digit] == b'5' { b'6' } else { b'5' };
            changed[at][digit] = other;
            let is_found = read(&changed).is_err();
            // Where the chain stood before is for whoever has it to compare.
            assert!(is_found || at == 0, "line {at} changed");
            if at > 0 {
                let mut moved = lines.clone();
                moved.swap(at, at - 1);
                assert!(read(&moved).is_err(), "line {at} moved");
            }
        }
    }
}

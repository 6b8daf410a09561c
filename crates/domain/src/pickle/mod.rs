//! What a pickle would do if somebody loaded it, found out without loading it.
//!
//! A pickle is a program for a small stack machine that can import anything and call it. [`scan`]
//! walks every instruction of every pickle in a file, follows what is on the stack as far as names
//! and lengths depend on it, and reports each import with a [`Verdict`]. Nothing is executed.
//!
//! What the machine's reader could see differently from us is itself a finding: a name that is put
//! together while loading, an instruction that nobody knows, bytes behind the end. So a file that
//! comes out as [`Verdict::Safe`] holds nothing but known constructors of known libraries.
//!
//! Memory is bounded whatever the file says of itself; time is linear in its length.
//!
//! Not here: archives and compression around pickles, and the process that it is done in
//! (`inference`), what may be deployed (`registry`).

mod arrays;
mod findings;
mod machine;
mod source;
#[cfg(test)]
mod tests;
mod values;
mod verdict;

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
};

use serde::{Deserialize, Serialize};

pub use self::{
    findings::{FileFindings, Findings, Format, Policy, named, suspects},
    verdict::{Verdict, judge},
};
use self::{machine::Machine, source::Source, values::Values};

/// The most imports and notes that one file's findings list.
const MOST: usize = 500;
/// How deep pickles may lie within arrays of pickles.
const DEEPEST: usize = 16;

/// Something that a pickle imports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// With its module: `os.system`.
    pub name: String,
    /// What it means that it is here.
    pub verdict: Verdict,
    /// Why, unless it is safe.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// Whether loading would call it.
    pub called: bool,
}

/// Anything else worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it means that it is so.
    pub verdict: Verdict,
    /// What was seen, and where.
    pub text: String,
}

/// What was found in one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its imports, by name.
    pub imports: Vec<Import>,
    /// Anything else.
    pub notes: Vec<Note>,
}

impl Report {
    /// The worst that was found.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let imports = self.imports.iter().map(|import| import.verdict);
        imports.chain(self.notes.iter().map(|note| note.verdict)).max().unwrap_or(Verdict::Safe)
    }

    /// Adds what was found in another part of the same file. What is too much to be listed makes
    /// the verdict no better.
    pub fn merge(&mut self, other: Self) {
        let verdict = self.verdict().max(other.verdict());
        for import in other.imports {
            let has_room = self.imports.len() < MOST;
            match self.imports.iter_mut().find(|known| known.name == import.name) {
                Some(known) => known.called |= import.called,
                None if has_room => self.imports.push(import),
                None => {}
            }
        }
        for note in other.notes {
            self.note(note.verdict, note.text);
        }
        self.imports.sort_by(|one, other| one.name.cmp(&other.name));
        if self.verdict() < verdict {
            self.notes.truncate(MOST - 1);
            self.note(verdict, "it holds more than is listed here");
        }
    }

    /// Takes note of something, once.
    pub fn note(&mut self, verdict: Verdict, text: impl Into<String>) {
        let note = Note { verdict, text: text.into() };
        if self.notes.len() < MOST && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// How pickles lie in a file, as whoever loads it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One behind the other, to the file's end.
    Plain,
    /// As in torch's archives: persistent ids refer to the bytes of tensors.
    Torch,
    /// As torch wrote files before it wrote archives: five pickles, and the bytes of tensors.
    OldTorch,
}

impl Layout {
    /// How many pickles are loaded; absent: all that there are.
    const fn pickles(self) -> Option<u64> {
        match self {
            Self::Plain | Self::Torch => None,
            Self::OldTorch => Some(5),
        }
    }
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With the last pickle.
    Whole,
    /// Where every loader would give up too.
    Broken,
    /// Where only we could not go on.
    Lost,
}

/// A walk through a file.
#[derive(Debug)]
pub struct Walk {
    /// What was found on the way.
    pub report: Report,
    /// How it ended.
    pub ended: Ended,
}

impl Walk {
    /// Whether that was a pickle, where the file's name does not say so. `is_text`: it did not begin
    /// with a protocol's number, and may be a text in any language.
    #[must_use]
    pub fn is_pickle(&self, is_text: bool) -> bool {
        let imports = &self.report.imports;
        match self.ended {
            Ended::Lost => true,
            Ended::Whole => !is_text || !imports.is_empty(),
            Ended::Broken if is_text => imports.iter().any(|import| import.called),
            Ended::Broken => !imports.is_empty() || self.report.verdict() == Verdict::Dangerous,
        }
    }
}

/// Why the walk ended before the file did.
#[derive(Debug)]
enum End {
    /// It is not as pickles are: nobody could load it any further.
    Malformed(String),
    /// We cannot follow it, and others may.
    Lost(String),
    /// Its bytes could not be read.
    Io(io::Error),
}

type Step<T = ()> = Result<T, End>;

fn malformed<T>(what: impl Into<String>) -> Step<T> {
    Err(End::Malformed(what.into()))
}

fn lost<T>(what: impl Into<String>) -> Step<T> {
    Err(End::Lost(what.into()))
}

/// What was found so far.
struct Found {
    layout: Layout,
    imports: BTreeMap<String, Import>,
    notes: Report,
}

impl Found {
    fn note(&mut self, verdict: Verdict, text: impl Into<String>) {
        self.notes.note(verdict, text);
    }

    fn import(&mut self, module: &str, name: &str) -> String {
        let whole = format!("{module}.{name}");
        if self.imports.contains_key(&whole) {
            return whole;
        }
        if self.imports.len() == MOST {
            self.note(Verdict::Dangerous, format!("it imports more than {MOST} things"));
            return whole;
        }
        let (verdict, reason) = judge(module, name);
        let reason = reason.map(ToOwned::to_owned);
        let import = Import { name: whole.clone(), verdict, reason, called: false };
        self.imports.insert(whole.clone(), import);
        whole
    }

    fn called(&mut self, name: &str) {
        if let Some(import) = self.imports.get_mut(name) {
            import.called = true;
        }
    }
}

/// Walks all pickles of a file, one behind the other. What is malformed is a finding; what stood
/// before it counts, because a loader has executed it by then.
///
/// A reader's [`io::ErrorKind::FileTooLarge`] is a finding too: it bounds what is unpacked.
///
/// # Errors
/// The file could not be read.
pub fn scan(file: impl BufRead, layout: Layout) -> io::Result<Walk> {
    let mut source = Source::new(file);
    let mut findings = Found { layout, imports: BTreeMap::default(), notes: Report::default() };
    let (mut pickles, mut ended) = (0_u64, Ended::Whole);
    while layout.pickles() != Some(pickles) {
        let begin = source.position();
        let is_over = match source.is_over() {
            // A compressed stream without its end, or too much of it: the next step meets it again
            // and notes it.
            Err(error) if is_about_the_file(&error) => false,
            looked => looked?,
        };
        if is_over && pickles > 0 {
            break;
        }
        let what = match one(&mut source, &mut findings) {
            Ok(()) => {
                pickles += 1;
                continue;
            }
            Err(End::Io(error)) if !is_about_the_file(&error) => return Err(error),
            Err(End::Io(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                (Ended::Lost, "it is too large to be scanned".to_owned())
            }
            Err(End::Io(_)) => (Ended::Broken, "it ends early".to_owned()),
            Err(End::Malformed(what)) => (Ended::Broken, what),
            Err(End::Lost(what)) => (Ended::Lost, what),
        };
        let (place, at) = (["the pickle", "what follows the pickle"], source.position());
        let place = place[usize::from(pickles > 0)];
        let text =
            format!("{place} at byte {begin} cannot be followed beyond byte {at}: {}", what.1);
        findings.note(Verdict::Unknown, text);
        ended = what.0;
        break;
    }
    let mut report = findings.notes;
    report.imports = findings.imports.into_values().collect();
    Ok(Walk { report, ended })
}

/// What a reader says of the file's content: that it ends early, or that it is too large.
fn is_about_the_file(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::FileTooLarge)
}

/// Walks one pickle, and those that lie in arrays within it.
fn one(source: &mut Source<impl BufRead>, findings: &mut Found) -> Step {
    let mut values = Values::default();
    let mut machines = vec![Machine::default()];
    while let Some(machine) = machines.last_mut() {
        match machine.step(source, &mut values, findings)? {
            machine::Next::Go => {}
            machine::Next::Stop => drop(machines.pop()),
            machine::Next::Nested if machines.len() == DEEPEST => {
                return lost("pickles lie too deep in each other");
            }
            machine::Next::Nested => machines.push(Machine::default()),
        }
    }
    Ok(())
}

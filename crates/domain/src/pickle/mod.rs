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
    findings::{FileFindings, Findings, Format, Policy, may_hold_pickles, named},
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

    /// Adds what was found in another part of the same file.
    pub fn merge(&mut self, other: Self) {
        for import in other.imports {
            match self.imports.iter_mut().find(|known| known.name == import.name) {
                Some(known) => known.called |= import.called,
                None => self.imports.push(import),
            }
        }
        self.notes.extend(other.notes);
        self.imports.sort_by(|one, other| one.name.cmp(&other.name));
    }
}

/// Why the walk ended before the file did.
#[derive(Debug)]
enum End {
    /// It is not as pickles are.
    Malformed(String),
    /// Its bytes could not be read.
    Io(io::Error),
}

type Step<T = ()> = Result<T, End>;

fn malformed<T>(what: impl Into<String>) -> Step<T> {
    Err(End::Malformed(what.into()))
}

/// What was found so far.
#[derive(Default)]
struct Found {
    imports: BTreeMap<String, Import>,
    notes: Vec<Note>,
}

impl Found {
    fn note(&mut self, verdict: Verdict, text: impl Into<String>) {
        let note = Note { verdict, text: text.into() };
        if self.notes.len() < MOST && !self.notes.contains(&note) {
            self.notes.push(note);
        }
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
/// # Errors
/// The file could not be read.
pub fn scan(file: impl BufRead) -> io::Result<Report> {
    let (mut source, mut findings) = (Source::new(file), Found::default());
    let mut pickles = 0_u64;
    loop {
        let begin = source.position();
        let is_over = match source.is_over() {
            // A compressed stream without its end: the next step meets it again and notes it.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
            looked => looked?,
        };
        if is_over && pickles > 0 {
            break;
        }
        match one(&mut source, &mut findings) {
            Ok(()) => pickles += 1,
            Err(End::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(error);
            }
            Err(end) => {
                let at = source.position();
                let what = match end {
                    End::Malformed(what) => what,
                    End::Io(_) => "it ends early".to_owned(),
                };
                let place = if pickles == 0 { "the pickle" } else { "what follows the pickle" };
                let text =
                    format!("{place} at byte {begin} cannot be followed beyond byte {at}: {what}");
                findings.note(Verdict::Unknown, text);
                break;
            }
        }
    }
    Ok(Report { imports: findings.imports.into_values().collect(), notes: findings.notes })
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
                return malformed("pickles lie too deep in each other");
            }
            machine::Next::Nested => machines.push(Machine::default()),
        }
    }
    Ok(())
}

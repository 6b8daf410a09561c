//! The stack machine: what each instruction takes from the file and the stack, and leaves there.

use std::io::BufRead;

use super::{
    Found, Layout, Step, Verdict, arrays, lost, malformed,
    source::Source,
    values::{Item, Values},
};

/// The most values on the stack, and in the memo.
const MOST_ITEMS: usize = 4 << 20;

/// What comes after an instruction.
pub(super) enum Next {
    Go,
    /// The pickle is over.
    Stop,
    /// A pickle stands within this one.
    Nested,
}

/// One pickle's machine.
#[derive(Default)]
pub(super) struct Machine {
    stack: Vec<Item>,
    /// Where in the stack marks are.
    marks: Vec<usize>,
    memo: Vec<Option<Item>>,
    /// How many places of the memo are taken.
    remembered: usize,
}

impl Machine {
    /// Walks one instruction.
    pub(super) fn step(
        &mut self,
        source: &mut Source<impl BufRead>,
        values: &mut Values,
        findings: &mut Found,
    ) -> Step<Next> {
        let code = source.u8()?;
        match code {
            b'.' => return self.pop().map(|_| Next::Stop),
            b'b' => return self.build(source, values, findings),
            b'c' | b'i' | 0x93 | b'R' | b'o' | 0x81 | 0x92 | 0x82..=0x84 | b'P' | b'Q' => {
                self.reach_out(code, source, values, findings)?;
            }
            b'p' | b'q' | b'r' | b'g' | b'h' | b'j' | 0x94 => self.remember(code, source)?,
            _ => {
                if !self.literal(code, source, values)? {
                    self.collect(code, source, values, findings)?;
                }
            }
        }
        Ok(Next::Go)
    }

    fn push(&mut self, item: Item) -> Step {
        if self.stack.len() >= MOST_ITEMS {
            return lost("it needs a larger stack than pickles do");
        }
        self.stack.push(item);
        Ok(())
    }

    /// What is on top, but nothing from below the last mark.
    fn pop(&mut self) -> Step<Item> {
        let fence = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(item) if self.stack.len() >= fence => Ok(item),
            _ => malformed("an instruction takes more than there is"),
        }
    }

    fn pop_mark(&mut self) -> Step<Vec<Item>> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => malformed("an instruction needs a mark that is not there"),
        }
    }

    fn top(&self) -> Item {
        self.stack.last().copied().unwrap_or_default()
    }

    /// Instructions that import, and that call what was imported.
    fn reach_out(
        &mut self,
        code: u8,
        source: &mut Source<impl BufRead>,
        values: &mut Values,
        findings: &mut Found,
    ) -> Step {
        match code {
            b'c' => {
                let (module, name) = (source.line()?, source.line()?);
                let item = import(module.as_deref(), name.as_deref(), values, findings)?;
                self.push(item)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (own(values, module), own(values, name));
                let item = import(module.as_deref(), name.as_deref(), values, findings)?;
                self.push(item)
            }
            b'i' => {
                let (module, name) = (source.line()?, source.line()?);
                let callee = import(module.as_deref(), name.as_deref(), values, findings)?;
                let arguments = self.pop_mark()?;
                let arguments = values.bag(&arguments);
                self.call(callee, arguments, values, findings)
            }
            b'o' => {
                let mut taken = self.pop_mark()?;
                if taken.is_empty() {
                    return malformed("there is nothing to call");
                }
                let callee = taken.remove(0);
                let arguments = values.bag(&taken);
                self.call(callee, arguments, values, findings)
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                self.call(callee, arguments, values, findings)
            }
            0x92 => {
                let (_, arguments, callee) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callee, arguments, values, findings)
            }
            b'P' | b'Q' => {
                let id = match code {
                    b'P' => source.line().map(|_| Item::Other)?,
                    _ => self.pop()?,
                };
                if findings.layout == Layout::Plain || !names_storage(values, id) {
                    let text = "it refers to things outside by persistent ids";
                    findings.note(Verdict::Unknown, text);
                }
                self.push(Item::Other)
            }
            _ => {
                let extension = match code {
                    0x82 => source.u8()?.into(),
                    0x83 => source.u16()?.into(),
                    _ => source.u32()?,
                };
                let text = format!("it imports by extension code {extension}, which has no name");
                findings.note(Verdict::Dangerous, text);
                self.push(Item::Other)
            }
        }
    }

    fn call(
        &mut self,
        callee: Item,
        arguments: Item,
        values: &mut Values,
        findings: &mut Found,
    ) -> Step {
        let Some(name) = own(values, callee).filter(|_| matches!(callee, Item::Import(_))) else {
            findings.note(Verdict::Unknown, "it calls something that comes out of another call");
            return self.push(Item::Other);
        };
        findings.called(&name);
        let result = match name.as_str() {
            arrays::WRAPPER => Item::Wrapper,
            arrays::DTYPE => {
                let dtype = arrays::dtype(values, arguments);
                values.dtype(dtype)
            }
            _ => Item::Other,
        };
        self.push(result)
    }

    /// Sets an object's state; joblib's arrays have their bytes behind it.
    fn build(
        &mut self,
        source: &mut Source<impl BufRead>,
        values: &mut Values,
        findings: &mut Found,
    ) -> Step<Next> {
        let (state, object) = (self.pop()?, self.pop()?);
        match object {
            Item::Import(_) => {
                let name = values.read(object).unwrap_or_default();
                findings.note(Verdict::Dangerous, format!("it changes `{name}` itself"));
            }
            Item::Dtype(_) => values.set_fields(object, state),
            Item::Wrapper => {
                self.push(Item::Other)?;
                return arrays::skip(source, values, state).map(|follows| match follows {
                    arrays::Follows::Bytes => Next::Go,
                    arrays::Follows::Pickle => Next::Nested,
                });
            }
            Item::Other | Item::Nothing | Item::Int(_) | Item::Text(_) | Item::Bag(_) => {}
        }
        self.push(object)?;
        Ok(Next::Go)
    }

    /// Instructions of the memo.
    fn remember(&mut self, code: u8, source: &mut Source<impl BufRead>) -> Step {
        let place = match code {
            0x94 => self.remembered,
            b'q' | b'h' => source.u8()?.into(),
            b'r' | b'j' => place(source.u32()?.into())?,
            _ => match source.line()?.as_deref().map(decimal) {
                Some(Some(number)) => place(u64::try_from(number).unwrap_or(u64::MAX))?,
                Some(None) => return malformed("a place in the memo is no number"),
                None => return lost("a place in the memo cannot be told"),
            },
        };
        if matches!(code, b'g' | b'h' | b'j') {
            return match self.memo.get(place).copied().flatten() {
                Some(item) => self.push(item),
                None => malformed("it asks for what was not remembered"),
            };
        }
        if self.stack.is_empty() {
            return malformed("there is nothing to remember");
        }
        if place >= MOST_ITEMS {
            return lost("it remembers more than can be followed");
        }
        if self.memo.len() <= place {
            self.memo.resize(place + 1, None);
        }
        let item = self.top();
        if let Some(slot) = self.memo.get_mut(place) {
            self.remembered += usize::from(slot.is_none());
            *slot = Some(item);
        }
        Ok(())
    }

    /// Instructions that push a value which stands in the file; `false` where it is none of them.
    fn literal(
        &mut self,
        code: u8,
        source: &mut Source<impl BufRead>,
        values: &mut Values,
    ) -> Step<bool> {
        let length = match code {
            b'T' | 0x8b => source.signed_length()?,
            b'U' | b'C' | 0x8a | 0x8c => source.u8()?.into(),
            b'X' | b'B' => source.u32()?.into(),
            0x8d | 0x8e | 0x96 => source.u64()?,
            b'G' => 8,
            _ => 0,
        };
        let item = match code {
            b'N' => Item::Nothing,
            b'J' => Item::Int(i32::from_le_bytes(source.array()?).into()),
            b'K' => Item::Int(source.u8()?.into()),
            b'M' => Item::Int(source.u16()?.into()),
            b'I' | b'L' => integer(source.line()?)?,
            0x8a if length <= 8 => long(source, length)?,
            b'X' | b'U' | b'T' | 0x8c | 0x8d => {
                let text = source.text(length)?;
                values.text(text)
            }
            // What has escapes in it is no name that anybody writes without wanting to hide it.
            b'V' => {
                let text = source.line()?.filter(|text| !text.contains('\\'));
                values.text(text)
            }
            b'S' => {
                let text = source.line()?.filter(|text| !text.contains('\\'));
                values.text(text.as_deref().and_then(unquoted))
            }
            b'F' => {
                source.line()?;
                Item::Other
            }
            b'B' | b'C' | b'G' | 0x8a | 0x8b | 0x8e | 0x96 => {
                source.skip(length)?;
                Item::Other
            }
            0x88 | 0x89 | 0x8f | 0x97 | b']' => Item::Other,
            b'}' | b')' => values.bag(&[]),
            _ => return Ok(false),
        };
        self.push(item)?;
        Ok(true)
    }

    /// Instructions that put values together.
    fn collect(
        &mut self,
        code: u8,
        source: &mut Source<impl BufRead>,
        values: &mut Values,
        findings: &mut Found,
    ) -> Step {
        match code {
            b'(' if self.marks.len() >= MOST_ITEMS => lost("it marks more than can be followed"),
            b'(' => {
                self.marks.push(self.stack.len());
                Ok(())
            }
            b'0' if self.marks.last() == Some(&self.stack.len()) => {
                self.marks.pop();
                Ok(())
            }
            b'0' => self.pop().map(drop),
            b'1' => self.pop_mark().map(drop),
            b'2' => {
                let item = self.pop()?;
                self.push(item)?;
                self.push(item)
            }
            b't' | b'd' | b'l' | 0x91 | 0x85..=0x87 => {
                let taken = match code {
                    0x85..=0x87 => self.last(usize::from(code - 0x84))?,
                    _ => self.pop_mark()?,
                };
                hides_arrays(&taken, values, findings);
                let is_read = !matches!(code, b'l' | 0x91);
                let item = if is_read { values.bag(&taken) } else { Item::Other };
                self.push(item)
            }
            b'u' | b'e' | 0x90 | b's' | b'a' => {
                let taken = match code {
                    b's' => self.last(2)?,
                    b'a' => self.last(1)?,
                    _ => self.pop_mark()?,
                };
                hides_arrays(&taken, values, findings);
                let target = self.pop()?;
                values.extend(target, &taken);
                self.push(target)
            }
            // The protocol's number and the lengths of frames change nothing; nor does a buffer that becomes read-only.
            0x80 => source.u8().map(drop),
            0x95 => source.u64().map(drop),
            0x98 => Ok(()),
            _ => malformed(format!("no pickle has the instruction 0x{code:02x}")),
        }
    }

    /// The last values, first pushed first.
    fn last(&mut self, count: usize) -> Step<Vec<Item>> {
        let mut taken = (0..count).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
        taken.reverse();
        Ok(taken)
    }
}

/// Takes note of an import; one whose name cannot be told is hidden on purpose.
fn import(
    module: Option<&str>,
    name: Option<&str>,
    values: &mut Values,
    findings: &mut Found,
) -> Step<Item> {
    let (Some(module), Some(name)) = (module, name) else {
        findings.note(
            Verdict::Dangerous,
            "it imports something whose name is put together while loading",
        );
        return Ok(Item::Other);
    };
    let whole = findings.import(module, name);
    match values.import(whole) {
        Some(item) => Ok(item),
        None => lost("it is too large to be followed"),
    }
}

/// Whoever makes joblib's mark on a detour wants its bytes to be taken for instructions, or the
/// other way round.
fn hides_arrays(taken: &[Item], values: &Values, findings: &mut Found) {
    let is_mark = |item: &&Item| {
        matches!(item, Item::Wrapper)
            || (matches!(item, Item::Import(_)) && values.read(**item) == Some(arrays::WRAPPER))
    };
    if taken.iter().any(|item| is_mark(&item)) {
        let text = format!("it handles `{}` as joblib does not", arrays::WRAPPER);
        findings.note(Verdict::Dangerous, text);
    }
}

fn own(values: &Values, item: Item) -> Option<String> {
    values.read(item).map(ToOwned::to_owned)
}

fn place(number: u64) -> Step<usize> {
    usize::try_from(number).or_else(|_| lost("it remembers more than can be followed"))
}

/// A number; `01` and `00` are how old pickles write true and false.
fn integer(line: Option<String>) -> Step<Item> {
    let Some(line) = line else { return Ok(Item::Other) };
    let line = line.trim();
    // Other notations than the decimal one are not followed.
    if !line.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first)) {
        return malformed("a number is none");
    }
    Ok(decimal(line.trim_end_matches('L')).map_or(Item::Other, Item::Int))
}

/// As Python reads numbers: with spaces around, and with underscores between digits. What is too
/// large for us is very large.
fn decimal(text: &str) -> Option<i64> {
    let digits = text.trim().replace('_', "");
    let is_number = digits.trim_start_matches(['+', '-']).bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(i64::MAX)).filter(|_| !digits.is_empty())
}

/// Whether a persistent id is how torch refers to the bytes of a tensor.
fn names_storage(values: &Values, id: Item) -> bool {
    let first = values.items(id).and_then(|bag| bag.items.first());
    first.is_some_and(|first| values.read(*first) == Some("storage"))
}

/// A signed number of up to eight bytes, the lower first.
fn long(source: &mut Source<impl BufRead>, length: u64) -> Step<Item> {
    let mut number = 0_i64;
    for at in 0..length {
        let byte = i64::from(source.u8()?);
        // The last byte carries the sign.
        let byte = if at + 1 == length && byte >= 0x80 { byte - 0x100 } else { byte };
        number |= byte << (8 * at);
    }
    Ok(Item::Int(number))
}

fn unquoted(text: &str) -> Option<String> {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('\'').or_else(|| inner('"')).map(ToOwned::to_owned)
}

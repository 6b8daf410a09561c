//! Words, texts, numbers and signs of a filter.

use crate::Problem;

/// The longest filter in bytes.
const LONGEST: usize = 100_000;

/// A piece of a filter, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A name, maybe of several parts and with quotes: ``metrics.`a b` ``; or a word of the grammar.
    Name(&'a str),
    /// A text in single quotes, without them. Doubled and escaped quotes stay as they are.
    Text(&'a str),
    /// A number, negative or in scientific notation too.
    Number(&'a str),
    /// Any run of `<`, `>`, `=` and `!`.
    Operator(&'a str),
    /// `(`
    Open,
    /// `)`
    Close,
    /// `,`
    Comma,
}

impl<'a> Token<'a> {
    /// Whether it is this word of the grammar, whatever the case.
    pub(super) fn is_word(self, word: &str) -> bool {
        matches!(self, Self::Name(name) if name.eq_ignore_ascii_case(word))
    }

    /// As it is shown in refusals.
    pub(super) fn shown(self) -> String {
        match self {
            Self::Text(text) => format!("'{}'", shorten(text)),
            Self::Name(text) | Self::Number(text) | Self::Operator(text) => shorten(text),
            Self::Open => "(".to_owned(),
            Self::Close => ")".to_owned(),
            Self::Comma => ",".to_owned(),
        }
    }
}

/// The beginning of a text, for refusals.
pub(super) fn shorten(text: &str) -> String {
    text.chars().take(80).collect()
}

/// Reads a filter or an order into its pieces.
///
/// # Errors
/// It is too long, a quote is left open, or a character belongs to no piece.
pub(super) fn tokens<'a>(field: &'static str, text: &'a str) -> Result<Vec<Token<'a>>, Problem> {
    if text.len() > LONGEST {
        return Err(Problem::invalid(
            field,
            format!("the {field} is {} bytes long: expected at most {LONGEST}", text.len()),
        ));
    }
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Some(Token::Open), 1),
            ')' => (Some(Token::Close), 1),
            ',' => (Some(Token::Comma), 1),
            '\'' => {
                let length = quoted(rest, '\'');
                (inside(rest, length).map(Token::Text), length)
            }
            '<' | '>' | '=' | '!' => {
                let length = run(rest, |c| matches!(c, '<' | '>' | '=' | '!'));
                (rest.get(..length).map(Token::Operator), length)
            }
            '0'..='9' | '-' | '.' => {
                let length = number(rest);
                (rest.get(..length).filter(|n| !n.is_empty()).map(Token::Number), length)
            }
            _ => {
                let length = name(rest);
                (rest.get(..length).filter(|n| !n.is_empty()).map(Token::Name), length)
            }
        };
        let (Some(token), Some(after)) = (token, rest.get(length..)) else {
            return Err(Problem::invalid(
                field,
                format!("Invalid clause(s) in {field} string: '{}'", shorten(rest)),
            )
            .hint(
                "names with other characters than letters, digits, `_` and `.` stand in backticks",
            ));
        };
        tokens.push(token);
        rest = after.trim_start();
    }
    Ok(tokens)
}

/// How many bytes at the beginning are such characters.
fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

/// The bytes of a quoted piece, both quotes included; 0 if it is never closed.
///
/// A doubled quote, and one behind a backslash, goes on unless the piece would never be closed.
fn quoted(text: &str, quote: char) -> usize {
    let mut end = 0;
    let mut at = quote.len_utf8();
    while let Some(found) = text.get(at..).and_then(|rest| rest.find(quote)) {
        let close = at + found;
        end = close + 1;
        // Nothing escapes a backtick but another one.
        let is_escaped =
            quote != '`' && found > 0 && text.as_bytes().get(close - 1) == Some(&b'\\');
        let is_doubled = text.as_bytes().get(end) == Some(&(quote as u8));
        match (is_escaped, is_doubled) {
            (true, _) => at = end,
            (false, true) => at = end + 1,
            (false, false) => return end,
        }
    }
    end
}

/// What stands between the quotes of a piece of this length.
fn inside(text: &str, length: usize) -> Option<&str> {
    text.get(1..length.checked_sub(1)?)
}

/// The bytes of a number; 0 if there is none.
fn number(text: &str) -> usize {
    let digits = |at: usize| text.get(at..).map_or(0, |rest| run(rest, |c| c.is_ascii_digit()));
    let is = |at: usize, wanted: &[u8]| text.as_bytes().get(at).is_some_and(|b| wanted.contains(b));
    let mut end = usize::from(is(0, b"-"));
    let whole = digits(end);
    end += whole;
    if is(end, b".") {
        let fraction = digits(end + 1);
        if whole + fraction == 0 {
            return 0;
        }
        end += 1 + fraction;
    } else if whole == 0 {
        return 0;
    }
    if is(end, b"eE") {
        let sign = usize::from(is(end + 1, b"+-"));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    // `0x1F` and `1a` are no numbers.
    let is_glued = text.get(end..).is_some_and(|rest| run(rest, is_word) > 0);
    if is_glued { 0 } else { end }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$' | '#')
}

/// The bytes of a name: parts with dots between them, each a word or quoted; 0 if there is none.
fn name(text: &str) -> usize {
    let mut end = 0;
    loop {
        let Some(rest) = text.get(end..) else { return 0 };
        let part = match rest.chars().next() {
            Some(quote @ ('`' | '"')) => quoted(rest, quote),
            Some('\'') if end > 0 => quoted(rest, '\''),
            _ => run(rest, is_word),
        };
        let is_open = part == 0 && rest.starts_with(['`', '"', '\'']);
        if is_open || (part == 0 && end == 0) {
            return 0;
        }
        end += part;
        if !text.get(end..).is_some_and(|rest| rest.starts_with('.')) {
            return end;
        }
        end += 1;
    }
}

//! Promotion rules: what a version must show before an alias or a stage may move to it.
//!
//! A rule is a sentence that its author writes and a refusal repeats: `accuracy >= 0.9`,
//! `accuracy >= champion + 0.005 on dataset june`, `has signature`. Here they are read and decided;
//! where values come from is not here (`store`, `registry`).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{AliasName, ErrorCode, Problem};

/// The longest rule, in characters.
const LONGEST: usize = 1000;
/// How far apart two numbers may be, for their size, and still be the same: sums of decimals are
/// not exact in binary.
const SAME: f64 = 1e-12;

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// A metric compared with a bound.
    Metric(Comparison),
    /// Something that the version must have.
    Has(Asset),
}

/// A metric compared with a bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The metric's key.
    pub metric: String,
    /// How it must stand to the bound.
    pub operator: Operator,
    /// What it is compared with.
    pub bound: Bound,
    /// The name or digest of the dataset that it must have been measured on.
    pub dataset: Option<String>,
}

/// How a value must stand to its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
    /// `>`
    Above,
    /// `<`
    Below,
}

/// What a metric is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// A number.
    Number(f64),
    /// The same metric of the version that an alias points to now, and so much more.
    Alias(AliasName, f64),
}

/// Something that a version may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asset {
    /// What goes in and comes out.
    Signature,
    /// What its inputs looked like in training.
    Baseline,
    /// A request that it must be able to answer.
    InputExample,
}

/// What a rule found of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The rule, as its author wrote it.
    pub rule: String,
    /// The version's value; absent where it has none.
    pub value: Option<String>,
    /// What it had to be.
    pub required: String,
    /// Whether it is.
    pub ok: bool,
}

/// What stands on the other side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rival {
    /// The alias points nowhere yet, or to this very version: there is nobody to be better than.
    Nobody,
    /// Another version, with its value if it has one.
    Version(Option<f64>),
}

impl Asset {
    const ALL: [Self; 3] = [Self::Signature, Self::Baseline, Self::InputExample];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Baseline => "baseline",
            Self::InputExample => "input example",
        }
    }
}

impl Operator {
    /// In the order in which they are looked for: the longer ones first.
    const ALL: [Self; 4] = [Self::AtLeast, Self::AtMost, Self::Above, Self::Below];

    const fn as_str(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::Below => "<",
        }
    }

    fn holds(self, value: f64, bound: f64) -> bool {
        let is_same =
            value == bound || (value - bound).abs() <= SAME * value.abs().max(bound.abs());
        match self {
            Self::AtLeast => is_same || value > bound,
            Self::AtMost => is_same || value < bound,
            Self::Above => !is_same && value > bound,
            Self::Below => !is_same && value < bound,
        }
    }
}

impl Rule {
    /// What it finds of a version that has this, or has it not.
    #[must_use]
    pub fn of_asset(asset: Asset, is_there: bool) -> Outcome {
        let value = is_there.then(|| asset.as_str().to_owned());
        let rule = Self::Has(asset).to_string();
        Outcome { rule, value, required: asset.as_str().to_owned(), ok: is_there }
    }
}

impl Comparison {
    /// What it finds of a version with this value. `rival` is who an alias in the bound points to.
    #[must_use]
    pub fn of_value(&self, value: Option<f64>, rival: Rival) -> Outcome {
        let operator = self.operator.as_str();
        let (required, bound) = match (&self.bound, rival) {
            (Bound::Number(bound), _) => (format!("{operator} {bound}"), Some(*bound)),
            (Bound::Alias(alias, _), Rival::Nobody) => {
                // It needs a value all the same: the next one is compared with it.
                return self.found(value, format!("nobody else is {alias} yet"), value.is_some());
            }
            (Bound::Alias(alias, _), Rival::Version(None)) => {
                (format!("{operator} the value of {alias}, which has none"), None)
            }
            (Bound::Alias(_, more), Rival::Version(Some(theirs))) => {
                (format!("{operator} {}", rounded(theirs + more)), Some(theirs + more))
            }
        };
        let ok = value.zip(bound).is_some_and(|(value, bound)| self.operator.holds(value, bound));
        self.found(value, required, ok)
    }

    fn found(&self, value: Option<f64>, required: String, ok: bool) -> Outcome {
        let value = value.map(|value| value.to_string());
        Outcome { rule: Rule::Metric(self.clone()).to_string(), value, required, ok }
    }
}

/// Without the last digits, which sums of decimals get wrong.
fn rounded(value: f64) -> f64 {
    format!("{value:.12e}").parse().unwrap_or(value)
}

/// The refusal of a move that rules stand against: what each of them found, those that are met too.
#[must_use]
pub fn refusal(what: &str, outcomes: Vec<Outcome>) -> Problem {
    let told = |ok: bool| -> Vec<String> {
        let such = outcomes.iter().filter(|outcome| outcome.ok == ok);
        such.map(|outcome| {
            let value = outcome.value.as_deref().unwrap_or("no value");
            format!("`{}` ({value}, required {})", outcome.rule, outcome.required)
        })
        .collect()
    };
    let (failed, met) = (told(false).join(", "), told(true).join(", "));
    let mut message = format!("{what} is refused by {failed}");
    if !met.is_empty() {
        message.push_str(&format!("; met: {met}"));
    }
    let mut problem = Problem::new(ErrorCode::GateRefused, message)
        .hint("log what is missing, or override the rules with a reason");
    problem.rules = outcomes.into();
    problem
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comparison = match self {
            Self::Has(asset) => return write!(f, "has {}", asset.as_str()),
            Self::Metric(comparison) => comparison,
        };
        write!(f, "{} {} ", comparison.metric, comparison.operator.as_str())?;
        match &comparison.bound {
            Bound::Number(number) => write!(f, "{number}")?,
            Bound::Alias(alias, more) if *more == 0.0 => write!(f, "{alias}")?,
            Bound::Alias(alias, more) if *more < 0.0 => write!(f, "{alias} - {}", -more)?,
            Bound::Alias(alias, more) => write!(f, "{alias} + {more}")?,
        }
        match &comparison.dataset {
            Some(dataset) => write!(f, " on dataset {dataset}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Rule {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let text = text.trim();
        if text.chars().count() > LONGEST || text.contains(char::is_control) {
            let what = format!("a rule is one line of at most {LONGEST} characters");
            return Err(Problem::invalid("rule", what));
        }
        let words: Vec<_> = text.split_whitespace().collect();
        match words.as_slice() {
            ["has", rest @ ..] => asset(text, &rest.join(" ")),
            ["approved", "by", ..] => {
                let what = "there is nobody to approve yet: `approved by` comes with users and their permissions";
                Err(wrong(what.to_owned()))
            }
            _ => comparison(text).map(Self::Metric),
        }
    }
}

fn asset(text: &str, name: &str) -> Result<Rule, Problem> {
    let found = Asset::ALL.into_iter().find(|asset| asset.as_str() == name);
    found.map(Rule::Has).ok_or_else(|| {
        wrong(format!("`{text}`: a version may have a signature, a baseline or an input example"))
    })
}

fn comparison(text: &str) -> Result<Comparison, Problem> {
    let split = |operator: Operator| {
        text.split_once(operator.as_str()).map(|(metric, rest)| (metric, operator, rest))
    };
    let Some((metric, operator, rest)) = Operator::ALL.into_iter().find_map(split) else {
        return Err(wrong(format!("`{text}` compares nothing and asks for nothing")));
    };
    let (bound, dataset) = match rest.split_once(" on dataset ") {
        Some((bound, dataset)) => (bound, Some(dataset.trim().to_owned())),
        None => (rest, None),
    };
    let metric = metric.trim().to_owned();
    if metric.is_empty() || metric.contains(['<', '>', '=']) {
        return Err(wrong(format!("`{text}` names no metric")));
    }
    if dataset.as_ref().is_some_and(String::is_empty) {
        return Err(wrong(format!("`{text}` names no dataset")));
    }
    Ok(Comparison { metric, operator, bound: read_bound(bound.trim())?, dataset })
}

fn read_bound(text: &str) -> Result<Bound, Problem> {
    let not = || wrong(format!("`{text}` is neither a number nor an alias and a number"));
    let number = |text: &str| text.parse::<f64>().ok();
    if let Some(number) = number(text) {
        return if number.is_finite() { Ok(Bound::Number(number)) } else { Err(not()) };
    }
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        [alias] => Ok(Bound::Alias(alias.parse().map_err(|_| not())?, 0.0)),
        [alias, sign @ ("+" | "-"), more] => {
            let more =
                number(more).filter(|more| (0.0..f64::INFINITY).contains(more)).ok_or_else(not)?;
            let more = if *sign == "-" { -more } else { more };
            Ok(Bound::Alias(alias.parse().map_err(|_| not())?, more))
        }
        _ => Err(not()),
    }
}

fn wrong(what: String) -> Problem {
    Problem::invalid("rule", what).hint(
        "write `accuracy >= 0.9`, `accuracy >= champion + 0.005 on dataset june`, `has signature` or `has input example`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(text: &str) -> Comparison {
        match text.parse() {
            Ok(Rule::Metric(comparison)) => comparison,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in [
            "accuracy >= 0.9",
            "val/loss < 1",
            "f1 score > champion",
            "loss <= champion - 0.1",
            "accuracy >= champion + 0.005 on dataset june 2026",
            "has signature",
            "has baseline",
            "has input example",
        ] {
            assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
        }
        assert_eq!("  accuracy>=.9 ".parse::<Rule>().unwrap().to_string(), "accuracy >= 0.9");
    }

    #[test]
    fn what_is_no_rule_says_what_one_is() {
        for text in [
            "",
            "accuracy",
            ">= 0.9",
            "accuracy >= ",
            "accuracy >= NaN",
            "accuracy >= inf",
            "a == 1",
            "a >=> 1",
            "accuracy >= champion +",
            "accuracy >= champion + x",
            "accuracy >= champion + -1",
            "accuracy >= v3",
            "accuracy >= 0.9 on dataset  ",
            "has",
            "has fun",
            "approved by ana",
            "a >= 1\nb >= 2",
        ] {
            let problem = text.parse::<Rule>().unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("rule"), "{text}");
        }
    }

    #[test]
    fn values_are_compared_as_decimals_are() {
        let outcome =
            comparison("a >= champion + 0.2").of_value(Some(0.3), Rival::Version(Some(0.1)));
        assert!(outcome.ok, "0.1 + 0.2 is not above 0.3");
        assert_eq!(outcome.required, ">= 0.3");
        for (text, value, ok) in [
            ("a >= 0.9", 0.9, true),
            ("a > 0.9", 0.9, false),
            ("a < 0.9", 0.899, true),
            ("a <= 0.9", 0.91, false),
            ("a >= 0.9", f64::NAN, false),
            ("a <= 0.9", f64::NAN, false),
            ("a >= 0.9", f64::INFINITY, true),
            ("a <= 0", 0.0, true),
        ] {
            assert_eq!(
                comparison(text).of_value(Some(value), Rival::Nobody).ok,
                ok,
                "{text} {value}"
            );
        }
    }

    #[test]
    fn who_has_no_value_does_not_pass() {
        let rule = comparison("accuracy >= champion");
        assert!(!rule.of_value(None, Rival::Nobody).ok);
        assert!(rule.of_value(Some(0.1), Rival::Nobody).ok);
        assert!(!rule.of_value(None, Rival::Version(Some(0.1))).ok);
        assert!(!rule.of_value(Some(0.9), Rival::Version(None)).ok);
        let met = comparison("loss < 1").of_value(Some(0.5), Rival::Nobody);
        let outcomes = vec![met, rule.of_value(None, Rival::Version(Some(0.5)))];
        let problem = refusal("`fraud@champion` to `fraud/2`", outcomes);
        let message = "`fraud@champion` to `fraud/2` is refused by `accuracy >= champion` (no value, required >= 0.5); met: `loss < 1` (0.5, required < 1)";
        assert_eq!(problem.message, message);
        assert_eq!(problem.rules.len(), 2);
    }
}

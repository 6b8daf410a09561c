//! A column's distribution in little room: exact counts, and sketches of what there is too much of.
//!
//! Two of them become one as if one had seen everything, so minutes of many gateways add up to
//! hours and days. How they are written has a version, and what cannot be read is told, not guessed.

mod bytes;
mod numeric;
mod text;

pub use numeric::Numeric;
pub use text::Text;

use self::bytes::{Reader, Writer};

/// How columns are written.
const FORMAT: u8 = 1;

const NUMERIC: u8 = 1;
const TEXT: u8 = 2;

/// What was written is none of ours, or of a later version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a sketch cannot be read, or is of another kind")]
pub struct Unreadable;

/// One column of one version in one minute.
#[derive(Debug, Clone)]
pub enum Column {
    /// Of numbers.
    Numeric(Numeric),
    /// Of texts, truth values and masked values.
    Text(Text),
}

impl Column {
    /// How many values it saw, missing ones too.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        match self {
            Self::Numeric(column) => column.count + column.missing,
            Self::Text(column) => column.count + column.missing,
        }
    }

    /// Adds what another one saw.
    ///
    /// # Errors
    /// It is of another kind.
    pub fn merge(&mut self, other: &Self) -> Result<(), Unreadable> {
        match (self, other) {
            (Self::Numeric(one), Self::Numeric(other)) => one.merge(other),
            (Self::Text(one), Self::Text(other)) => one.merge(other),
            (Self::Numeric(_), Self::Text(_)) | (Self::Text(_), Self::Numeric(_)) => {
                Err(Unreadable)
            }
        }
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(FORMAT);
        match self {
            Self::Numeric(column) => {
                writer.u8(NUMERIC);
                column.write(&mut writer);
            }
            Self::Text(column) => {
                writer.u8(TEXT);
                column.write(&mut writer);
            }
        }
        writer.done()
    }

    /// Reads what [`Column::encode`] wrote.
    ///
    /// # Errors
    /// It did not write that.
    pub fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(bytes);
        let column = match (reader.u8()?, reader.u8()?) {
            (FORMAT, NUMERIC) => Self::Numeric(Numeric::read(&mut reader)?),
            (FORMAT, TEXT) => Self::Text(Text::read(&mut reader)?),
            _ => return Err(Unreadable),
        };
        reader.end()?;
        Ok(column)
    }
}

/// Two columns as one, in bytes; absent where they are not of one kind, or none at all.
#[must_use]
pub fn merge(one: &[u8], other: &[u8]) -> Option<Vec<u8>> {
    let mut merged = Column::decode(one).ok()?;
    merged.merge(&Column::decode(other).ok()?).ok()?;
    Some(merged.encode())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numeric(values: &[f64]) -> Column {
        let mut column = Numeric::default();
        values.iter().for_each(|value| column.add(*value));
        Column::Numeric(column)
    }

    fn text(values: &[String]) -> Column {
        let mut column = Text::default();
        values.iter().for_each(|value| column.add(value.as_bytes()));
        Column::Text(column)
    }

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
    }

    /// Numbers as they come, and some that count as missing.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![8 => -1e6..1e6_f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 2 => Just(0.0)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn numbers_in_parts_are_numbers_at_once(
            one in prop::collection::vec(number(), 0..2000),
            other in prop::collection::vec(number(), 0..2000),
        ) {
            let all = numeric(&[one.clone(), other.clone()].concat());
            let merged = merge(&numeric(&one).encode(), &numeric(&other).encode()).unwrap();
            let merged = Column::decode(&merged).unwrap();
            let (Column::Numeric(all), Column::Numeric(merged)) = (all, merged) else { unreachable!() };
            prop_assert_eq!((all.count, all.missing), (merged.count, merged.missing));
            prop_assert_eq!((all.range(), all.count as usize), (merged.range(), merged.quantiles_of() as usize));
            prop_assert!(close(all.mean().unwrap_or(0.0), merged.mean().unwrap_or(0.0)));
            prop_assert!(close(all.variance().unwrap_or(0.0).sqrt(), merged.variance().unwrap_or(0.0).sqrt()));
            // KLL of 400 errs by 0.68 % of ranks at most, but once in a hundred times.
            let mut sorted: Vec<f64> = one.iter().chain(&other).copied().filter(|it| it.is_finite()).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            if let Some(median) = merged.quantile(0.5) {
                let below = sorted.iter().filter(|it| **it < median).count() as f64;
                let upto = sorted.iter().filter(|it| **it <= median).count() as f64;
                let half = 0.5 * sorted.len() as f64;
                let slack = 0.05 * sorted.len() as f64 + 1.0;
                prop_assert!(below - slack <= half && half <= upto + slack, "{below} {upto} {half}");
            }
        }

        #[test]
        fn texts_in_parts_are_texts_at_once(
            one in prop::collection::vec("[a-d]{0,2}", 0..200),
            other in prop::collection::vec("[c-f]{0,2}", 0..200),
        ) {
            let all = text(&[one.clone(), other.clone()].concat()).encode();
            prop_assert_eq!(all, merge(&text(&one).encode(), &text(&other).encode()).unwrap());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0..3_u8) {
            let _ = Column::decode(&bytes);
            let _ = Column::decode(&[[FORMAT, kind].as_slice(), &bytes].concat());
        }

        #[test]
        fn what_was_cut_short_or_changed_does_not_make_it_panic(
            values in prop::collection::vec(number(), 0..700), cut in 0..5000_usize, flip in any::<u8>(),
        ) {
            let whole = numeric(&values).encode();
            let at = cut % whole.len();
            prop_assert!(Column::decode(&whole[..at]).is_err());
            let mut changed = whole.clone();
            changed[at] ^= flip;
            let _ = Column::decode(&changed);
        }
    }

    #[test]
    fn many_texts_become_a_sketch_that_knows_the_frequent_ones() {
        let word =
            |at: usize| if at.is_multiple_of(4) { "often".to_owned() } else { format!("w{at}") };
        let words: Vec<String> = (0..20_000).map(word).collect();
        let (one, other) = words.split_at(7_000);
        let merged = merge(&text(one).encode(), &text(other).encode()).unwrap();
        assert!(merged.len() < 40_000, "{} bytes", merged.len());
        let Column::Text(merged) = Column::decode(&merged).unwrap() else { unreachable!() };
        assert_eq!((merged.count, merged.missing), (20_000, 0));
        let distinct = merged.distinct();
        assert!((14_000.0..16_000.0).contains(&distinct), "{distinct}");
        let (most, count) = merged.frequent(1).remove(0);
        assert_eq!(most, "often");
        assert!((4_900..=5_200).contains(&count), "{count}");
        // A sketch and exact counts become one too.
        let mut some = text(&["often".to_owned(), "new".to_owned()]);
        some.merge(&Column::Text(merged)).unwrap();
        assert_eq!(some.seen(), 20_002);
    }

    #[test]
    fn numbers_and_texts_do_not_become_one() {
        assert!(merge(&numeric(&[1.0]).encode(), &text(&["a".to_owned()]).encode()).is_none());
        let mut later = numeric(&[1.0]).encode();
        later[0] = FORMAT + 1;
        assert_eq!(Column::decode(&later).unwrap_err(), Unreadable);
    }

    #[test]
    fn numbers_take_little_room() {
        let values: Vec<f64> = (0..200_000).map(|at| f64::from(at * 7919 % 100_003)).collect();
        let bytes = numeric(&values).encode().len();
        assert!(bytes < 20_000, "{bytes} bytes");
    }
}

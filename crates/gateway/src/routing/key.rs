//! A row of an input as a key.

use std::fmt::Write as _;

use domain::{Tensor, serving::Chooser, with_elements};
use half::{bf16, f16};

/// Between the elements of a row: what a text may end with is not what the next begins with.
const SEPARATOR: u8 = 0x1f;

/// Feeds the first row of an input; false where it has none. A number is its decimal digits, a text its
/// bytes, so that a key in an input is that of the same text in a header.
pub(super) fn feed_first_row(chooser: &mut Chooser, input: &Tensor) -> bool {
    let rows = input.shape.first().copied().unwrap_or(1);
    let Some(width) = input.data.len().checked_div(rows).filter(|width| *width > 0) else {
        return false;
    };
    with_elements!(&input.data, elements => {
        for (at, element) in elements.iter().take(width).enumerate() {
            if at > 0 {
                chooser.feed(&[SEPARATOR]);
            }
            element.feed(chooser);
        }
    });
    true
}

/// An element of a key.
trait Part {
    fn feed(&self, chooser: &mut Chooser);
}

impl Part for Vec<u8> {
    fn feed(&self, chooser: &mut Chooser) {
        chooser.feed(self);
    }
}

macro_rules! digits {
    ($($kind:ty)*) => {
        $(impl Part for $kind {
            fn feed(&self, chooser: &mut Chooser) {
                // A chooser takes whatever is written.
                let _ = write!(chooser, "{self}");
            }
        })*
    };
}
digits!(bool u8 u16 u32 u64 i8 i16 i32 i64 f16 bf16 f32 f64);

#[cfg(test)]
mod tests {
    use domain::TensorData;

    use super::*;

    const SHARES: [(i32, i32); 4] = [(1, 25), (2, 25), (3, 25), (4, 25)];

    fn chosen(shape: &[usize], data: TensorData) -> Option<usize> {
        let input = Tensor::new("user", shape.to_vec(), data).unwrap();
        let mut chooser = Chooser::new("fraud");
        feed_first_row(&mut chooser, &input).then(|| chooser.choose(SHARES).unwrap())
    }

    fn of_text(text: &str) -> Option<usize> {
        let mut chooser = Chooser::new("fraud");
        chooser.feed(text.as_bytes());
        chooser.choose(SHARES)
    }

    #[test]
    fn a_key_is_the_first_row_and_nothing_else() {
        for key in 0..50_i64 {
            let expected = of_text(&key.to_string());
            assert_eq!(chosen(&[1], TensorData::I64(vec![key])), expected);
            assert_eq!(chosen(&[2, 1], TensorData::I64(vec![key, 7])), expected);
            assert_eq!(chosen(&[], TensorData::I32(vec![key as i32])), expected);
            let text = key.to_string().into_bytes();
            assert_eq!(chosen(&[1, 1], TensorData::Bytes(vec![text])), expected);
            let wide = chosen(&[1, 2], TensorData::I64(vec![key, 7]));
            assert_eq!(wide, of_text(&format!("{key}\u{1f}7")));
        }
        assert_eq!(chosen(&[1], TensorData::F32(vec![0.5])), of_text("0.5"));
    }

    #[test]
    fn no_row_is_no_key() {
        assert_eq!(chosen(&[0], TensorData::I64(vec![])), None);
        assert_eq!(chosen(&[3, 0], TensorData::I64(vec![])), None);
    }
}

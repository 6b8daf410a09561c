//! Arrays as joblib writes them: their bytes stand in the file right behind the instruction that
//! describes them, and are no instructions.

use super::{
    Step, lost,
    source::Source,
    values::{Dtype, Item, Values},
};
use std::io::BufRead;

/// What joblib's reader takes for the mark of an array.
pub(super) const WRAPPER: &str = "joblib.numpy_pickle.NumpyArrayWrapper";
/// What makes the types of elements.
pub(super) const DTYPE: &str = "numpy.dtype";

/// The type that `numpy.dtype` makes of these arguments.
pub(super) fn dtype(values: &Values, arguments: Item) -> Dtype {
    let first = values.items(arguments).and_then(|bag| bag.items.first().copied());
    let code = first.and_then(|item| values.read(item)).unwrap_or_default();
    let code = code.trim_start_matches(['<', '>', '|', '=']);
    let mut letters = code.chars();
    let kind = letters.next();
    let digits: Option<u64> = letters.as_str().parse().ok();
    let size = match kind {
        Some('b' | 'i' | 'u' | 'f' | 'c' | 'S' | 'V' | 'm' | 'M' | 'O') => digits,
        Some('U') => digits.and_then(|length| length.checked_mul(4)),
        _ => None,
    };
    Dtype { size, has_objects: kind == Some('O') }
}

/// What follows an array's description.
pub(super) enum Follows {
    /// Its bytes, and they were skipped.
    Bytes,
    /// A pickle.
    Pickle,
}

/// Skips the bytes of the array that this state describes.
pub(super) fn skip(
    source: &mut Source<impl BufRead>,
    values: &Values,
    state: Item,
) -> Step<Follows> {
    let Some(bag) = values.items(state).filter(|bag| !bag.is_cut) else {
        return lost("an array's description cannot be followed");
    };
    // What comes later overrides what came before.
    let field = |name: &str| {
        let pairs = bag.items.as_chunks::<2>().0;
        let found = pairs.iter().rev().find(|[key, _]| values.read(*key) == Some(name));
        found.map(|[_, value]| *value)
    };
    let Some(dtype) = field("dtype").and_then(|item| values.dtype_of(item)) else {
        return lost("the type of an array's elements cannot be told");
    };
    if dtype.has_objects {
        return Ok(Follows::Pickle);
    }
    let shape = field("shape").and_then(|shape| values.items(shape)).filter(|bag| !bag.is_cut);
    let elements = shape.and_then(|shape| {
        shape.items.iter().try_fold(1_u64, |product, length| {
            let Item::Int(length) = length else { return None };
            product.checked_mul(u64::try_from(*length).ok()?)
        })
    });
    let length = elements.zip(dtype.size).and_then(|(elements, size)| elements.checked_mul(size));
    let Some(length) = length else {
        return lost("the length of an array cannot be told");
    };
    match field("numpy_array_alignment_bytes") {
        None | Some(Item::Nothing) => {}
        Some(Item::Int(_)) => {
            let padding = source.u8()?;
            source.skip(padding.into())?;
        }
        Some(_) => return lost("the place of an array cannot be told"),
    }
    source.skip(length)?;
    Ok(Follows::Bytes)
}

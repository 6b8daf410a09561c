//! Values of tensors, one by one.

use domain::TensorData;

/// A value as a text, by which whom a row is about is known; absent where there is none.
pub(crate) fn text(data: &TensorData, at: usize) -> Option<String> {
    macro_rules! text {
        ($($kind:ident),*) => {
            match data {
                TensorData::Bytes(texts) => {
                    texts.get(at).map(|text| String::from_utf8_lossy(text).into_owned())
                }
                $(TensorData::$kind(values) => values.get(at).map(ToString::to_string),)*
            }
        };
    }
    text!(Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64)
}

/// Where a row's values lie in a tensor, and how many they are. What has no such rows is one row.
pub(crate) fn layout(tensor: &domain::Tensor, rows: usize) -> (usize, usize) {
    match tensor.width(rows) {
        Some(width) => (rows, width),
        None => (1, tensor.data.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_known_by_their_texts() {
        assert_eq!(text(&TensorData::I64(vec![7, -42]), 1).as_deref(), Some("-42"));
        assert_eq!(text(&TensorData::F32(vec![0.5]), 0).as_deref(), Some("0.5"));
        assert_eq!(text(&TensorData::F64(vec![42.0]), 0).as_deref(), Some("42"));
        assert_eq!(text(&TensorData::Bool(vec![true]), 0).as_deref(), Some("true"));
        assert_eq!(text(&TensorData::Bytes(vec![b"ana".to_vec()]), 0).as_deref(), Some("ana"));
        assert_eq!(text(&TensorData::F64(vec![42.0]), 1), None);
    }
}

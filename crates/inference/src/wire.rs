//! Tensors on the way to a worker and back: JSON around the elements' own bytes, so that every
//! value arrives as it was, NaN and odd bytes included.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{DataType, Problem, Tensor, TensorData};
use half::{bf16, f16};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeSeq};

#[derive(Serialize, Deserialize)]
struct WireTensor {
    name: String,
    datatype: DataType,
    shape: Vec<usize>,
    /// Base64 of the elements, little-endian; strings each behind their length in four bytes.
    data: String,
}

/// For `#[serde(with = "wire")]` on a list of tensors.
pub(crate) fn serialize<S: Serializer>(tensors: &[Tensor], to: S) -> Result<S::Ok, S::Error> {
    let mut list = to.serialize_seq(Some(tensors.len()))?;
    for tensor in tensors {
        list.serialize_element(&WireTensor {
            name: tensor.name.clone(),
            datatype: tensor.datatype(),
            shape: tensor.shape.clone(),
            data: STANDARD.encode(to_bytes(&tensor.data)),
        })?;
    }
    list.end()
}

/// For `#[serde(with = "wire")]` on a list of tensors.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Tensor>, D::Error> {
    let tensors = Vec::<WireTensor>::deserialize(from)?;
    tensors.into_iter().map(|tensor| read(tensor).map_err(de::Error::custom)).collect()
}

fn read(tensor: WireTensor) -> Result<Tensor, Problem> {
    let wrong = || Problem::invalid(&tensor.name, "its bytes are broken");
    let bytes = STANDARD.decode(&tensor.data).map_err(|_| wrong())?;
    let data = from_bytes(tensor.datatype, &bytes).ok_or_else(wrong)?;
    Tensor::new(tensor.name, tensor.shape, data)
}

fn to_bytes(data: &TensorData) -> Vec<u8> {
    macro_rules! numbers {
        ($elements:expr) => {
            $elements.iter().flat_map(|element| element.to_le_bytes()).collect()
        };
    }
    match data {
        TensorData::Bool(elements) => elements.iter().map(|&element| u8::from(element)).collect(),
        TensorData::U8(elements) => elements.clone(),
        TensorData::U16(elements) => numbers!(elements),
        TensorData::U32(elements) => numbers!(elements),
        TensorData::U64(elements) => numbers!(elements),
        TensorData::I8(elements) => numbers!(elements),
        TensorData::I16(elements) => numbers!(elements),
        TensorData::I32(elements) => numbers!(elements),
        TensorData::I64(elements) => numbers!(elements),
        TensorData::F16(elements) => numbers!(elements),
        TensorData::BF16(elements) => numbers!(elements),
        TensorData::F32(elements) => numbers!(elements),
        TensorData::F64(elements) => numbers!(elements),
        TensorData::Bytes(elements) => elements
            .iter()
            .flat_map(|text| {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                length.to_le_bytes().into_iter().chain(text.iter().copied())
            })
            .collect(),
    }
}

fn from_bytes(datatype: DataType, bytes: &[u8]) -> Option<TensorData> {
    macro_rules! numbers {
        ($kind:ident, $number:ty) => {{
            let (elements, rest) = bytes.as_chunks::<{ size_of::<$number>() }>();
            rest.is_empty().then(|| {
                TensorData::$kind(
                    elements.iter().map(|&element| <$number>::from_le_bytes(element)).collect(),
                )
            })
        }};
    }
    match datatype {
        DataType::Bool => Some(TensorData::Bool(bytes.iter().map(|&byte| byte != 0).collect())),
        DataType::U8 => Some(TensorData::U8(bytes.to_vec())),
        DataType::U16 => numbers!(U16, u16),
        DataType::U32 => numbers!(U32, u32),
        DataType::U64 => numbers!(U64, u64),
        DataType::I8 => numbers!(I8, i8),
        DataType::I16 => numbers!(I16, i16),
        DataType::I32 => numbers!(I32, i32),
        DataType::I64 => numbers!(I64, i64),
        DataType::F16 => numbers!(F16, f16),
        DataType::BF16 => numbers!(BF16, bf16),
        DataType::F32 => numbers!(F32, f32),
        DataType::F64 => numbers!(F64, f64),
        DataType::Bytes => strings(bytes).map(TensorData::Bytes),
    }
}

fn strings(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        texts.push(text.to_vec());
        bytes = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Wrapped(#[serde(with = "super")] Vec<Tensor>);

    #[test]
    fn every_value_arrives_as_it_was() {
        let all = [
            TensorData::Bool(vec![true, false]),
            TensorData::U8(vec![1, 255]),
            TensorData::U16(vec![1, u16::MAX]),
            TensorData::U32(vec![1, u32::MAX]),
            TensorData::U64(vec![1, u64::MAX]),
            TensorData::I8(vec![-1, i8::MIN]),
            TensorData::I16(vec![-1, i16::MIN]),
            TensorData::I32(vec![-1, i32::MIN]),
            TensorData::I64(vec![-1, i64::MIN]),
            TensorData::F16(vec![f16::MIN, f16::INFINITY]),
            TensorData::BF16(vec![bf16::MIN, bf16::INFINITY]),
            TensorData::F32(vec![-0.0, f32::INFINITY]),
            TensorData::F64(vec![f64::MIN, f64::NEG_INFINITY]),
            TensorData::Bytes(vec![vec![], vec![0, 255, b'"']]),
        ];
        assert_eq!(all.len(), DataType::ALL.len());
        let tensors: Vec<_> =
            all.into_iter().map(|data| Tensor::new("x", vec![2, 1], data).unwrap()).collect();
        let text = serde_json::to_string(&Wrapped(tensors.clone())).unwrap();
        assert_eq!(serde_json::from_str::<Wrapped>(&text).unwrap().0, tensors);
        let nan = Tensor::new("x", vec![1], TensorData::F32(vec![f32::NAN])).unwrap();
        let text = serde_json::to_string(&Wrapped(vec![nan])).unwrap();
        let TensorData::F32(back) = &serde_json::from_str::<Wrapped>(&text).unwrap().0[0].data
        else {
            panic!()
        };
        assert!(back[0].is_nan());
    }

    #[test]
    fn broken_bytes_are_refused() {
        for (datatype, data) in [("FP32", "AAA="), ("BYTES", "AAAA"), ("FP32", "??")] {
            let text =
                format!(r#"[{{"name":"x","datatype":"{datatype}","shape":[1],"data":"{data}"}}]"#);
            assert!(serde_json::from_str::<Wrapped>(&text).is_err(), "{text}");
        }
    }
}

//! Tensors on the way to a worker and back: JSON around the elements' own bytes, so that every
//! value arrives as it was, NaN and odd bytes included.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{DataType, Problem, Tensor, raw};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer, de,
    ser::{self, SerializeSeq},
};

#[derive(Serialize, Deserialize)]
struct WireTensor {
    name: String,
    datatype: DataType,
    shape: Vec<usize>,
    /// Base64 of the elements' raw bytes.
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
            data: STANDARD.encode(raw::write(&tensor.data).map_err(ser::Error::custom)?),
        })?;
    }
    list.end()
}

/// For `#[serde(with = "wire")]` on a list of tensors.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Tensor>, D::Error> {
    let tensors = Vec::<WireTensor>::deserialize(from)?;
    tensors.into_iter().map(|tensor| read(tensor).map_err(de::Error::custom)).collect()
}

fn read(WireTensor { name, datatype, shape, data }: WireTensor) -> Result<Tensor, Problem> {
    let wrong = |what| {
        Problem::invalid(&name, format!("`{name}` is broken: its {what} is not what it should be"))
    };
    let bytes = STANDARD.decode(&data).map_err(|_| wrong("base64"))?;
    let elements = Tensor::elements(&shape).ok_or_else(|| wrong("shape"))?;
    let data = raw::read(datatype, elements, &bytes, &name)?;
    Tensor::new(name, shape, data)
}

#[cfg(test)]
mod tests {
    use domain::TensorData;
    use half::{bf16, f16};

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

//! Tensors, to an answer's body.

use domain::{Problem, Tensor, TensorData, with_elements};
use serde::{Serialize, Serializer};

use crate::json::{element::Element, not_text};

/// Appends the body of an answer to `out`: data flat and row-major, each float in the fewest digits
/// that read back as the same value. A failure leaves `out` as it was.
///
/// # Errors
/// BYTES that are not UTF-8: JSON cannot hold them.
pub fn encode(
    out: &mut Vec<u8>,
    model_name: &str,
    model_version: &str,
    id: Option<&str>,
    outputs: &[Tensor],
) -> Result<(), Problem> {
    write(out, model_name, model_version, id, outputs, |_| None)
}

/// Appends the JSON of an answer, without the data of those outputs that stand behind it in as many
/// bytes as `binary_size` says.
pub(in crate::v2) fn write(
    out: &mut Vec<u8>,
    model_name: &str,
    model_version: &str,
    id: Option<&str>,
    outputs: &[Tensor],
    binary_size: impl Fn(&Tensor) -> Option<usize>,
) -> Result<(), Problem> {
    let start = out.len();
    let tensors = Outputs { tensors: outputs, binary_size: &binary_size };
    let response = WireResponse { model_name, model_version, id, outputs: tensors };
    serde_json::to_writer(&mut *out, &response).map_err(|_| {
        out.truncate(start);
        unwritable(outputs.iter().filter(|output| binary_size(output).is_none()))
    })
}

/// Names the output that holds what JSON cannot.
fn unwritable<'a>(outputs: impl Iterator<Item = &'a Tensor>) -> Problem {
    const HINT: &str = "ask for it with `binary_data`, call by gRPC, or leave it out of `outputs`";
    not_text(outputs).map_or_else(Problem::internal, |problem| problem.at("outputs").hint(HINT))
}

#[derive(Serialize)]
#[serde(bound = "")]
struct WireResponse<'a, F: Fn(&Tensor) -> Option<usize>> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Outputs<'a, F>,
}

struct Outputs<'a, F> {
    tensors: &'a [Tensor],
    binary_size: &'a F,
}

impl<F: Fn(&Tensor) -> Option<usize>> Serialize for Outputs<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tensors = self.tensors.iter();
        serializer.collect_seq(tensors.map(|it| WireTensor::of(it, (self.binary_size)(it))))
    }
}

#[derive(Serialize)]
pub(super) struct WireTensor<'a> {
    name: &'a str,
    datatype: &'static str,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Binary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

impl<'a> WireTensor<'a> {
    /// With its elements, or with how many bytes they have behind the JSON.
    pub(super) fn of(tensor: &'a Tensor, binary_size: Option<usize>) -> Self {
        let Tensor { name, shape, data } = tensor;
        let parameters = binary_size.map(|size| Binary { binary_data_size: size });
        let data = parameters.is_none().then_some(Data(data));
        Self { name, datatype: tensor.datatype().as_str(), shape, parameters, data }
    }
}

#[derive(Serialize)]
struct Binary {
    binary_data_size: usize,
}

struct Data<'a>(&'a TensorData);

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        with_elements!(self.0, elements => serializer.collect_seq(elements.iter().map(Written)))
    }
}

struct Written<'a, T>(&'a T);

impl<T: Element> Serialize for Written<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.write(serializer)
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};
    use serde_json::Value;

    use super::*;

    fn written(outputs: &[Tensor]) -> String {
        let mut out = b"before ".to_vec();
        encode(&mut out, "fraud", "3", Some("4\"2"), outputs).unwrap();
        String::from_utf8(out).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

    #[test]
    fn an_answer_is_written_flat_and_in_the_fewest_digits() {
        let floats = Tensor::new("y", vec![1, 3], TensorData::F32(vec![0.1, 1.0, 1e-7])).unwrap();
        let halves = Tensor::new("h", vec![1], TensorData::F16(vec![f16::from_f32(0.1)])).unwrap();
        let texts = Tensor::new("t", vec![], TensorData::Bytes(vec!["a\"é".into()])).unwrap();
        assert_eq!(
            written(&[floats, halves, texts]),
            concat!(
                r#"{"model_name":"fraud","model_version":"3","id":"4\"2","outputs":["#,
                r#"{"name":"y","datatype":"FP32","shape":[1,3],"data":[0.1,1.0,1e-7]},"#,
                r#"{"name":"h","datatype":"FP16","shape":[1],"data":[0.099975586]},"#,
                r#"{"name":"t","datatype":"BYTES","shape":[],"data":["a\"é"]}]}"#
            )
        );
        let mut out = Vec::new();
        encode(&mut out, "fraud", "3", None, &[]).unwrap();
        assert_eq!(out, br#"{"model_name":"fraud","model_version":"3","outputs":[]}"#);
    }

    #[test]
    fn nan_and_infinity_in_an_answer_are_the_strings_that_numpy_reads() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        for data in [
            TensorData::F64(vec![nan, inf, -inf, -nan]),
            TensorData::F32([nan, inf, -inf, -nan].map(|value| value as f32).to_vec()),
            TensorData::F16([nan, inf, -inf, -nan].map(f16::from_f64).to_vec()),
            TensorData::BF16([nan, inf, -inf, -nan].map(bf16::from_f64).to_vec()),
        ] {
            let body = written(&[Tensor::new("y", vec![4], data).unwrap()]);
            assert!(body.contains(r#""data":["NaN","Infinity","-Infinity","NaN"]"#), "{body}");
            assert!(body.parse::<Value>().is_ok());
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused_and_nothing_is_left_half_written() {
        let good = Tensor::new("y", vec![1], TensorData::F32(vec![1.0])).unwrap();
        let bad = Tensor::new("t", vec![2], TensorData::Bytes(vec![vec![], vec![0xff]])).unwrap();
        let mut out = b"before".to_vec();
        let problem = encode(&mut out, "fraud", "3", None, &[good, bad]).unwrap_err();
        assert_eq!(
            problem.message,
            "output `t` holds bytes that are not UTF-8, and JSON has only text"
        );
        assert!(problem.hint.unwrap().contains("gRPC"));
        assert_eq!(out, b"before");
    }
}

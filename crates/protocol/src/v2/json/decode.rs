//! A request's body, to tensors.

use std::fmt;

use domain::{DataType, ErrorCode, Problem, Signature, Tensor};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    json::{
        data::{Data, DataSeed, Dialect, Expecting},
        explain::{explain, explain_data},
    },
    v2::{
        InferRequest, RequestedOutput,
        binary::Tail,
        parameters::{self, BINARY_DATA_SIZE, Form, On},
        request::{clipped, shape},
    },
};

/// Reads the body of an inference request that is JSON alone.
///
/// # Errors
/// A body that is not such a request, or that does not fit the signature; the problem names the
/// place, e.g. `inputs[0].data[3]`.
pub fn decode(body: &[u8], signature: &Signature) -> Result<InferRequest, Problem> {
    read(body, &mut Tail::absent())
        .and_then(|request| request.checked(signature, Form::Rest))
        .map_err(clipped)
}

/// Reads the JSON of a request, some of whose inputs may have their elements in the tail behind it.
pub(in crate::v2) fn read(body: &[u8], tail: &mut Tail<'_>) -> Result<InferRequest, Problem> {
    // serde would take the fields in order, without their names.
    if body.trim_ascii_start().starts_with(b"[") {
        let message = "the body is a list: expected an object with `inputs`";
        return Err(Problem::new(ErrorCode::Invalid, message));
    }
    let request: WireRequest<'_> =
        serde_json::from_slice(body).map_err(|error| explain::<WireRequest<'_>>(&error, body))?;
    let inputs = request.inputs.into_iter().enumerate();
    let outputs = request.outputs.unwrap_or_default().into_iter();
    Ok(InferRequest {
        id: request.id,
        parameters: request.parameters.unwrap_or_default().0,
        inputs: inputs.map(|(index, input)| input.tensor(index, tail)).collect::<Result<_, _>>()?,
        outputs: outputs
            .map(|WireOutput { name, parameters }| RequestedOutput {
                name,
                parameters: parameters.unwrap_or_default().0,
            })
            .collect(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `inputs`")]
struct WireRequest<'a> {
    id: Option<String>,
    parameters: Option<Given>,
    #[serde(borrow)]
    inputs: Vec<WireInput<'a>>,
    outputs: Option<Vec<WireOutput>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `name`")]
struct WireOutput {
    name: String,
    parameters: Option<Given>,
}

struct WireInput<'a> {
    name: String,
    shape: Vec<i64>,
    datatype: DataType,
    parameters: Option<Given>,
    data: Option<WireData<'a>>,
}

/// Parameters, each there once: of two of a name nobody could tell which one counts.
#[derive(Default)]
struct Given(Map<String, Value>);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of parameters")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let mut given = Map::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if given.contains_key(&name) {
                return Err(A::Error::custom(format_args!("parameter `{name}` is there twice")));
            }
            given.insert(name, value);
        }
        Ok(Given(given))
    }
}

enum WireData<'a> {
    Read(Data),
    /// It stood before its datatype.
    Unread(&'a RawValue),
}

impl WireInput<'_> {
    fn tensor(self, index: usize, tail: &mut Tail<'_>) -> Result<Tensor, Problem> {
        // Places are written out where something is wrong with them.
        let place = || format!("inputs[{index}]");
        let Given(parameters) = self.parameters.unwrap_or_default();
        // Before `data`: tensors sent as binary have none, and deserve that answer.
        parameters::check(&parameters, On::Input, format_args!("inputs[{index}].parameters"))?;
        let shape = shape(&self.shape, format_args!("inputs[{index}].shape"))?;
        if let Some(size) = parameters::count(&parameters, BINARY_DATA_SIZE) {
            if self.data.is_some() {
                let message = format!("`{}` has both `data` and `{BINARY_DATA_SIZE}`", self.name);
                return Err(Problem::invalid(place(), message)
                    .hint("send its elements in one of the two forms"));
            }
            let field = format!("inputs[{index}].parameters.{BINARY_DATA_SIZE}");
            let data = tail.tensor(self.datatype, &shape, size, &field)?;
            return Tensor::new(self.name, shape, data).map_err(|problem| problem.at(place()));
        }
        let field = format_args!("inputs[{index}].data");
        let data = match self.data {
            Some(WireData::Read(data)) => data,
            Some(WireData::Unread(json)) => {
                let seed = DataSeed(self.datatype, Dialect::Plain);
                seed.deserialize(json)
                    .map_err(|error| explain_data(&error, seed, json.get(), &field.to_string()))?
            }
            None => {
                let message = format!("`{}` has no `data`", self.name);
                return Err(Problem::invalid(place(), message)
                    .hint("send its elements there, or behind the JSON with `binary_data_size`"));
            }
        };
        data.check_nesting(&shape, field)?;
        Tensor::new(self.name, shape, data.elements)
            .map_err(|problem| problem.at(field.to_string()))
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Field {
    Name,
    Shape,
    Datatype,
    Parameters,
    Data,
}

/// By hand, and not derived, for one thing: how `data` is read depends on `datatype`.
impl<'de: 'a, 'a> Deserialize<'de> for WireInput<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InputVisitor)
    }
}

struct InputVisitor;

impl<'de> Visitor<'de> for InputVisitor {
    type Value = WireInput<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `name`, `shape`, `datatype` and `data`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WireInput<'de>, A::Error> {
        let (mut name, mut shape, mut datatype) = (None, None, None);
        let (mut parameters, mut data) = (None, None);
        while let Some(field) = map.next_key()? {
            match field {
                Field::Name => once(&mut name, "name", map.next_value()?)?,
                Field::Shape => once(&mut shape, "shape", map.next_value()?)?,
                Field::Datatype => once(&mut datatype, "datatype", map.next_value()?)?,
                Field::Parameters => once(&mut parameters, "parameters", map.next_value()?)?,
                Field::Data => {
                    let value = match datatype {
                        Some(datatype) => {
                            let seed = DataSeed(datatype, Dialect::Plain);
                            let about = shape.as_deref().map_or(0, elements);
                            WireData::Read(map.next_value_seed(Expecting(seed, about))?)
                        }
                        None => WireData::Unread(map.next_value()?),
                    };
                    once(&mut data, "data", value)?;
                }
            }
        }
        Ok(WireInput {
            name: name.ok_or_else(|| A::Error::missing_field("name"))?,
            shape: shape.ok_or_else(|| A::Error::missing_field("shape"))?,
            datatype: datatype.ok_or_else(|| A::Error::missing_field("datatype"))?,
            parameters: parameters.flatten(),
            data,
        })
    }
}

/// How many elements a shape promises; none where it makes no sense.
fn elements(shape: &[i64]) -> usize {
    let size = |&size: &i64| usize::try_from(size).ok();
    shape.iter().try_fold(1_usize, |all, size_of| all.checked_mul(size(size_of)?)).unwrap_or(0)
}

fn once<T, E: Error>(slot: &mut Option<T>, field: &'static str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(field)),
    }
}

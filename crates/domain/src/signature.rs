//! A model's signature: the tensors that go in and come out.

use std::fmt;

use serde::{Deserialize, Serialize, de};

use crate::{DataType, Problem, Tensor};

/// The size of one dimension.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// Exactly this many.
    Fixed(u64),
    /// Any size; equal names have equal sizes within one request.
    Symbolic(String),
    /// Any size.
    Any,
}

impl Dim {
    /// Whether every size fits.
    #[must_use]
    pub const fn is_dynamic(&self) -> bool {
        !matches!(self, Self::Fixed(_))
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Symbolic(name) => f.write_str(name),
            Self::Any => f.write_str("?"),
        }
    }
}

/// On the wire: a number, a name, or -1.
impl Serialize for Dim {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Fixed(size) => serializer.serialize_u64(*size),
            Self::Symbolic(name) => serializer.serialize_str(name),
            Self::Any => serializer.serialize_i64(-1),
        }
    }
}

impl<'de> Deserialize<'de> for Dim {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Size(i64),
            Name(String),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Size(-1) => Ok(Self::Any),
            Wire::Size(size) => u64::try_from(size).map(Self::Fixed).map_err(|_| {
                de::Error::custom(format!(
                    "a dimension of {size}: expected a size, a name, or -1 for any"
                ))
            }),
            Wire::Name(name) => Ok(Self::Symbolic(name)),
        }
    }
}

/// One input or output.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Its elements' type.
    pub datatype: DataType,
    /// Its dimensions.
    pub shape: Vec<Dim>,
    /// Whether a request may leave it out. No output is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl TensorSpec {
    /// The shape as people write it: `[batch, 30]`.
    #[must_use]
    pub fn shape_text(&self) -> String {
        let dims: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        format!("[{}]", dims.join(", "))
    }

    fn check(&self, tensor: &Tensor, sizes: &mut Vec<(String, usize)>) -> Result<(), Problem> {
        let name = &self.name;
        if tensor.datatype() != self.datatype {
            return Err(Problem::invalid(
                name,
                format!(
                    "`{name}` has datatype {}, but the model expects {}",
                    tensor.datatype(),
                    self.datatype
                ),
            ));
        }
        let wrong_shape = || {
            Problem::invalid(
                name,
                format!(
                    "`{name}` has shape {:?}, but the model expects {}",
                    tensor.shape,
                    self.shape_text()
                ),
            )
        };
        if tensor.shape.len() != self.shape.len() {
            return Err(wrong_shape());
        }
        for (dim, &size) in self.shape.iter().zip(&tensor.shape) {
            match dim {
                Dim::Fixed(expected) if *expected != size as u64 => return Err(wrong_shape()),
                Dim::Fixed(_) | Dim::Any => {}
                Dim::Symbolic(symbol) => match sizes.iter().find(|(known, _)| known == symbol) {
                    Some((_, known)) if *known != size => {
                        return Err(wrong_shape().hint(format!(
                            "`{symbol}` is {known} in another input of this request"
                        )));
                    }
                    Some(_) => {}
                    None => sizes.push((symbol.clone(), size)),
                },
            }
        }
        Ok(())
    }
}

/// What goes in and what comes out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// In the model's order.
    pub inputs: Vec<TensorSpec>,
    /// In the model's order.
    pub outputs: Vec<TensorSpec>,
    /// What a request may set besides, for all of its rows: they have no dimension of rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<TensorSpec>,
}

impl Signature {
    /// One where requests set nothing besides their inputs.
    #[must_use]
    pub const fn new(inputs: Vec<TensorSpec>, outputs: Vec<TensorSpec>) -> Self {
        Self { inputs, outputs, params: Vec::new() }
    }

    /// Whether a tensor is one of those that are set besides the inputs.
    #[must_use]
    pub fn is_param(&self, tensor: &Tensor) -> bool {
        self.params.iter().any(|spec| spec.name == tensor.name)
    }

    /// Refuses params, for models that take none: requests that set them would fail in their runs.
    ///
    /// # Errors
    /// It has some.
    pub fn require_no_params(&self) -> Result<(), Problem> {
        if self.params.is_empty() {
            return Ok(());
        }
        let message = "requests set nothing besides the inputs of such a model";
        Err(Problem::invalid("signature.params", message)
            .hint("leave `params` out: models of MLflow's pyfunc and scikit-learn have them"))
    }

    /// Checks a request's tensors: every input there once, unless it is optional, none unknown, types and
    /// shapes as asked.
    ///
    /// # Errors
    /// The first thing wrong, by the name of the tensor.
    pub fn check(&self, tensors: &[Tensor]) -> Result<(), Problem> {
        let mut sizes = Vec::new();
        let params = self.params.iter().map(|spec| (spec, true));
        for (spec, is_optional) in
            self.inputs.iter().map(|spec| (spec, spec.optional)).chain(params)
        {
            let mut named = tensors.iter().filter(|tensor| tensor.name == spec.name);
            let Some(tensor) = named.next() else {
                if is_optional {
                    continue;
                }
                let missing = format!("input `{}` is missing", spec.name);
                return Err(self.unexpected(&missing, &spec.name));
            };
            if named.next().is_some() {
                return Err(Problem::invalid(
                    &spec.name,
                    format!("input `{}` stands twice", spec.name),
                ));
            }
            spec.check(tensor, &mut sizes)?;
        }
        let is_unknown = |tensor: &&Tensor| {
            self.inputs.iter().chain(&self.params).all(|spec| spec.name != tensor.name)
        };
        match tensors.iter().find(is_unknown) {
            Some(tensor) => {
                Err(self
                    .unexpected(&format!("the model has no input `{}`", tensor.name), &tensor.name))
            }
            None => Ok(()),
        }
    }

    fn unexpected(&self, what: &str, field: &str) -> Problem {
        let expected: Vec<_> = self
            .inputs
            .iter()
            .map(|spec| (spec, spec.optional))
            .chain(self.params.iter().map(|spec| (spec, true)))
            .map(|(spec, is_optional)| {
                let optional = if is_optional { " (optional)" } else { "" };
                format!("`{}` {} {}{optional}", spec.name, spec.datatype, spec.shape_text())
            })
            .collect();
        Problem::invalid(field, format!("{what}: expected {}", expected.join(", ")))
    }

    /// Takes a signature that its author gave in place of the one read from the file. It may name
    /// symbolic dimensions and fix dynamic ones; names, types and ranks must be the file's.
    ///
    /// # Errors
    /// The first tensor that does not fit.
    pub fn overridden_by(&self, given: Self) -> Result<Self, Problem> {
        given.require_no_params()?;
        for (side, read, given) in
            [("inputs", &self.inputs, &given.inputs), ("outputs", &self.outputs, &given.outputs)]
        {
            let field = format!("signature.{side}");
            if read.len() != given.len() {
                let (expected, got) = (read.len(), given.len());
                return Err(Problem::invalid(
                    field,
                    format!("the signature has {got} {side}, but the file has {expected}"),
                ));
            }
            for (read, given) in read.iter().zip(given) {
                let fits = read.name == given.name
                    && read.datatype == given.datatype
                    && read.shape.len() == given.shape.len()
                    && read.shape.iter().zip(&given.shape).all(|(read, given)| {
                        match (read, given) {
                            (Dim::Fixed(read), Dim::Fixed(given)) => read == given,
                            (Dim::Fixed(_), Dim::Symbolic(_) | Dim::Any) => false,
                            (Dim::Symbolic(_) | Dim::Any, _) => true,
                        }
                    });
                if !fits {
                    return Err(Problem::invalid(
                        field,
                        format!(
                            "`{}` {} {} does not fit the file's `{}` {} {}",
                            given.name, given.datatype, given.shape_text(), read.name, read.datatype, read.shape_text(),
                        ),
                    )
                    .hint("give the file's names, types and ranks in the file's order; only dynamic dimensions may be named or fixed"));
                }
            }
        }
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TensorData;

    fn signature() -> Signature {
        serde_json::from_str(
            r#"{"inputs":[{"name":"x","datatype":"FP32","shape":["n",2]},{"name":"y","datatype":"BYTES","shape":["n",-1]}],
                "outputs":[{"name":"z","datatype":"FP32","shape":["n"]}]}"#,
        )
        .unwrap()
    }

    fn x(rows: usize) -> Tensor {
        Tensor::new("x", vec![rows, 2], TensorData::F32(vec![0.0; rows * 2])).unwrap()
    }

    fn y(rows: usize) -> Tensor {
        Tensor::new("y", vec![rows, 1], TensorData::Bytes(vec![vec![]; rows])).unwrap()
    }

    #[test]
    fn params_may_be_set_or_not() {
        let mut signature = signature();
        let shape = vec![Dim::Fixed(1)];
        let param =
            TensorSpec { name: "t".to_owned(), datatype: DataType::F64, shape, optional: false };
        signature.params.push(param);
        let t = |count: usize| Tensor::new("t", vec![count], TensorData::F64(vec![0.5; count]));
        assert_eq!(signature.check(&[y(3), x(3)]), Ok(()));
        assert_eq!(signature.check(&[t(1).unwrap(), y(3), x(3)]), Ok(()));
        let wrong = signature.check(&[y(3), x(3), t(3).unwrap()]).unwrap_err();
        assert_eq!(wrong.field.as_deref(), Some("t"));
        assert!(signature.is_param(&t(1).unwrap()) && !signature.is_param(&x(1)));
    }

    #[test]
    fn what_fits_is_taken_in_any_order() {
        assert_eq!(signature().check(&[y(3), x(3)]), Ok(()));
    }

    #[test]
    fn a_refusal_names_the_tensor_and_what_was_expected() {
        let wrong_type = Tensor::new("x", vec![1, 2], TensorData::F64(vec![0.0; 2])).unwrap();
        let wrong_rank = Tensor::new("x", vec![2], TensorData::F32(vec![0.0; 2])).unwrap();
        let wrong_size = Tensor::new("x", vec![1, 3], TensorData::F32(vec![0.0; 3])).unwrap();
        let unknown = Tensor::new("w", vec![1], TensorData::F32(vec![0.0])).unwrap();
        let cases = [
            (vec![x(1)], "y", "input `y` is missing: expected `x` FP32 [n, 2], `y` BYTES [n, ?]"),
            (vec![wrong_type, y(1)], "x", "`x` has datatype FP64, but the model expects FP32"),
            (vec![wrong_rank, y(1)], "x", "`x` has shape [2], but the model expects [n, 2]"),
            (vec![wrong_size, y(1)], "x", "`x` has shape [1, 3], but the model expects [n, 2]"),
            (vec![x(1), y(2)], "y", "`y` has shape [2, 1], but the model expects [n, ?]"),
            (vec![x(1), x(1), y(1)], "x", "input `x` stands twice"),
            (
                vec![x(1), y(1), unknown],
                "w",
                "the model has no input `w`: expected `x` FP32 [n, 2], `y` BYTES [n, ?]",
            ),
        ];
        for (tensors, field, message) in cases {
            let problem = signature().check(&tensors).unwrap_err();
            assert_eq!(
                (problem.field.as_deref(), problem.message.as_str()),
                (Some(field), message)
            );
        }
    }

    #[test]
    fn an_optional_input_may_be_left_out() {
        let mut signature = signature();
        signature.inputs[1].optional = true;
        assert_eq!(signature.check(&[x(3)]), Ok(()));
        assert!(signature.check(&[x(3), y(2)]).is_err(), "what is there must fit");
        let problem = signature.check(&[y(3)]).unwrap_err();
        assert!(problem.message.ends_with("`y` BYTES [n, ?] (optional)"), "{}", problem.message);
        let json = serde_json::to_value(&signature).unwrap();
        assert_eq!(
            (&json["inputs"][1]["optional"], &json["inputs"][0]["optional"]),
            (&true.into(), &serde_json::Value::Null)
        );
    }

    #[test]
    fn an_override_may_name_and_fix_dimensions_but_not_change_types() {
        let mut given = signature();
        given.inputs[0].shape[0] = Dim::Symbolic("rows".to_owned());
        assert!(signature().overridden_by(given.clone()).is_ok());
        given.inputs[0].datatype = DataType::F64;
        assert!(signature().overridden_by(given).is_err());
        let mut loosened = signature();
        loosened.inputs[0].shape[1] = Dim::Any;
        assert!(signature().overridden_by(loosened).is_err());
        // A file takes nothing besides its inputs: a request that set it would fail in its run.
        let mut more = signature();
        more.params = more.inputs.clone();
        let refused = signature().overridden_by(more).unwrap_err();
        assert_eq!(refused.field.as_deref(), Some("signature.params"));
    }
}

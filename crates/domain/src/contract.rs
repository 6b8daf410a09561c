//! An endpoint's contract: what its callers rely on, and whether a version keeps it.
//!
//! A version fits where whoever talks to the endpoint today may go on unchanged: every request that
//! the contract takes the version takes too, and every answer of the version is one that the
//! contract allows. Both are inclusions, so what fits what fits, fits.
//!
//! - Inputs: the same names, each of the same type and rank; a size that is fixed in the version is
//!   the contract's, and sizes that must be equal in the version are equal in the contract. One that
//!   is optional in the version may be required in the contract, or unknown to it.
//! - Outputs: at least those of the contract, each of the same type and rank; a size that is fixed
//!   in the contract is the version's. The names of sizes mean nothing here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Dim, EndpointRef, ErrorCode, Grounds, Problem, Signature, TensorSpec};

/// What an endpoint expects of each version that it shall serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The models whose versions it serves, by name; empty: any.
    pub models: Vec<String>,
    /// What goes in and comes out.
    pub signature: Signature,
}

/// The version that was to be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Got {
    /// Its model's name.
    pub model: String,
    /// Its number.
    pub version: i32,
    /// What goes in and comes out; absent where nobody knows.
    pub signature: Option<Signature>,
}

/// One thing as the contract has it and as the version has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// `model`, or the input, output or size that it is about.
    pub what: String,
    /// In the contract; absent where it has none.
    pub expected: Option<String>,
    /// In the version; absent where it has none.
    pub got: Option<String>,
    /// Whether they fit.
    pub ok: bool,
}

/// A version beside a contract that it does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The contract.
    pub expected: Expected,
    /// The version.
    pub got: Got,
    /// Both, side by side: what fits as well.
    pub lines: Vec<Line>,
}

impl Mismatch {
    /// Compares; absent where the version fits.
    #[must_use]
    pub fn between(expected: &Expected, got: &Got) -> Option<Self> {
        let mut lines = Vec::new();
        if !expected.models.is_empty() {
            let names: Vec<_> = expected.models.iter().map(|name| format!("`{name}`")).collect();
            lines.push(Line {
                what: "model".to_owned(),
                expected: Some(names.join(" or ")),
                got: Some(format!("`{}`", got.model)),
                ok: expected.models.contains(&got.model),
            });
        }
        match &got.signature {
            Some(signature) => lines.extend(compare(&expected.signature, signature)),
            None => lines.push(Line {
                what: "signature".to_owned(),
                expected: Some("one".to_owned()),
                got: None,
                ok: false,
            }),
        }
        let fits = lines.iter().all(|line| line.ok);
        (!fits).then(|| Self { expected: expected.clone(), got: got.clone(), lines })
    }

    /// What does not fit, in one sentence.
    #[must_use]
    pub fn sentence(&self, endpoint: &EndpointRef) -> String {
        let Got { model, version, .. } = &self.got;
        let told = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
        let wrong = self.lines.iter().filter(|line| !line.ok);
        let wrong: Vec<_> = wrong
            .map(|line| {
                let (expected, got) = (told(&line.expected), told(&line.got));
                format!("{}: expected {expected}, got {got}", line.what)
            })
            .collect();
        let what = wrong.join("; ");
        format!(
            "`{model}/{version}` does not fit the contract of the endpoint `{endpoint}`: {what}"
        )
    }

    /// The refusal of a release.
    #[must_use]
    pub fn refusal(self, endpoint: &EndpointRef) -> Problem {
        let Got { model, version, .. } = &self.got;
        let hint = format!(
            "if its callers shall get just that, change the contract first: bottega endpoints contract set {endpoint} --from {model}/{version}"
        );
        let mut problem = Problem::new(ErrorCode::GateRefused, self.sentence(endpoint)).hint(hint);
        problem.grounds = Some(Box::new(Grounds::Contract(self)));
        problem
    }
}

impl Signature {
    /// Whether a version of that signature can stand where this one is promised.
    #[must_use]
    pub fn is_kept_by(&self, version: &Self) -> bool {
        compare(self, version).iter().all(|line| line.ok)
    }

    /// Whether each input, and each output, has a name of its own.
    ///
    /// # Errors
    /// A name stands twice on one side.
    pub fn require_distinct_names(&self) -> Result<(), Problem> {
        // A request names params as it names inputs.
        let asked: Vec<_> = self.inputs.iter().chain(&self.params).collect();
        let answered: Vec<_> = self.outputs.iter().collect();
        for (side, specs) in [("inputs", asked), ("outputs", answered)] {
            for (at, spec) in specs.iter().enumerate() {
                if specs.iter().take(at).any(|earlier| earlier.name == spec.name) {
                    let message = format!("`{}` stands twice among the {side}", spec.name);
                    return Err(Problem::invalid(format!("signature.{side}"), message));
                }
            }
        }
        Ok(())
    }
}

/// Every input and output of both, side by side, and the equal sizes that only the version asks for.
fn compare(contract: &Signature, version: &Signature) -> Vec<Line> {
    let mut lines = Vec::new();
    for spec in &contract.inputs {
        lines.push(line("input", Some(spec), named(&version.inputs, &spec.name), takes));
    }
    for spec in &version.inputs {
        if named(&contract.inputs, &spec.name).is_none() {
            // Who does not know of it leaves it out.
            lines.push(Line { ok: spec.optional, ..line("input", None, Some(spec), takes) });
        }
    }
    for spec in &contract.params {
        lines.push(line("param", Some(spec), named(&version.params, &spec.name), takes));
    }
    for spec in &version.params {
        if named(&contract.params, &spec.name).is_none() {
            lines.push(Line { ok: true, ..line("param", None, Some(spec), takes) });
        }
    }
    for spec in &contract.outputs {
        lines.push(line("output", Some(spec), named(&version.outputs, &spec.name), answers));
    }
    for spec in &version.outputs {
        if named(&contract.outputs, &spec.name).is_none() {
            // Who does not know of it is not disturbed by it.
            lines.push(Line { ok: true, ..line("output", None, Some(spec), answers) });
        }
    }
    lines.extend(equal_sizes(contract, version));
    lines
}

fn named<'a>(specs: &'a [TensorSpec], name: &str) -> Option<&'a TensorSpec> {
    specs.iter().find(|spec| spec.name == name)
}

/// Both sides of one tensor; `fits` decides one dimension, the contract's first.
fn line(
    side: &str,
    contract: Option<&TensorSpec>,
    version: Option<&TensorSpec>,
    fits: impl Fn(&Dim, &Dim) -> bool,
) -> Line {
    let name = contract.or(version).map(|spec| spec.name.clone()).unwrap_or_default();
    let told = |spec: &TensorSpec| {
        let optional = if spec.optional { ", optional" } else { "" };
        format!("{} {}{optional}", spec.datatype, spec.shape_text())
    };
    let ok = match (contract, version) {
        (Some(contract), Some(version)) => {
            contract.datatype == version.datatype
                && contract.shape.len() == version.shape.len()
                && (version.optional || !contract.optional)
                && contract.shape.iter().zip(&version.shape).all(|(ours, its)| fits(ours, its))
        }
        _ => false,
    };
    Line {
        what: format!("{side} `{name}`"),
        expected: contract.map(told),
        got: version.map(told),
        ok,
    }
}

/// Whether a version takes every size that the contract takes.
fn takes(contract: &Dim, version: &Dim) -> bool {
    version.is_dynamic() || contract == version
}

/// Whether a version answers with no other size than the contract allows.
fn answers(contract: &Dim, version: &Dim) -> bool {
    contract.is_dynamic() || contract == version
}

/// The sizes that must be equal in a request to the version and need not be so in the contract.
fn equal_sizes(contract: &Signature, version: &Signature) -> Vec<Line> {
    let mut places: BTreeMap<&str, Vec<(&str, &Dim)>> = BTreeMap::new();
    for its in &version.inputs {
        let Some(ours) = named(&contract.inputs, &its.name) else { continue };
        for (ours, its_size) in ours.shape.iter().zip(&its.shape) {
            if let Dim::Symbolic(symbol) = its_size {
                places.entry(symbol).or_default().push((&its.name, ours));
            }
        }
    }
    let loose = places.into_iter().filter(|(_, places)| {
        places.windows(2).any(|pair| match pair {
            [(_, one), (_, other)] => **one == Dim::Any || one != other,
            _ => false,
        })
    });
    loose
        .map(|(symbol, places)| {
            let mut tensors: Vec<_> = places.iter().map(|(name, _)| format!("`{name}`")).collect();
            tensors.dedup();
            let sizes: Vec<_> = places.iter().map(|(_, dim)| dim.to_string()).collect();
            Line {
                what: format!("size `{symbol}`"),
                expected: Some(format!("any of {}", sizes.join(", "))),
                got: Some(format!("one size in all of {}", tensors.join(", "))),
                ok: false,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DataType, Tensor, TensorData};

    fn spec(name: &str, datatype: DataType, shape: &str) -> TensorSpec {
        let dims = shape.split_whitespace().map(|dim| match (dim, dim.parse()) {
            ("?", _) => Dim::Any,
            (_, Ok(size)) => Dim::Fixed(size),
            (symbol, Err(_)) => Dim::Symbolic(symbol.to_owned()),
        });
        TensorSpec { name: name.to_owned(), datatype, shape: dims.collect(), optional: false }
    }

    /// `x:n 2,y:?` with FP32 everywhere.
    fn specs(text: &str) -> Vec<TensorSpec> {
        let each = text.split(',').filter(|text| !text.is_empty());
        each.map(|text| {
            let (name, shape) = text.split_once(':').unwrap();
            spec(name, DataType::F32, shape)
        })
        .collect()
    }

    fn signature(inputs: &str, outputs: &str) -> Signature {
        Signature::new(specs(inputs), specs(outputs))
    }

    #[test]
    fn what_fits_and_what_does_not() {
        let table = [
            // The same; another order; other names of sizes.
            ("x:n 2,y:n", "z:n", "x:n 2,y:n", "z:n", true),
            ("x:n 2,y:n", "z:n", "y:n,x:n 2", "z:n", true),
            ("x:n 2", "z:n", "x:batch 2", "z:batch", true),
            ("x:? 2", "z:?", "x:n 2", "z:n", true),
            // Inputs: a version may take more sizes, never fewer.
            ("x:1 2", "z:?", "x:n 2", "z:?", true),
            ("x:n 2", "z:?", "x:1 2", "z:?", false),
            ("x:n 2", "z:?", "x:n 3", "z:?", false),
            ("x:n 2", "z:?", "x:n 2 1", "z:?", false),
            ("x:n", "z:?", "y:n", "z:?", false),
            ("x:n", "z:?", "x:n,y:n", "z:?", false),
            ("x:n,y:n", "z:?", "x:n", "z:?", false),
            // Sizes that must be equal: only where the contract says so too.
            ("x:?,y:?", "z:?", "x:n,y:n", "z:?", false),
            ("x:n,y:m", "z:?", "x:n,y:n", "z:?", false),
            ("x:n,y:n", "z:?", "x:?,y:?", "z:?", true),
            ("x:3,y:3", "z:?", "x:n,y:n", "z:?", true),
            ("x:3,y:4", "z:?", "x:n,y:n", "z:?", false),
            ("x:? ?", "z:?", "x:n n", "z:?", false),
            // Outputs: at least these, and no other sizes.
            ("x:n", "z:n", "x:n", "z:n,more:n 7", true),
            ("x:n", "z:n,more:n 7", "x:n", "z:n", false),
            ("x:n", "z:n 2", "x:n", "z:n 5", false),
            ("x:n", "z:n 2", "x:n", "z:n k", false),
            ("x:n", "z:n k", "x:n", "z:n 2", true),
        ];
        for (inputs, outputs, its_inputs, its_outputs, fits) in table {
            let (ours, its) = (signature(inputs, outputs), signature(its_inputs, its_outputs));
            assert_eq!(
                ours.is_kept_by(&its),
                fits,
                "{inputs} → {outputs}; {its_inputs} → {its_outputs}"
            );
        }
        let mut optional = signature("x:n,y:n", "z:n");
        optional.inputs[1].optional = true;
        assert!(signature("x:n,y:n", "z:n").is_kept_by(&optional));
        assert!(signature("x:n", "z:n").is_kept_by(&optional));
        assert!(!optional.is_kept_by(&signature("x:n,y:n", "z:n")));
        assert!(!optional.is_kept_by(&signature("x:n", "z:n")));
        let mut typed = signature("x:n", "z:n");
        typed.outputs[0].datatype = DataType::Bytes;
        assert!(!signature("x:n", "z:n").is_kept_by(&typed));
    }

    const DIMS: [&str; 5] = ["1", "2", "?", "a", "b"];

    /// All signatures of two inputs with one dimension each.
    fn pairs() -> Vec<Signature> {
        let both = |x: &'static str| DIMS.map(|y| signature(&format!("x:{x},y:{y}"), ""));
        DIMS.into_iter().flat_map(both).collect()
    }

    fn request(sizes: [usize; 2]) -> Vec<Tensor> {
        let tensor = |name: &str, size: usize| {
            Tensor::new(name, vec![size], TensorData::F32(vec![0.0; size])).unwrap()
        };
        vec![tensor("x", sizes[0]), tensor("y", sizes[1])]
    }

    #[test]
    fn a_version_fits_exactly_where_it_takes_every_request_that_the_contract_takes() {
        let requests: Vec<_> =
            (1..=4).flat_map(|x| (1..=4).map(move |y| request([x, y]))).collect();
        for ours in pairs() {
            for its in pairs() {
                let all = requests
                    .iter()
                    .all(|request| ours.check(request).is_err() || its.check(request).is_ok());
                assert_eq!(ours.is_kept_by(&its), all, "{ours:?} {its:?}");
            }
        }
    }

    #[test]
    fn what_fits_what_fits_fits() {
        let mut sides = pairs();
        // Outputs are compared the other way round: the same shapes there.
        sides.extend(pairs().into_iter().map(|pair| Signature::new(vec![], pair.inputs)));
        let mut chains = 0;
        for one in &sides {
            for two in sides.iter().filter(|two| one.is_kept_by(two)) {
                for three in sides.iter().filter(|three| two.is_kept_by(three)) {
                    assert!(one.is_kept_by(three), "{one:?} {two:?} {three:?}");
                    chains += 1;
                }
            }
        }
        assert!(chains > 500, "{chains}");
    }

    fn any_signature() -> impl Strategy<Value = Signature> {
        let dim = prop_oneof![
            (0..5_u64).prop_map(Dim::Fixed),
            "[a-c]".prop_map(Dim::Symbolic),
            Just(Dim::Any)
        ];
        let datatype = prop::sample::select(DataType::ALL.to_vec());
        let tensor = (datatype, prop::collection::vec(dim, 0..4));
        let side = || prop::collection::vec(tensor.clone(), 0..4);
        (side(), side()).prop_map(|(inputs, outputs)| {
            let specs = |side: Vec<(DataType, Vec<Dim>)>| {
                let named = side.into_iter().enumerate();
                named
                    .map(|(at, (datatype, shape))| TensorSpec {
                        name: format!("t{at}"),
                        datatype,
                        shape,
                        optional: false,
                    })
                    .collect()
            };
            Signature::new(specs(inputs), specs(outputs))
        })
    }

    proptest! {
        #[test]
        fn everything_fits_itself_in_any_order_and_with_more_outputs(
            ours in any_signature(), more in any_signature(),
        ) {
            // A size without a name is any size, twice: it asks for nothing that it does not give.
            prop_assert!(ours.is_kept_by(&ours));
            let mut its = ours.clone();
            its.inputs.reverse();
            its.outputs.extend(more.outputs.into_iter().map(|spec| TensorSpec { name: format!("more {}", spec.name), ..spec }));
            prop_assert!(ours.is_kept_by(&its));
        }

        #[test]
        fn whatever_is_compared_is_told_of_both_sides(ours in any_signature(), its in any_signature()) {
            let expected = Expected { models: vec!["a".to_owned()], signature: ours.clone() };
            let got = Got { model: "b".to_owned(), version: 1, signature: Some(its.clone()) };
            let mismatch = Mismatch::between(&expected, &got).unwrap();
            let told = |side: fn(&Line) -> bool| mismatch.lines.iter().filter(|line| side(line)).count();
            let is_tensor = |line: &Line| line.what.starts_with("input") || line.what.starts_with("output");
            let count = |signature: &Signature| signature.inputs.len() + signature.outputs.len();
            prop_assert_eq!(told(|line| line.expected.is_some() && !line.what.starts_with("size")), count(&ours) + 1);
            prop_assert_eq!(mismatch.lines.iter().filter(|line| is_tensor(line) && line.got.is_some()).count(), count(&its));
        }
    }

    #[test]
    fn a_refusal_shows_both_sides_and_what_to_do() {
        let expected = Expected {
            models: vec!["sentiment".to_owned()],
            signature: signature("text:n 1", "label:n,probabilities:n 2"),
        };
        let its = signature("text:n 1", "label:n,probabilities:n 3");
        let got = Got { model: "language".to_owned(), version: 4, signature: Some(its) };
        let mismatch = Mismatch::between(&expected, &got).unwrap();
        let problem = mismatch.refusal(&"mood.dev".parse().unwrap());
        assert_eq!(problem.code, ErrorCode::GateRefused);
        assert_eq!(
            problem.message,
            "`language/4` does not fit the contract of the endpoint `mood.dev`: model: expected `sentiment`, got `language`; output `probabilities`: expected FP32 [n, 2], got FP32 [n, 3]"
        );
        assert!(
            problem.hint.as_deref().unwrap().contains("contract set mood.dev --from language/4")
        );
        let wire = serde_json::to_value(problem.contract().unwrap()).unwrap();
        assert_eq!(
            wire["expected"]["signature"]["outputs"][1]["shape"],
            serde_json::json!(["n", 2])
        );
        assert_eq!(wire["got"]["signature"]["outputs"][1]["shape"], serde_json::json!(["n", 3]));
        let unknown = Got { signature: None, ..got.clone() };
        assert!(Mismatch::between(&expected, &unknown).is_some());
        let same = Got {
            model: "sentiment".to_owned(),
            version: 2,
            signature: Some(expected.signature.clone()),
        };
        assert_eq!(Mismatch::between(&expected, &same), None);
    }

    #[test]
    fn no_name_stands_twice() {
        assert!(signature("x:n,y:n", "x:n").require_distinct_names().is_ok());
        let twice = signature("x:n", "z:n,z:1").require_distinct_names().unwrap_err();
        assert_eq!(twice.field.as_deref(), Some("signature.outputs"));
    }
}

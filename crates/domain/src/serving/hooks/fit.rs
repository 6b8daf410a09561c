//! Hooks made to fit a model: what callers see, and the steps between them and it.

use std::time::Duration;

use super::{Change, Column, FIELD, Header, HeaderValue, Hook, Hooks, Http, OnFailure, values};
use crate::{DataType, Dim, Problem, Signature, TensorData, TensorSpec};

/// How long a server has, unless the hook says.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The most elements of a default.
const MOST_ELEMENTS: usize = 10_000;

/// Hooks made to fit one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// What goes in and comes out for callers.
    pub callers: Signature,
    /// From their inputs to the model's.
    pub before: Vec<Step>,
    /// From its outputs to theirs.
    pub after: Vec<Step>,
}

/// One hook, made to fit.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It needs nobody.
    Change(Change),
    /// It asks a server.
    Ask(Ask),
}

/// A question to a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Its place among the hooks, for people.
    pub place: String,
    /// Who is asked.
    pub url: String,
    /// The columns that are sent, if they are there.
    pub send: Vec<String>,
    /// Those of them that go no further.
    pub drop: Vec<String>,
    /// The columns that come back.
    pub get: Vec<TensorSpec>,
    /// How long it may take.
    pub timeout: Duration,
    /// What happens where they do not come.
    pub on_failure: OnFailure,
    /// What is told beside.
    pub headers: Vec<(Header, HeaderValue)>,
}

impl Hooks {
    /// Makes the hooks fit a model of that signature.
    ///
    /// # Errors
    /// A column that is not there or there twice, a value or a cast that cannot be: by hook and field.
    pub fn fit(&self, model: &Signature) -> Result<Fitted, Problem> {
        let mut inputs = Walk::new("before", "input", &model.inputs);
        for (at, hook) in self.before.iter().enumerate().rev() {
            inputs.hook(at, hook)?;
        }
        inputs.steps.reverse();
        let mut outputs = Walk::new("after", "output", &model.outputs);
        for (at, hook) in self.after.iter().enumerate() {
            outputs.hook(at, hook)?;
        }
        if let Some(spec) = outputs.specs.iter().find(|spec| spec.optional) {
            let message = format!(
                "the output `{}` may be missing: give it a default in a later hook",
                spec.name
            );
            return Err(Problem::invalid(format!("{FIELD}.after"), message));
        }
        let params = model.params.clone();
        let callers = Signature { params, ..Signature::new(inputs.specs, outputs.specs) };
        Ok(Fitted { callers, before: inputs.steps, after: outputs.steps })
    }

    /// What goes in and comes out for callers of a model of that signature.
    ///
    /// # Errors
    /// As for [`Hooks::fit`].
    pub fn callers(&self, model: &Signature) -> Result<Signature, Problem> {
        if self.is_empty() { Ok(model.clone()) } else { self.fit(model).map(|it| it.callers) }
    }
}

/// From the model to its callers: against the order of hooks before it, along that of those after it.
struct Walk {
    side: &'static str,
    kind: &'static str,
    /// The columns where the walk is.
    specs: Vec<TensorSpec>,
    /// The columns that servers give, and where.
    given: Vec<(String, usize)>,
    steps: Vec<Step>,
}

impl Walk {
    fn new(side: &'static str, kind: &'static str, specs: &[TensorSpec]) -> Self {
        Self { side, kind, specs: specs.to_vec(), given: Vec::new(), steps: Vec::new() }
    }

    fn is_before(&self) -> bool {
        self.side == "before"
    }

    fn hook(&mut self, at: usize, hook: &Hook) -> Result<(), Problem> {
        let place = format!("{FIELD}.{}[{at}]", self.side);
        let step = match hook {
            Hook::Rename(it) => {
                let (column, callers) = (it.column.as_str(), it.callers.as_str());
                self.require_free(callers, &format!("{place}.rename.as"))?;
                let spec = self.find(column, &format!("{place}.rename.column"))?;
                callers.clone_into(&mut spec.name);
                self.call(column, callers);
                let (column, callers) = (column.to_owned(), callers.to_owned());
                Step::Change(if self.is_before() {
                    Change::Rename { from: callers, to: column }
                } else {
                    Change::Rename { from: column, to: callers }
                })
            }
            Hook::Cast(it) => {
                let (column, is_before) = (it.column.as_str(), self.is_before());
                let spec = self.find(column, &format!("{place}.cast.column"))?;
                if spec.datatype == it.callers {
                    let message = format!("`{column}` is {} already", it.callers);
                    return Err(Problem::invalid(format!("{place}.cast.as"), message));
                }
                let model = std::mem::replace(&mut spec.datatype, it.callers);
                let to = if is_before { model } else { it.callers };
                let (column, shown) = (column.to_owned(), column.to_owned());
                Step::Change(Change::Cast { column, shown, to })
            }
            Hook::Mask(it) => {
                let column = it.column.as_str();
                let spec = self.find(column, &format!("{place}.mask.column"))?;
                let element = match &it.value {
                    Some(value) => {
                        let field = format!("{place}.mask.value");
                        let element = of_json(value, spec.datatype, &field)?;
                        if element.len() != 1 {
                            return Err(Problem::invalid(field, "a mask is one value"));
                        }
                        element
                    }
                    None => zero(spec.datatype),
                };
                Step::Change(Change::Mask { column: column.to_owned(), element })
            }
            Hook::Default(it) => {
                let (is_before, kind) = (self.is_before(), self.kind);
                let column = it.column.as_str();
                let field = format!("{place}.default.column");
                let spec = self.find(column, &field)?;
                if spec.optional == is_before {
                    let message = if is_before {
                        format!("the input `{column}` has a default already")
                    } else {
                        format!("the {kind} `{column}` is always there")
                    };
                    return Err(Problem::invalid(field, message));
                }
                spec.optional = is_before;
                let (row, sizes) = row(spec, &it.value, &format!("{place}.default.value"))?;
                let spec = TensorSpec { optional: false, ..spec.clone() };
                Step::Change(Change::Fill { spec, row, sizes })
            }
            Hook::Http(it) => Step::Ask(self.ask(at, &place, it)?),
        };
        self.steps.push(step);
        Ok(())
    }

    /// What a caller calls a column, from here on.
    fn call(&mut self, column: &str, callers: &str) {
        for step in &mut self.steps {
            if let Step::Change(Change::Cast { shown, .. }) = step
                && shown == column
                && self.side == "before"
            {
                callers.clone_into(shown);
            }
        }
    }

    fn ask(&mut self, at: usize, place: &str, http: &Http) -> Result<Ask, Problem> {
        let place = format!("{place}.http");
        let (get, drop) = if self.is_before() {
            (self.taken(at, &place, http)?, self.sent(&place, http)?)
        } else {
            // What is sent is there before what comes back.
            self.sent(&place, http)?;
            (self.added(at, &place, http)?, Vec::new())
        };
        Ok(Ask {
            place,
            url: http.url.as_str().to_owned(),
            send: http.send.iter().map(|column| column.name().to_owned()).collect(),
            drop,
            get,
            timeout: http.timeout.map_or(TIMEOUT, super::super::Span::get),
            on_failure: http.on_failure,
            headers: http
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        })
    }

    /// The model's inputs that a server gives, which callers do not send then.
    fn taken(&mut self, at: usize, place: &str, http: &Http) -> Result<Vec<TensorSpec>, Problem> {
        let mut get = Vec::new();
        for (index, column) in http.get.iter().enumerate() {
            let field = format!("{place}.get[{index}]");
            let name = match column {
                Column::Known(name) => name.as_str(),
                Column::New(spec) => {
                    let message = format!("the model says what `{}` is: name it alone", spec.name);
                    return Err(Problem::invalid(field, message));
                }
            };
            if let Some((_, other)) = self.given.iter().find(|(given, _)| given == name) {
                let message = format!("`{name}` is given by before[{other}] already");
                return Err(Problem::invalid(field, message));
            }
            let spec = self.find(name, &field)?.clone();
            if http.on_failure == OnFailure::Continue && !spec.optional {
                let message =
                    format!("`{name}` may be missing then: give it a default in a later hook");
                return Err(Problem::invalid(format!("{place}.on_failure"), message));
            }
            self.specs.retain(|spec| spec.name != name);
            self.given.push((name.to_owned(), at));
            get.push(TensorSpec { optional: false, ..spec });
        }
        Ok(get)
    }

    /// The outputs that a server adds.
    fn added(&mut self, at: usize, place: &str, http: &Http) -> Result<Vec<TensorSpec>, Problem> {
        let mut get = Vec::new();
        for (index, column) in http.get.iter().enumerate() {
            let field = format!("{place}.get[{index}]");
            let spec = match column {
                Column::New(spec) => spec,
                Column::Known(name) => {
                    let message = format!(
                        "nobody knows what `{}` is: give its `datatype` and `shape`",
                        name.as_str()
                    );
                    return Err(Problem::invalid(field, message));
                }
            };
            self.require_free(&spec.name, &field)?;
            self.given.push((spec.name.clone(), at));
            let spec = TensorSpec { optional: false, ..spec.clone() };
            get.push(spec.clone());
            self.specs
                .push(TensorSpec { optional: http.on_failure == OnFailure::Continue, ..spec });
        }
        Ok(get)
    }

    /// The columns that are sent, and those of them that go no further: callers send them for this alone.
    fn sent(&mut self, place: &str, http: &Http) -> Result<Vec<String>, Problem> {
        let mut drop = Vec::new();
        for (index, column) in http.send.iter().enumerate() {
            let field = format!("{place}.send[{index}]");
            match column {
                Column::Known(name) => {
                    self.find(name.as_str(), &field)?;
                }
                Column::New(spec) if self.is_before() => {
                    self.require_free(&spec.name, &field)?;
                    self.specs.push(TensorSpec { optional: false, ..spec.clone() });
                    drop.push(spec.name.clone());
                }
                Column::New(spec) => {
                    let message =
                        format!("`{}` is an output or is not there: name it alone", spec.name);
                    return Err(Problem::invalid(field, message));
                }
            }
        }
        Ok(drop)
    }

    fn find(&mut self, name: &str, field: &str) -> Result<&mut TensorSpec, Problem> {
        let (kind, specs) = (self.kind, &mut self.specs);
        let Some(at) = specs.iter().position(|spec| spec.name == name) else {
            let names: Vec<_> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
            let message =
                format!("there is no {kind} `{name}` here: expected {}", names.join(" or "));
            return Err(Problem::invalid(field, message));
        };
        specs.get_mut(at).ok_or_else(Problem::internal)
    }

    fn require_free(&self, name: &str, field: &str) -> Result<(), Problem> {
        let Self { kind, side, .. } = self;
        if let Some((_, at)) = self.given.iter().find(|(given, _)| given == name) {
            let message = format!("`{name}` is given by {side}[{at}] already");
            return Err(Problem::invalid(field, message));
        }
        if self.specs.iter().any(|spec| spec.name == name) {
            let message = format!("there is an {kind} `{name}` already");
            return Err(Problem::invalid(field, message));
        }
        Ok(())
    }
}

/// One row of a column by its default, and the sizes of that row.
fn row(
    spec: &TensorSpec,
    value: &serde_json::Value,
    field: &str,
) -> Result<(TensorData, Vec<usize>), Problem> {
    let wrong = |message: String| Problem::invalid(field, message);
    let found = of_json(value, spec.datatype, field)?;
    let rest = spec.shape.get(1..).unwrap_or_default();
    let fixed: Vec<Option<usize>> = rest
        .iter()
        .map(|dim| match dim {
            Dim::Fixed(size) => usize::try_from(*size).ok(),
            Dim::Symbolic(_) | Dim::Any => None,
        })
        .collect();
    let known = fixed.iter().flatten().try_fold(1_usize, |all, size| all.checked_mul(*size));
    let known = known.filter(|known| *known <= MOST_ELEMENTS).ok_or_else(|| {
        wrong(format!("a row of `{}` has more than {MOST_ELEMENTS} elements", spec.name))
    })?;
    let open = fixed.iter().filter(|size| size.is_none()).count();
    let is_one = !value.is_array();
    let sizes: Vec<usize> = match open {
        0 => fixed.iter().flatten().copied().collect(),
        1 if is_one || found.len().is_multiple_of(known.max(1)) => {
            let size = if is_one { 1 } else { found.len() / known.max(1) };
            fixed.iter().map(|fixed| fixed.unwrap_or(size)).collect()
        }
        _ => {
            let shape = spec.shape_text();
            return Err(wrong(format!("it does not say what a row of `{}` {shape} is", spec.name)));
        }
    };
    let count: usize = sizes.iter().product();
    if is_one {
        return Ok((found.repeated(count), sizes));
    }
    if found.len() != count {
        let message = format!(
            "{} elements: a row of `{}` {} has {count}",
            found.len(),
            spec.name,
            spec.shape_text()
        );
        return Err(wrong(message));
    }
    Ok((found, sizes))
}

fn of_json(
    value: &serde_json::Value,
    datatype: DataType,
    field: &str,
) -> Result<TensorData, Problem> {
    values::of_json(value, datatype)
        .map_err(|shown| Problem::invalid(field, format!("`{shown}` is no {datatype}")))
}

/// The one element that stands for any.
fn zero(datatype: DataType) -> TensorData {
    let value = match datatype {
        DataType::Bool => false.into(),
        DataType::Bytes => "".into(),
        DataType::U8
        | DataType::U16
        | DataType::U32
        | DataType::U64
        | DataType::I8
        | DataType::I16
        | DataType::I32
        | DataType::I64
        | DataType::F16
        | DataType::BF16
        | DataType::F32
        | DataType::F64 => 0.into(),
    };
    values::of_json(&value, datatype).unwrap_or(TensorData::Bytes(vec![Vec::new()]))
}

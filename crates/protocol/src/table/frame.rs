//! A table with a name for each column.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use domain::{ErrorCode, Problem, Signature, Tensor, TensorSpec};
use serde::de::{DeserializeSeed as _, IntoDeserializer, value::SeqDeserializer};
use serde_json::{Error, value::RawValue};

use super::{names, tensor};
use crate::json::{
    data::{Data, DataSeed, Dialect},
    explain::{explain_data, reason},
};

/// What a table holds: JSON, the text of CSV, or values that know their type.
pub(crate) trait Cell<'de>: Copy + IntoDeserializer<'de, Error> {
    /// Why it holds no such element.
    fn explain(self, error: &Error, seed: DataSeed, field: &str) -> Problem;
}

impl<'de> Cell<'de> for &'de RawValue {
    fn explain(self, error: &Error, seed: DataSeed, field: &str) -> Problem {
        explain_data(error, seed, self.get(), field)
    }
}

impl<'de> Cell<'de> for &'de str {
    fn explain(self, error: &Error, _: DataSeed, field: &str) -> Problem {
        Problem::invalid(field, format!("{field}: {}", reason(error)))
    }
}

/// Rows of as many cells as there are columns.
pub(crate) struct Frame<'a, C> {
    /// The columns' names.
    pub columns: Vec<Cow<'a, str>>,
    /// The rows.
    pub rows: Vec<Vec<C>>,
    /// How its cells are written.
    pub dialect: Dialect,
}

impl<'a, C: Cell<'a>> Frame<'a, C> {
    /// The tensors of a signature: each input is the column of its name; the only input of a model is
    /// all columns, in their order, where none has its name. `place` names a cell for people, by its
    /// row and column.
    ///
    /// # Errors
    /// A row is shorter or longer, a column is missing, unknown or there twice, a cell holds something
    /// else, or there is no row.
    pub fn tensors(
        &self,
        signature: &Signature,
        place: impl Fn(usize, usize) -> String,
    ) -> Result<Vec<Tensor>, Problem> {
        if self.rows.is_empty() {
            return Err(Problem::new(ErrorCode::Invalid, "there is no row"));
        }
        let wanted = self.columns.len();
        if let Some(at) = self.rows.iter().position(|row| row.len() != wanted) {
            let length = self.rows.get(at).map_or(0, Vec::len);
            let message = format!("the row has {length} values, but there are {wanted} columns");
            return Err(Problem::invalid(place(at, 0), message));
        }
        let mut seen = HashSet::new();
        if let Some(name) = self.columns.iter().find(|&name| !seen.insert(name.as_ref())) {
            return Err(Problem::new(
                ErrorCode::Invalid,
                format!("the column `{name}` is there twice"),
            ));
        }
        match signature.inputs.as_slice() {
            [only] if !self.columns.iter().any(|name| *name == only.name) => {
                self.matrix(only, place).map(|tensor| vec![tensor])
            }
            specs => self.by_name(specs, place),
        }
    }

    fn by_name(
        &self,
        specs: &[TensorSpec],
        place: impl Fn(usize, usize) -> String,
    ) -> Result<Vec<Tensor>, Problem> {
        let known: HashSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        if let Some(name) = self.columns.iter().find(|name| !known.contains(name.as_ref())) {
            let message =
                format!("the model has no input `{name}`: its inputs are {}", names(specs));
            return Err(Problem::new(ErrorCode::Invalid, message).hint("leave the column out"));
        }
        let places: HashMap<&str, usize> =
            self.columns.iter().enumerate().map(|(at, name)| (name.as_ref(), at)).collect();
        let column = |spec: &TensorSpec| {
            let Some(&at) = places.get(spec.name.as_str()) else {
                if spec.optional {
                    return Ok(None);
                }
                let message =
                    format!("there is no column `{}`: the model needs {}", spec.name, names(specs));
                return Err(Problem::new(ErrorCode::Invalid, message));
            };
            let cells = self.rows.iter().filter_map(move |row| row.get(at).copied());
            let seed = DataSeed(spec.datatype, self.dialect);
            let data = read(cells, seed, |row| place(row, at))?;
            tensor(spec, data, &spec.name).map(Some)
        };
        specs.iter().filter_map(|spec| column(spec).transpose()).collect()
    }

    fn matrix(
        &self,
        spec: &TensorSpec,
        place: impl Fn(usize, usize) -> String,
    ) -> Result<Tensor, Problem> {
        let (rows, columns) = (self.rows.len(), self.columns.len());
        let cells = self.rows.iter().flatten().copied();
        let seed = DataSeed(spec.datatype, self.dialect);
        let at = |index: usize| {
            let column = index.checked_rem(columns).unwrap_or(0);
            place(index.checked_div(columns).unwrap_or(0), column)
        };
        let Data { elements, mut nesting } = read(cells, seed, at)?;
        if nesting.len() == 1 {
            let is_list = columns == 1 && spec.shape.len() == 1;
            nesting = if is_list { vec![rows] } else { vec![rows, columns] };
        }
        tensor(spec, Data { elements, nesting }, &spec.name)
    }
}

/// Reads cells one after another; where one cannot be, `place` says which.
pub(super) fn read<'de, C: Cell<'de>>(
    cells: impl Iterator<Item = C> + Clone,
    seed: DataSeed,
    place: impl Fn(usize) -> String,
) -> Result<Data, Problem> {
    seed.deserialize(SeqDeserializer::new(cells.clone())).map_err(|error: Error| {
        let mut first = None;
        for (at, cell) in cells.enumerate() {
            match seed.deserialize(cell.into_deserializer()) {
                Err(error) => return cell.explain(&error, seed, &place(at)),
                Ok(Data { nesting, .. })
                    if *first.get_or_insert_with(|| nesting.clone()) != nesting =>
                {
                    return Problem::invalid(place(at), reason(&error));
                }
                Ok(_) => {}
            }
        }
        Problem::new(ErrorCode::Invalid, reason(&error))
    })
}

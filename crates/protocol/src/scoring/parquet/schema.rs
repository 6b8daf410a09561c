//! The columns of a file, out of the tree that its schema is.

use super::{
    Budget, Odd, odd,
    thrift::{Kind, Reader},
};

/// Lists of lists go this deep, two levels each.
const DEEPEST: usize = 16;
/// What we keep of a column, roughly.
const COLUMN: usize = 128;

/// A column of single values, or of lists of them.
#[derive(Debug)]
pub(super) struct Column<'a> {
    pub name: &'a str,
    /// The levels above a value that need not be there, from the outside.
    pub steps: Vec<Step>,
    pub what: What,
    /// The number of the form that its values have in the file.
    pub physical: i64,
}

impl Column<'_> {
    /// Whether its rows are lists.
    pub fn is_list(&self) -> bool {
        self.steps.contains(&Step::Repeated)
    }
}

/// A level above a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// What is below may be missing.
    Optional,
    /// What is below is there any number of times.
    Repeated,
}

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Bool,
    Int32,
    Unsigned32,
    Int64,
    Unsigned64,
    Half,
    Float,
    Double,
    Text,
    /// Something else, by the name that people have for it.
    Other(&'static str),
}

/// A node of the tree, as it is written.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    name: &'a str,
    physical: Option<i64>,
    /// Of values that all have the same.
    length: i64,
    repetition: i64,
    children: usize,
    /// The number of what it means, as it was written once.
    converted: Option<i64>,
    logical: Option<Logical>,
}

/// What a node means.
#[derive(Debug, Clone, Copy)]
struct Logical {
    number: i64,
    is_signed: bool,
}

impl<'a> Element<'a> {
    pub fn read(list: &mut Reader<'a>) -> Result<Self, Odd> {
        let mut element = Self::default();
        list.fields(|node, number, kind| {
            match (number, kind) {
                (1, Kind::Integer) => element.physical = Some(node.integer()?),
                (2, Kind::Integer) => element.length = node.integer()?,
                (3, Kind::Integer) => element.repetition = node.integer()?,
                (4, Kind::Text) => element.name = node.text()?,
                (5, Kind::Integer) => element.children = node.count()?,
                (6, Kind::Integer) => element.converted = Some(node.integer()?),
                (10, Kind::Struct) => element.logical = logical(node)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok(element)
    }

    fn is_list(&self) -> bool {
        match self.logical {
            Some(logical) => logical.number == 3,
            None => self.converted == Some(3),
        }
    }

    /// What its values are, where it has none below it.
    fn what(&self) -> What {
        let logical = self.logical.map(|logical| logical.number);
        let other = match (logical, self.converted) {
            (Some(5), _) | (None, Some(5)) => Some("decimals"),
            (Some(6..=8), _) | (None, Some(6..=10 | 21)) => Some("dates or times"),
            _ => None,
        };
        if let Some(other) = other {
            return What::Other(other);
        }
        let is_signed = match self.logical {
            Some(Logical { number: 10, is_signed }) => is_signed,
            _ => !matches!(self.converted, Some(11..=14)),
        };
        match (self.physical, is_signed) {
            (Some(0), _) => What::Bool,
            (Some(1), true) => What::Int32,
            (Some(1), false) => What::Unsigned32,
            (Some(2), true) => What::Int64,
            (Some(2), false) => What::Unsigned64,
            (Some(3), _) => What::Other("dates or times"),
            (Some(4), _) => What::Float,
            (Some(5), _) => What::Double,
            (Some(6), _) => What::Text,
            (Some(7), _) if logical == Some(15) && self.length == 2 => What::Half,
            _ => What::Other("bytes of a fixed length"),
        }
    }
}

/// What a node means: one field, whose number says it.
fn logical(node: &mut Reader<'_>) -> Result<Option<Logical>, Odd> {
    let mut found = None;
    node.fields(|union, number, kind| {
        let mut is_signed = true;
        if (number, kind) == (10, Kind::Struct) {
            union.fields(|_, number, kind| {
                if let (2, Kind::Bool(value)) = (number, kind) {
                    is_signed = value;
                }
                // A truth value is in its kind.
                Ok(false)
            })?;
        }
        found = Some(Logical { number, is_signed });
        Ok(number == 10 && kind == Kind::Struct)
    })?;
    Ok(found)
}

/// The columns, in the order of their chunks.
pub(super) fn columns<'a>(
    elements: &[Element<'a>],
    budget: &mut Budget,
) -> Result<Vec<Column<'a>>, Odd> {
    let mut nodes = elements.iter();
    let root = nodes.next().ok_or(odd("it has no schema"))?;
    let mut tree = Tree { nodes, steps: Vec::new(), columns: Vec::new(), budget };
    for _ in 0..root.children {
        tree.descend(None, true, 0)?;
    }
    match tree.nodes.next() {
        Some(_) => Err(odd("its schema has more nodes than it says")),
        None => Ok(tree.columns),
    }
}

struct Tree<'a, 'b> {
    nodes: std::slice::Iter<'b, Element<'a>>,
    steps: Vec<Step>,
    columns: Vec<Column<'a>>,
    budget: &'b mut Budget,
}

impl<'a> Tree<'a, '_> {
    /// Below a column of that name, all of which were lists so far or not.
    fn descend(&mut self, name: Option<&'a str>, lists: bool, deep: usize) -> Result<(), Odd> {
        let node = self.nodes.next().ok_or(odd("its schema has fewer nodes than it says"))?;
        if deep == DEEPEST {
            return Err(odd("its schema is nested too deep"));
        }
        let name = name.unwrap_or(node.name);
        let before = self.steps.len();
        match node.repetition {
            1 => self.steps.push(Step::Optional),
            2 => self.steps.push(Step::Repeated),
            _ => {}
        }
        if node.children == 0 {
            self.budget.take(COLUMN)?;
            let what = if lists { node.what() } else { What::Other("objects") };
            let (steps, physical) = (self.steps.clone(), node.physical.unwrap_or(-1));
            self.columns.push(Column { name, steps, what, physical });
        } else {
            let lists = lists && node.children == 1 && (node.is_list() || node.repetition == 2);
            for _ in 0..node.children {
                self.descend(Some(name), lists, deep + 1)?;
            }
        }
        self.steps.truncate(before);
        Ok(())
    }
}

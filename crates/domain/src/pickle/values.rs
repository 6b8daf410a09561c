//! What is known of the values on the machine's stack. They refer to each other by number, so that
//! neither cycles nor depth cost anything.

use std::collections::HashMap;

/// The most that is kept of one file: bytes of texts, and elements of tuples and dictionaries.
const MOST_KEPT: usize = 64 << 20;
/// The most elements of one tuple or dictionary that are kept.
const LARGEST_BAG: usize = 1024;
/// How deep types of array elements may lie in each other.
const DEEPEST: usize = 8;

/// A value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Item {
    /// Something that no name or length depends on.
    #[default]
    Other,
    Nothing,
    Int(i64),
    Text(u32),
    Import(u32),
    /// A tuple, or a dictionary as keys and values by turns.
    Bag(u32),
    /// The type of an array's elements.
    Dtype(u32),
    /// Joblib's mark for an array whose bytes follow in the file.
    Wrapper,
}

/// The elements of a tuple or dictionary.
#[derive(Debug, Default)]
pub(super) struct Bag {
    pub items: Vec<Item>,
    /// Whether some were left out.
    pub is_cut: bool,
}

/// The type of an array's elements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dtype {
    /// Absent where it could not be told.
    pub size: Option<u64>,
    /// Whether elements are pickles.
    pub has_objects: bool,
}

/// All that is known.
#[derive(Default)]
pub(super) struct Values {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
    bags: Vec<Bag>,
    dtypes: Vec<Dtype>,
    kept: usize,
}

fn number(length: usize) -> u32 {
    // The amount that is kept is bounded far below.
    u32::try_from(length).unwrap_or(u32::MAX)
}

impl Values {
    /// Whether there is room for so much; takes it.
    fn keep(&mut self, amount: usize) -> bool {
        let fits = self.kept + amount <= MOST_KEPT;
        self.kept += if fits { amount } else { 0 };
        fits
    }

    fn intern(&mut self, text: String) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&text) {
            return Some(number);
        }
        // The text is there twice, and the table has its own needs.
        if !self.keep(2 * text.len() + 64) {
            return None;
        }
        let at = number(self.texts.len());
        self.texts.push(text.clone());
        self.numbers.insert(text, at);
        Some(at)
    }

    pub(super) fn text(&mut self, text: Option<String>) -> Item {
        text.and_then(|text| self.intern(text)).map_or(Item::Other, Item::Text)
    }

    /// `None` where there is no room any more.
    pub(super) fn import(&mut self, name: String) -> Option<Item> {
        self.intern(name).map(Item::Import)
    }

    pub(super) fn read(&self, item: Item) -> Option<&str> {
        let (Item::Text(number) | Item::Import(number)) = item else { return None };
        self.texts.get(number as usize).map(String::as_str)
    }

    pub(super) fn bag(&mut self, items: &[Item]) -> Item {
        if !self.keep(32) {
            return Item::Other;
        }
        let bag = Item::Bag(number(self.bags.len()));
        self.bags.push(Bag::default());
        self.extend(bag, items);
        bag
    }

    /// Adds to a dictionary; other things take what they are given unseen.
    pub(super) fn extend(&mut self, bag: Item, items: &[Item]) {
        let Item::Bag(number) = bag else { return };
        let fits = self.keep(16 * items.len());
        let Some(bag) = self.bags.get_mut(number as usize) else { return };
        if fits && bag.items.len() + items.len() <= LARGEST_BAG {
            bag.items.extend_from_slice(items);
        } else {
            bag.is_cut = true;
        }
    }

    pub(super) fn items(&self, bag: Item) -> Option<&Bag> {
        let Item::Bag(number) = bag else { return None };
        self.bags.get(number as usize)
    }

    pub(super) fn dtype(&mut self, dtype: Dtype) -> Item {
        if !self.keep(32) {
            return Item::Other;
        }
        self.dtypes.push(dtype);
        Item::Dtype(number(self.dtypes.len() - 1))
    }

    pub(super) fn dtype_of(&self, item: Item) -> Option<Dtype> {
        let Item::Dtype(number) = item else { return None };
        self.dtypes.get(number as usize).copied()
    }

    /// Gives a type its fields, of which some may hold pickles.
    pub(super) fn set_fields(&mut self, dtype: Item, state: Item) {
        let Item::Dtype(number) = dtype else { return };
        let (has_objects, is_known) = self.objects_within(state, DEEPEST);
        if let Some(dtype) = self.dtypes.get_mut(number as usize) {
            dtype.has_objects |= has_objects;
            dtype.size = dtype.size.filter(|_| is_known);
        }
    }

    /// Whether types of objects are within, and whether that could be told.
    fn objects_within(&self, item: Item, depth: usize) -> (bool, bool) {
        if let Some(dtype) = self.dtype_of(item) {
            return (dtype.has_objects, true);
        }
        let Some(bag) = self.items(item) else { return (false, true) };
        if depth == 0 || bag.is_cut {
            return (false, false);
        }
        bag.items.iter().fold((false, true), |(objects, known), item| {
            let (within, told) = self.objects_within(*item, depth - 1);
            (objects | within, known & told)
        })
    }
}

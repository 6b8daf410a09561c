//! Names for runs that nobody named: easy to say and to tell apart, as `brisk-otter-417`.

use uuid::Uuid;

const ADJECTIVES: &[&str] = &[
    "amber", "ample", "brave", "bright", "brisk", "calm", "candid", "cheerful", "clever", "copper",
    "cosy", "curious", "deft", "eager", "early", "fair", "fleet", "fond", "gentle", "glad",
    "golden", "grand", "hardy", "honest", "humble", "jolly", "keen", "kind", "lively", "lucid",
    "lucky", "mellow", "merry", "mild", "neat", "nimble", "noble", "patient", "placid", "polite",
    "proud", "quick", "quiet", "rapid", "rosy", "silent", "smooth", "snug", "sober", "spry",
    "steady", "sunny", "swift", "tidy", "tranquil", "upbeat", "vivid", "warm", "wise", "witty",
];
const NOUNS: &[&str] = &[
    "alder",
    "badger",
    "beech",
    "bison",
    "bramble",
    "brook",
    "cedar",
    "cobble",
    "crane",
    "cricket",
    "curlew",
    "dale",
    "dolphin",
    "dune",
    "egret",
    "ember",
    "falcon",
    "fern",
    "finch",
    "fjord",
    "gannet",
    "glade",
    "grove",
    "gull",
    "hare",
    "harbour",
    "heron",
    "ibis",
    "island",
    "jackdaw",
    "juniper",
    "kestrel",
    "kingfisher",
    "lagoon",
    "lark",
    "linden",
    "lynx",
    "magpie",
    "maple",
    "marmot",
    "meadow",
    "moth",
    "newt",
    "oak",
    "osprey",
    "otter",
    "pebble",
    "pine",
    "plover",
    "quail",
    "raven",
    "reed",
    "robin",
    "sparrow",
    "spruce",
    "stoat",
    "swan",
    "thicket",
    "willow",
    "wren",
];

/// A name.
pub(crate) fn random() -> String {
    // The last 62 bits of a fresh id are random.
    let (_, bits) = Uuid::now_v7().as_u64_pair();
    let pick = |words: &'static [&'static str], bits: u64| {
        let index = usize::try_from(bits & 0xffff).unwrap_or_default() % words.len();
        words.get(index).copied().unwrap_or_default()
    };
    let number = ((bits >> 32) & 0xffff) % 1000;
    format!("{}-{}-{number}", pick(ADJECTIVES, bits), pick(NOUNS, bits >> 16))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    #[test]
    fn names_are_an_adjective_a_noun_and_a_number_and_hardly_ever_the_same() {
        let names: HashSet<String> = (0..100).map(|_| super::random()).collect();
        assert!(names.len() > 90, "{names:?}");
        assert!(names.iter().all(|name| name.split('-').count() == 3), "{names:?}");
    }
}

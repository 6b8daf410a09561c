//! What users, teams and service accounts are called.

use std::{fmt, str::FromStr};

use serde::Serialize;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_security::skeleton;

use crate::Problem;

/// The longest name, in characters.
const LONGEST: usize = 255;

/// How often folding and looking for look-alikes take turns at most; names settle in two or three.
const TURNS: usize = 8;

/// The name of a user, a team or a service account: 1 to 255 letters and digits of any script, and
/// `. _ - @ +`, in normal form C. It is for good.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SubjectName(String);

impl SubjectName {
    /// What a group is called: 1 to 255 characters that can be seen, spaces between them.
    ///
    /// # Errors
    /// It is none.
    pub fn of_group(text: &str) -> Result<Self, Problem> {
        let name: String = text.chars().take(LONGEST * 4).nfc().collect();
        let length = name.chars().count();
        if name.trim() != name || length == 0 || length > LONGEST {
            let message = format!("expected 1 to {LONGEST} characters without spaces around them");
            return Err(Problem::invalid("name", message));
        }
        let is_seen = |c: char| {
            c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric() || is_combining_mark(c)
        };
        if let Some(c) = name.chars().find(|&c| !is_seen(c) || is_blank(c)) {
            let message =
                format!("a name may not hold {} (U+{:04X})", c.escape_default(), c as u32);
            return Err(Problem::invalid("name", message));
        }
        Ok(Self(name))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What names that look alike have in common: `Ana`, `ana`, `аna` with a Cyrillic `а`.
    ///
    /// Compatible forms (NFKC), cases and Unicode's confusable characters (UTS 39) are made one.
    #[must_use]
    pub fn skeleton(&self) -> String {
        let mut name = self.0.clone();
        for _ in 0..TURNS {
            // What a look-alike stands for may have another case: `0` looks like `O`.
            let next: String = skeleton(&fold(&name)).collect();
            let next = fold(&next);
            if next == name {
                break;
            }
            name = next;
        }
        name
    }
}

/// One case, one form. Upper case comes first, since `ß` and `SS` are one word.
fn fold(text: &str) -> String {
    let upper = text.nfkc().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).nfkc().collect()
}

impl FromStr for SubjectName {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let name: String = text.chars().take(LONGEST * 4).nfc().collect();
        check(&name, text.chars().count()).map_err(|why| Problem::invalid("name", why))?;
        Ok(Self(name))
    }
}

fn check(name: &str, given: usize) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 || length > LONGEST || given > LONGEST * 4 {
        return Err(format!("a name has {given} characters: expected 1 to {LONGEST}"));
    }
    let is_word = |c: char| (c.is_alphanumeric() || is_combining_mark(c)) && !is_blank(c);
    if let Some(c) = name.chars().find(|&c| !is_word(c) && !".-_@+".contains(c)) {
        return Err(format!(
            "a name may not hold {} (U+{:04X}): expected letters, digits and . _ - @ +",
            c.escape_default(),
            c as u32
        ));
    }
    if !name.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
        return Err("a name begins with a letter, a digit or `_`".to_owned());
    }
    Ok(())
}

/// Letters and marks that show nothing.
const fn is_blank(c: char) -> bool {
    matches!(c,
        '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{3164}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0100}'..='\u{E01EF}')
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> SubjectName {
        text.parse().unwrap_or_else(|problem| panic!("{text:?}: {problem}"))
    }

    #[test]
    fn names_are_of_any_script() {
        for good in ["ana", "ana.novak@bank.cz", "svc-1", "_ci", "životní", "田中", "हिन्दी", "a+b"]
        {
            assert_eq!(name(good).as_str(), good);
        }
        // The same letter, composed and not.
        assert_eq!(name("a\u{301}na"), name("\u{e1}na"));
    }

    #[test]
    fn names_that_break_references_paths_or_terminals_are_refused() {
        let long = "x".repeat(256);
        for bad in [
            "",
            " ",
            "a b",
            "a:b",
            "a/b",
            "..",
            ".",
            "-x",
            "@x",
            "a\nb",
            "a\u{202E}b",
            "a\u{200B}b",
            "\u{301}a",
            "a%b",
            "a\u{0}",
            "a*",
            "\u{3164}",
            "a\u{FE0F}",
            &long,
        ] {
            let refused = bad.parse::<SubjectName>().unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("name"), "{bad:?}");
        }
    }

    #[test]
    fn a_group_may_be_called_in_words() {
        for good in ["Data Scientists", "ml/reader", "analysts (EU)", "田中 組"] {
            assert_eq!(SubjectName::of_group(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(256);
        for bad in ["", " ", " a", "a ", "a\nb", "a\u{202E}b", "a\u{200B}b", "\u{3164}", &long] {
            let refused = SubjectName::of_group(bad).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("name"), "{bad:?}");
        }
    }

    #[test]
    fn names_that_look_alike_have_one_skeleton() {
        for (one, other) in [
            ("ana", "Ana"),
            ("ana", "\u{430}na"),
            ("ana", "ＡＮＡ"),
            ("admin", "Аdmin"),
            ("admin", "adrnin"),
            ("user1", "userl"),
            ("ben0", "beno"),
            ("straße", "STRASSE"),
            ("σοφος", "ΣΟΦΟΣ"),
            ("paypal", "раураl"),
        ] {
            assert_eq!(name(one).skeleton(), name(other).skeleton(), "{one} {other}");
        }
        for (one, other) in [("ana", "anna"), ("ana", "ana2"), ("a.b", "a-b"), ("team", "tearn2")] {
            assert_ne!(name(one).skeleton(), name(other).skeleton(), "{one} {other}");
        }
    }

    #[test]
    fn the_first_administrators_skeleton_is_the_migrations() {
        assert_eq!(name("admin").skeleton(), "adrnin");
    }

    proptest! {
        #[test]
        fn a_skeleton_is_there_is_its_own_and_knows_no_case(text in "[\\p{L}\\p{N}][\\p{L}\\p{M}\\p{N}._@+-]{0,20}") {
            if let Ok(name) = text.parse::<SubjectName>() {
                let skeleton = name.skeleton();
                prop_assert!(!skeleton.is_empty());
                prop_assert_eq!(&SubjectName(skeleton.clone()).skeleton(), &skeleton);
                let upper = SubjectName(name.as_str().chars().flat_map(char::to_uppercase).collect());
                prop_assert_eq!(&upper.skeleton(), &skeleton);
            }
        }

        #[test]
        fn any_text_is_a_name_or_refused(text in "\\PC{0,300}") {
            if let Ok(name) = text.parse::<SubjectName>() {
                prop_assert_eq!(name.as_str().parse::<SubjectName>().unwrap(), name);
            }
        }
    }
}

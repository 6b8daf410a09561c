//! Why a model is not run here.

/// Why a model is not run here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file is none of that library, or it is broken.
    #[error("its file cannot be read: {0}")]
    Broken(String),
    /// The model has something that only its own library knows.
    #[error("{0} is not known here")]
    Unknown(String),
    /// A number that the library refuses as well.
    #[error(
        "row {row} holds an infinite number, or one too large for 32 bits, which XGBoost refuses"
    )]
    Infinite {
        /// From 0.
        row: usize,
    },
}

pub(crate) fn broken(why: impl Into<String>) -> Error {
    Error::Broken(why.into())
}

/// What is not known, with words of a stranger's file: shortened, and made harmless.
pub(crate) fn unknown(what: &str, word: &str) -> Error {
    let shown: String = word.chars().take(80).flat_map(char::escape_default).collect();
    Error::Unknown(format!("{what} `{shown}`"))
}

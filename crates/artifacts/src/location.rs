//! Where artifacts are kept, as the option `--artifacts` says it.

use std::{env, fmt, path::PathBuf, str::FromStr, sync::Arc};

use domain::Problem;
use object_store::path::Path;

use crate::{
    folder::Folder,
    objects::Objects,
    s3::{self, S3},
};

/// A folder, or a bucket on S3 and a prefix of the keys in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder of this machine.
    Folder(PathBuf),
    /// `s3://bucket/prefix`.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all keys begin with; may be empty.
        prefix: String,
    },
}

impl Location {
    pub(crate) fn open(&self, settings: &S3Settings) -> crate::Result<Arc<dyn Objects>> {
        Ok(match self {
            Self::Folder(root) => Arc::new(Folder::open(root)?),
            Self::S3 { bucket, prefix } => Arc::new(S3::open(bucket, prefix, settings)?),
        })
    }
}

impl FromStr for Location {
    type Err = Problem;

    fn from_str(s: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| {
            let message = format!("`{s}` {what}: expected a folder's path or s3://BUCKET/PREFIX");
            Problem::invalid("artifacts", message)
        };
        let Some((scheme, rest)) = s.split_once("://") else {
            return if s.is_empty() { Err(wrong("is empty")) } else { Ok(Self::Folder(s.into())) };
        };
        if scheme != "s3" {
            return Err(wrong("is of no kind that we know"));
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if !(3..=255).contains(&bucket.len()) || !bucket.chars().all(fits) {
            return Err(wrong("names no bucket"));
        }
        let prefix = Path::parse(prefix).map_err(|_| wrong("has a prefix that S3 refuses"))?;
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_string() })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// How S3 is reached: the usual `AWS_*` variables, `AWS_ENDPOINT_URL` for what is not Amazon's.
#[derive(Clone, Default)]
pub struct S3Settings {
    variables: Vec<(String, String)>,
    outside: Outside,
}

/// How clients reach S3, to send and read what need not pass through this server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Outside {
    /// As this server does.
    #[default]
    Same,
    /// At another endpoint.
    At(String),
    /// Not at all.
    Closed,
}

impl FromStr for Outside {
    type Err = Problem;

    fn from_str(s: &str) -> Result<Self, Problem> {
        match s {
            "none" => Ok(Self::Closed),
            url if s3::scheme(url).is_some() => Ok(Self::At(url.to_owned())),
            _ => {
                let message = format!("`{s}` is no address: expected http(s)://HOST:PORT or none");
                Err(Problem::invalid("artifacts_public_url", message))
            }
        }
    }
}

impl S3Settings {
    /// As the environment has them.
    #[must_use]
    pub fn from_env() -> Self {
        env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// The same, where clients reach S3 in a way of their own.
    #[must_use]
    pub fn outside(self, outside: Outside) -> Self {
        Self { outside, ..self }
    }

    pub(crate) fn for_clients(&self) -> &Outside {
        &self.outside
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for S3Settings {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(variables: T) -> Self {
        let ours = |(name, value): &(String, String)| name.starts_with("AWS_") && !value.is_empty();
        let variables = variables.into_iter().filter(ours).collect();
        Self { variables, outside: Outside::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_a_folder_or_a_bucket_with_a_prefix() {
        let s3 = |bucket: &str, prefix: &str| Location::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        for (text, location, shown) in [
            ("/var/lib/a", Location::Folder("/var/lib/a".into()), "/var/lib/a"),
            ("data", Location::Folder("data".into()), "data"),
            ("s3://models", s3("models", ""), "s3://models"),
            ("s3://models/", s3("models", ""), "s3://models"),
            ("s3://models/team/a/", s3("models", "team/a"), "s3://models/team/a"),
        ] {
            let parsed: Location = text.parse().unwrap();
            assert_eq!(parsed, location, "{text}");
            assert_eq!(parsed.to_string(), shown);
        }
    }

    #[test]
    fn clients_reach_s3_at_an_address_or_not_at_all() {
        let at = Outside::At("https://s3.example.org".to_owned());
        assert_eq!("https://s3.example.org".parse(), Ok(at));
        assert_eq!("none".parse(), Ok(Outside::Closed));
        for wrong in ["", "None", "s3.example.org", "ftp://s3"] {
            let problem = wrong.parse::<Outside>().unwrap_err();
            assert!(problem.message.ends_with("expected http(s)://HOST:PORT or none"), "{wrong}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_and_told_what_is_expected() {
        for text in ["", "gs://models", "s3://", "s3://a b/c", "s3:///x", "s3://models/a/../b"] {
            let problem = text.parse::<Location>().unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("artifacts"), "{text}");
            assert!(problem.message.ends_with("expected a folder's path or s3://BUCKET/PREFIX"));
        }
    }
}

//! What can go wrong between us and the bytes.
//!
//! An error shown as it is speaks to whoever runs Bottega: it names folder, bucket and endpoint.
//! As a [`Problem`] it speaks to a caller and names none of them.

use std::{
    io,
    path::{Path, PathBuf},
};

use domain::{Digest, Problem};
use tokio::task::JoinError;

/// A failure of the artifact store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A refusal that a caller can act on.
    #[error(transparent)]
    Refused(#[from] Problem),
    /// The rows could not be read or written.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The object is gone, or its bytes are not what they were.
    #[error("the stored bytes of {0} are damaged")]
    Damaged(Digest),
    /// An upload lost its lease: the database was away for longer than it lasts.
    #[error("the upload was given up, since its lease could not be renewed")]
    GivenUp,
    /// Nothing answers there.
    #[error("{place} cannot be reached: {reason}")]
    Unreachable {
        /// Where.
        place: String,
        /// What was tried.
        reason: String,
    },
    /// The bucket is not there.
    #[error("the bucket `{0}` does not exist")]
    NoBucket(String),
    /// S3 does not let us in.
    #[error("{place}: the credentials were refused ({code})")]
    Credentials {
        /// Where.
        place: String,
        /// S3's word for it.
        code: String,
    },
    /// We have nothing to show to S3.
    #[error("{0}: there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")]
    NoCredentials(String),
    /// What is written cannot be read back.
    #[error("the artifact store does not keep what is written to it")]
    Forgetful,
    /// The folder was there, and is not any more.
    #[error("the folder {} is gone: is its disk mounted?", .0.display())]
    NoFolder(PathBuf),
    /// We may not write there.
    #[error("the folder {} is not writable", .0.display())]
    NotWritable(PathBuf),
    /// There is no room.
    #[error("the disk is full: {}", .0.display())]
    Full(PathBuf),
    /// The folder cannot be used for another reason.
    #[error("the folder {} cannot be used: {source}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// S3 says no for another reason.
    #[error("{place}: {source}")]
    S3 {
        /// Where.
        place: String,
        /// Why.
        source: object_store::Error,
    },
    /// Work in the background ended early: the process is stopping.
    #[error("the work was stopped")]
    Stopped(#[from] JoinError),
}

impl Error {
    /// Whether the bytes themselves are damaged, so that only uploading them again helps.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }

    /// What a failure in this folder means.
    pub(crate) fn folder(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            Self::NoFolder(path)
        } else if matches!(
            source.kind(),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
        ) {
            Self::NotWritable(path)
        } else if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        {
            Self::Full(path)
        } else {
            Self::Folder { path, source }
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(problem) => problem,
            Error::Store(error) => error.into(),
            Error::Damaged(digest) => {
                Self::unavailable(format!("the stored bytes of `{digest}` are damaged"))
                    .hint("push the same file again to repair it")
            }
            Error::GivenUp => Self::unavailable("the upload was given up on our side")
                .hint("upload the file again"),
            Error::Full(_) => Self::unavailable("the artifact store is full")
                .hint("ask whoever runs this server to make room"),
            Error::Unreachable { .. } | Error::Stopped(_) => {
                Self::unavailable("the artifact store cannot be reached")
                    .hint("try again in a moment")
            }
            Error::NoBucket(_)
            | Error::Credentials { .. }
            | Error::NoCredentials(_)
            | Error::Forgetful
            | Error::NoFolder(_)
            | Error::NotWritable(_)
            | Error::Folder { .. }
            | Error::S3 { .. } => Self::unavailable("the artifact store does not work")
                .hint("the server's log says why; the request id finds it there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ErrorCode;

    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_forbidden_one_and_callers_learn_no_paths() {
        for (code, words) in [
            (2, "the folder /srv/a is gone: is its disk mounted?"),
            (13, "the folder /srv/a is not writable"),
            (28, "the disk is full: /srv/a"),
            (30, "the folder /srv/a is not writable"),
            (5, "the folder /srv/a cannot be used: Input/output error (os error 5)"),
        ] {
            let error = Error::folder(Path::new("/srv/a"), io::Error::from_raw_os_error(code));
            assert_eq!(error.to_string(), words);
            let problem = Problem::from(error);
            assert_eq!(problem.code, ErrorCode::Unavailable);
            assert!(!format!("{problem:?}").contains("/srv"), "{problem:?}");
        }
    }
}

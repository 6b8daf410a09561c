//! What every prediction's answer says besides the outputs: which version made them, and what the
//! answer is called when its truth becomes known later.

use std::sync::Arc;

use actix_web::http::header::{HeaderName, HeaderValue};
use domain::{Digest, ModelName, Problem, RequestId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tonic::{codegen::http, metadata::MetadataMap};

/// A caller may name the answer by this header, as for SageMaker.
pub(crate) const ASKED_ID: &str = "x-amzn-sagemaker-inference-id";
const ID: &str = "x-bottega-inference-id";

/// What RFC 3986 leaves as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A version in headers, written once for many answers.
pub(crate) struct Labels {
    pub(crate) version: String,
    /// The model's name, percent-encoded; the version; its digest.
    headers: [(HeaderName, HeaderValue); 3],
    /// The same for gRPC, whose library has types of its own.
    metadata: [(http::HeaderName, http::HeaderValue); 3],
}

impl Labels {
    pub(crate) fn new(model: &ModelName, number: i32, digest: &Digest) -> Self {
        let model = utf8_percent_encode(model.as_str(), ESCAPED).to_string();
        let (version, digest) = (number.to_string(), digest.to_string());
        let headers = [
            ("x-bottega-model", &model),
            ("x-bottega-model-version", &version),
            ("x-bottega-model-digest", &digest),
        ];
        // All of it is visible ASCII.
        let metadata = headers.map(|(name, text)| {
            let value = text.parse().unwrap_or(http::HeaderValue::from_static(""));
            (http::HeaderName::from_static(name), value)
        });
        let headers = headers.map(|(name, text)| {
            let value = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""));
            (HeaderName::from_static(name), value)
        });
        Self { version, headers, metadata }
    }

    /// The headers of one answer over HTTP.
    pub(crate) fn http(&self, id: &str) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        const NAME: HeaderName = HeaderName::from_static(ID);
        let id = HeaderValue::from_str(id).ok().map(|id| (NAME, id));
        id.into_iter().chain(self.headers.iter().cloned())
    }

    /// The metadata of one answer over gRPC, with room for what is added to it on its way.
    pub(crate) fn grpc(&self, id: &str) -> MetadataMap {
        const NAME: http::HeaderName = http::HeaderName::from_static(ID);
        let mut metadata = http::HeaderMap::with_capacity(2 * self.metadata.len());
        if let Ok(mut id) = http::HeaderValue::from_str(id) {
            unrepeated(&mut id);
            metadata.insert(NAME, id);
        }
        metadata.extend(self.metadata.iter().cloned());
        MetadataMap::from_headers(metadata)
    }
}

/// Keeps a value that no other answer has out of the table of headers that a connection of HTTP/2 keeps: there
/// each new value is compared with all others of its name and drives out what comes again.
pub(crate) fn unrepeated(value: &mut http::HeaderValue) {
    value.set_sensitive(true);
}

/// The longest name of an answer, in characters.
const LONGEST: usize = 64;

/// The name that a caller insists on by the header [`ASKED_ID`], if there is one.
///
/// # Errors
/// It could not be the name of an answer.
pub(crate) fn asked_id(header: Option<&[u8]>) -> Result<Option<&str>, Problem> {
    let Some(header) = header else { return Ok(None) };
    let id = str::from_utf8(header).ok().filter(|id| is_sound(id));
    id.map(Some).ok_or_else(|| {
        let message =
            format!("`{ASKED_ID}` is no name: expected 1 to {LONGEST} characters of ASCII");
        Problem::invalid(ASKED_ID, message).hint("leave it out, and the answer gets a name")
    })
}

/// Whether an answer can be called so: it stands in a header.
fn is_sound(id: &str) -> bool {
    let is_printed = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(is_printed) && id.trim() == id
}

/// What an answer is called: as the caller [insists](asked_id), else by the id in the request's body if
/// that is sound, else as the request is, unless its caller named that.
pub(crate) fn inference_id(asked: Option<&str>, id: Option<&str>, request: &RequestId) -> Arc<str> {
    match asked.or(id.filter(|id| is_sound(id))) {
        Some(id) => id.into(),
        None => request.unique(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_called_by_the_first_sound_name() {
        let (long, ours) = ("x".repeat(64), RequestId::new());
        for (asked, id, called) in [
            (Some("a"), Some("b"), "a"),
            (None, Some("my id 1"), "my id 1"),
            (None, Some(long.as_str()), long.as_str()),
        ] {
            assert_eq!(&*inference_id(asked, id, &ours), called);
        }
        for unsound in ["", " a", "é", "a\nb", &"x".repeat(65)] {
            assert_eq!(&*inference_id(None, Some(unsound), &ours), ours.as_str(), "{unsound}");
            let refused = asked_id(Some(unsound.as_bytes())).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some(ASKED_ID));
        }
        assert_eq!(asked_id(Some(b"my id 1")), Ok(Some("my id 1")));
        assert!(asked_id(Some(b"\xe9")).is_err());
        assert_eq!(asked_id(None), Ok(None));
        // Callers may send an id of theirs again and again.
        let theirs = RequestId::from_caller("r").unwrap();
        let called = [(); 2].map(|()| inference_id(None, None, &theirs));
        assert!(called[0] != called[1] && called.iter().all(|id| id.len() == 32), "{called:?}");
    }

    #[test]
    fn a_models_name_of_any_script_fits_a_header() {
        let digest = Digest::of(b"");
        let labels = Labels::new(&"credit risk ž".parse().unwrap(), 3, &digest);
        let digest = digest.to_string();
        let expected = [
            ("x-bottega-inference-id", "i"),
            ("x-bottega-model", "credit%20risk%20%C5%BE"),
            ("x-bottega-model-version", "3"),
            ("x-bottega-model-digest", &digest),
        ];
        let written: Vec<_> = labels.http("i").collect();
        let written = written.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        assert_eq!(written.collect::<Vec<_>>(), expected);
        let metadata = labels.grpc("i").into_headers();
        assert_eq!(metadata.len(), expected.len());
        for (name, value) in expected {
            assert_eq!(metadata[name], value, "{name}");
        }
    }
}

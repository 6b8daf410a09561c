//! What every prediction's answer says besides the outputs: which version made them, and what the
//! answer is called when its truth becomes known later.

use domain::{Digest, ModelName, RequestId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// A caller may name the answer by this header, as for SageMaker.
pub(crate) const ASKED_ID: &str = "x-amzn-sagemaker-inference-id";
pub(crate) const ID: &str = "x-bottega-inference-id";
pub(crate) const MODEL: &str = "x-bottega-model";
pub(crate) const VERSION: &str = "x-bottega-model-version";
pub(crate) const DIGEST: &str = "x-bottega-model-digest";

/// What RFC 3986 leaves as it is.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A version in headers, written once for many answers.
pub(crate) struct Labels {
    /// The model's name, percent-encoded.
    pub(crate) model: String,
    pub(crate) version: String,
    pub(crate) digest: String,
}

impl Labels {
    pub(crate) fn new(model: &ModelName, number: i32, digest: &Digest) -> Self {
        Self {
            model: utf8_percent_encode(model.as_str(), ESCAPED).to_string(),
            version: number.to_string(),
            digest: digest.to_string(),
        }
    }

    /// The headers of one answer.
    pub(crate) fn with_id<'a>(&'a self, id: &'a str) -> [(&'static str, &'a str); 4] {
        [(ID, id), (MODEL, &self.model), (VERSION, &self.version), (DIGEST, &self.digest)]
    }
}

/// What an answer is called: by the header if the caller sent a sound one, else by the request's
/// own id if that is sound, else by a new one. Sound is what is sound as a request's id.
pub(crate) fn inference_id(header: Option<&str>, id: Option<&str>) -> String {
    let sound = |id: Option<&str>| id.and_then(RequestId::from_caller);
    sound(header).or_else(|| sound(id)).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_called_by_the_first_sound_name() {
        assert_eq!(inference_id(Some("a"), Some("b")), "a");
        assert_eq!(inference_id(Some("not visible"), Some("b")), "b");
        assert_eq!(inference_id(Some(""), Some("b")), "b");
        assert_eq!(inference_id(None, Some(&"x".repeat(64))), "x".repeat(64));
        let new = inference_id(None, Some(&"x".repeat(65)));
        assert_eq!(new.len(), 32);
        assert_ne!(new, inference_id(None, Some("é")));
    }

    #[test]
    fn a_models_name_of_any_script_fits_a_header() {
        let digest = Digest::of(b"");
        let labels = Labels::new(&"credit risk ž".parse().unwrap(), 3, &digest);
        assert_eq!(
            labels.with_id("i"),
            [
                ("x-bottega-inference-id", "i"),
                ("x-bottega-model", "credit%20risk%20%C5%BE"),
                ("x-bottega-model-version", "3"),
                ("x-bottega-model-digest", digest.to_string().as_str()),
            ]
        );
    }
}

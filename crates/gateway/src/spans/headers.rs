//! What a collector wants to be told with each message, as OpenTelemetry's `OTEL_EXPORTER_OTLP_HEADERS`
//! is written: `NAME=VALUE,NAME=VALUE`, values percent-encoded.

use percent_encoding::percent_decode_str;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// What we say ourselves of each message.
const OURS: [&str; 5] =
    ["content-type", "content-length", "content-encoding", "transfer-encoding", "host"];

/// Reads headers; none of an empty text. Their values are never shown.
///
/// # Errors
/// What is wrong with them, in words that show no value.
pub fn collector_headers(text: &str) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (at, pair) in text.split(',').enumerate().filter(|(_, pair)| !pair.trim().is_empty()) {
        let place = at + 1;
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("header {place} has no `=`: expected NAME=VALUE,NAME=VALUE"))?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| {
            format!("the name of header {place} is none: expected one like api-key")
        })?;
        if OURS.contains(&name.as_str()) {
            return Err(format!("`{name}` is told by this server: leave it away"));
        }
        let value: Vec<u8> = percent_decode_str(value.trim()).collect();
        let mut value = HeaderValue::from_bytes(&value)
            .map_err(|_| format!("the value of `{name}` has bytes that no header may have"))?;
        value.set_sensitive(true);
        if headers.insert(&name, value).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_as_opentelemetry_writes_them() {
        assert!(collector_headers("").unwrap().is_empty());
        let read =
            collector_headers("Authorization=Basic%20YTpi, api-key = k=1 ,tenant=a%2Cb,").unwrap();
        assert_eq!(read["authorization"], "Basic YTpi");
        assert_eq!(
            (&read["api-key"], &read["tenant"], read.len()),
            (&HeaderValue::from_static("k=1"), &HeaderValue::from_static("a,b"), 3)
        );
        assert!(!format!("{read:?}").contains("YTpi"), "{read:?}");
    }

    #[test]
    fn what_is_wrong_is_told_without_a_value() {
        for (wrong, told) in [
            ("hush", "header 1 has no `=`"),
            ("a=1,b c=hush", "the name of header 2"),
            ("=hush", "the name of header 1"),
            ("a=hush%0Ax", "the value of `a`"),
            ("Content-Type=hush", "`content-type` is told"),
            ("a=hush,A=hush", "`a` is there twice"),
        ] {
            let message = collector_headers(wrong).unwrap_err();
            assert!(message.contains(told) && !message.contains("hush"), "{wrong}: {message}");
        }
    }
}

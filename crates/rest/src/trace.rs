//! W3C Trace Context: the id under which other systems know this request.

use std::fmt;

/// The trace id of a `traceparent` header: 32 lower-case hex digits, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 32]);

impl TraceId {
    /// Reads `VERSION-TRACE-PARENT-FLAGS`. What is not valid is ignored, as the standard asks.
    pub(crate) fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let mut next = |length: usize| {
            parts.next().filter(|part| {
                part.len() == length
                    && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            })
        };
        let (version, trace, parent, _flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
        // Later versions may say more behind the flags; ours may not.
        let ends = version != "00" || parts.next().is_none();
        if version == "ff" || is_zero(trace) || is_zero(parent) || !ends {
            return None;
        }
        trace.as_bytes().try_into().ok().map(Self)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_taken_from_a_valid_header_only() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for good in [
            format!("00-{trace}-00f067aa0ba902b7-01"),
            format!("cc-{trace}-00f067aa0ba902b7-01-more"),
        ] {
            assert_eq!(TraceId::from_traceparent(&good).unwrap().to_string(), trace);
        }
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceId::from_traceparent(bad), None, "{bad}");
        }
    }
}

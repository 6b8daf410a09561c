//! W3C Trace Context: the id under which other systems know this request.

use std::fmt;

/// A caller's place in a trace, by its `traceparent` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not all zero.
    pub trace: [u8; 16],
    /// The caller's span in it; not all zero.
    pub span: [u8; 8],
    /// Whether the caller records the trace.
    pub is_sampled: bool,
}

impl TraceParent {
    /// The header by which a caller tells its place in a trace.
    pub const REQUEST: &str = "traceparent";
    /// The header of an answer that names the trace which is recorded of the request.
    pub const RESPONSE: &str = "traceresponse";

    /// As headers have it.
    #[must_use]
    pub fn header(&self) -> String {
        let (span, flags) = (u64::from_be_bytes(self.span), u8::from(self.is_sampled));
        format!("00-{self}-{span:016x}-{flags:02x}")
    }

    /// Reads `VERSION-TRACE-PARENT-FLAGS`. What is not valid is ignored, as the standard asks.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let mut next = |length: usize| {
            parts.next().filter(|part| {
                part.len() == length
                    && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            })
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
        // Later versions may say more behind the flags; ours may not.
        let ends = version != "00" || parts.next().is_none();
        if version == "ff" || is_zero(trace) || is_zero(span) || !ends {
            return None;
        }
        Some(Self {
            trace: u128::from_str_radix(trace, 16).ok()?.to_be_bytes(),
            span: u64::from_str_radix(span, 16).ok()?.to_be_bytes(),
            is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1,
        })
    }
}

/// The id of the trace.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.trace))
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
            let read = TraceParent::parse(&good).unwrap();
            assert_eq!((read.to_string().as_str(), read.is_sampled), (trace, true));
            assert_eq!(u64::from_be_bytes(read.span), 0x00f0_67aa_0ba9_02b7);
            assert_eq!(read.header(), format!("00-{trace}-00f067aa0ba902b7-01"));
        }
        let unsampled = format!("00-{trace}-00f067aa0ba902b7-02");
        assert!(!TraceParent::parse(&unsampled).unwrap().is_sampled);
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
            assert_eq!(TraceParent::parse(bad), None, "{bad}");
        }
    }
}

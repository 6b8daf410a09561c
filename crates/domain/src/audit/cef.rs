//! Events in ArcSight's Common Event Format, version 0: a header of seven fields between bars, then
//! `key=value` pairs. What many systems that watch over security read.

use std::fmt::Write as _;

use super::Recorded;

/// An event as one line, without its end.
#[must_use]
pub fn cef(event: &Recorded) -> String {
    let is_refused = event.decision == "refused";
    let severity = if is_refused { 6 } else { 3 };
    let mut line = format!(
        "CEF:0|Bottega|Bottega|{}|{}|{}|{severity}|",
        header(env!("CARGO_PKG_VERSION")),
        header(&event.change),
        header(&event.change.replace(['.', '_'], " ")),
    );
    let (rt, id) = (event.at.timestamp_millis().to_string(), event.id.to_string());
    let (target, detail) = (event.target(), event.detail.to_string());
    let policies = event.policies.join(", ");
    let token = event.token.map(|token| token.to_string());
    let fields = [
        ("rt", Some(rt.as_str())),
        ("externalId", Some(id.as_str())),
        ("suser", Some(event.actor.as_str())),
        ("src", event.address.as_deref()),
        ("act", event.action.as_deref()),
        ("outcome", Some(if is_refused { "failure" } else { "success" })),
        ("cs1Label", Some("resource")),
        ("cs1", Some(target.as_str())),
        ("cs2Label", Some("requestId")),
        ("cs2", Some(event.request_id.as_str())),
        ("cs3Label", event.on_behalf_of.as_deref().map(|_| "onBehalfOf")),
        ("cs3", event.on_behalf_of.as_deref()),
        ("cs4Label", token.as_deref().map(|_| "token")),
        ("cs4", token.as_deref()),
        ("cs5Label", (!policies.is_empty()).then_some("policies")),
        ("cs5", (!policies.is_empty()).then_some(policies.as_str())),
        ("msg", Some(detail.as_str())),
    ];
    let mut separator = "";
    for (key, value) in fields {
        if let Some(value) = value {
            // Writing to a text cannot fail.
            let _ = write!(line, "{separator}{key}={}", extension(value));
            separator = " ";
        }
    }
    line
}

/// A field of the header: bars and backslashes are escaped, and it is one line.
fn header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\r', '\n'], " ")
}

/// A value: equals signs and backslashes are escaped, and ends of lines written as such.
fn extension(text: &str) -> String {
    text.replace('\\', "\\\\").replace('=', "\\=").replace('\r', "\\r").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_means_something_to_the_format_is_escaped() {
        let event = Recorded {
            id: 7,
            transaction: "815".to_owned(),
            at: "2026-11-17T14:00:00.5Z".parse().unwrap(),
            actor: "user:a=b".to_owned(),
            on_behalf_of: None,
            address: Some("10.0.0.7".to_owned()),
            token: None,
            action: Some("promote".to_owned()),
            resource_kind: "model".to_owned(),
            resource: "a|b\\c=d\ne".to_owned(),
            change: "alias|moved".to_owned(),
            decision: "refused".to_owned(),
            policies: vec!["role:viewer".to_owned()],
            before: None,
            after: None,
            request_id: "r".to_owned(),
            detail: json!({"x": "1=2"}),
        };
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            cef(&event),
            format!(
                r#"CEF:0|Bottega|Bottega|{version}|alias\|moved|alias\|moved|6|rt=1794924000500 externalId=7 suser=user:a\=b src=10.0.0.7 act=promote outcome=failure cs1Label=resource cs1=model:a|b\\c\=d\ne cs2Label=requestId cs2=r cs5Label=policies cs5=role:viewer msg={{"x":"1\=2"}}"#
            )
        );
    }
}

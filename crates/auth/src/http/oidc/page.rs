//! What a browser shows that comes back from the provider.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY},
};
use domain::Problem;

/// Whether a person looks at the answer.
pub(super) fn is_wanted(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// Sends the browser on. Not by a redirect: one that begins at another site does not carry the
/// session's cookie, which is `SameSite=Strict`.
pub(super) fn onward(mut answer: HttpResponseBuilder, to: &str) -> HttpResponse {
    let to = escaped(to);
    let head = format!("<meta http-equiv=\"refresh\" content=\"0;url={to}\">");
    html(
        &mut answer,
        "Logged in",
        &head,
        &format!("<p>You are logged in. <a href=\"{to}\">Go on</a></p>"),
    )
}

/// Says why nobody is logged in.
pub(super) fn refusal(mut answer: HttpResponseBuilder, problem: &Problem) -> HttpResponse {
    let hint = problem.hint.as_deref().map(|hint| format!("<p>{}</p>", escaped(hint)));
    let body = format!(
        "<p>{}</p>{}<p><a href=\"login\">Log in again</a></p><p><small>Request {}</small></p>",
        escaped(&problem.message),
        hint.unwrap_or_default(),
        escaped(rest::request_id().as_str()),
    );
    html(&mut answer, "Not logged in", "", &body)
}

fn html(answer: &mut HttpResponseBuilder, title: &str, head: &str, body: &str) -> HttpResponse {
    answer
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .content_type("text/html; charset=utf-8")
        .body(format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} - Bottega</title>{head}</head><body><h1>{title}</h1>{body}</body></html>"
        ))
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_what_is_told_becomes_markup() {
        assert_eq!(escaped("<a href=\"'x'\">&"), "&lt;a href=&quot;&#39;x&#39;&quot;&gt;&amp;");
    }
}

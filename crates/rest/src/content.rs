//! A file's bytes as an answer: whole, in part, or not at all where the caller has them.
//!
//! Files come from strangers, and browsers guess: nothing is ever shown, and nothing that is shown
//! all the same may run.

use std::{error::Error, ops::Range};

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::{
        StatusCode,
        header::{
            self, ByteRangeSpec, Charset, ContentDisposition, DispositionParam, DispositionType,
            ETag, EntityTag, ExtendedValue, Header as _, HeaderValue, IfNoneMatch, IfRange,
        },
    },
    web::Bytes,
};
use domain::{FileEntry, Problem};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};

use crate::context::HeadOnly;

/// A file that a caller asks for.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// Its name, without folders.
    pub name: &'a str,
    /// What it says to be.
    pub media_type: &'a str,
    /// Its digest and size.
    pub file: &'a FileEntry,
}

/// What the caller asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// From the first to the last byte.
    Part(u64, u64),
    /// They have it.
    Nothing,
    /// A range that is not within the file.
    Impossible,
}

impl Content<'_> {
    /// Answers a request for it. `open` reads a range of its bytes, or all of them; `impossible`
    /// words the refusal of a range that is not within the file.
    ///
    /// # Errors
    /// What `open` or the first of the bytes say.
    pub async fn answer<S, F, E>(
        &self,
        request: &HttpRequest,
        open: impl AsyncFnOnce(Option<Range<u64>>) -> Result<S, E>,
        impossible: impl FnOnce(Problem) -> HttpResponse,
    ) -> Result<HttpResponse, E>
    where
        S: Stream<Item = Result<Bytes, F>> + Unpin + 'static,
        F: Into<E> + Into<Box<dyn Error>> + 'static,
    {
        let FileEntry { digest, size } = *self.file;
        let tag = EntityTag::new_strong(digest.to_string());
        let (mut answer, range, length) = match wanted(request, &tag, size) {
            Wanted::Nothing => {
                return Ok(HttpResponse::NotModified().insert_header(ETag(tag)).finish());
            }
            Wanted::Impossible => return Ok(unsatisfiable(size, impossible)),
            Wanted::Whole => (HttpResponse::Ok(), None, size),
            Wanted::Part(first, last) => {
                let mut answer = HttpResponse::PartialContent();
                let range = format!("bytes {first}-{last}/{size}");
                answer.insert_header((header::CONTENT_RANGE, range));
                (answer, Some(first..last + 1), last + 1 - first)
            }
        };
        self.describe(&mut answer, tag);
        if request.extensions().contains::<HeadOnly>() {
            // The length is that of the body which a GET would have.
            return Ok(answer.body(SizedStream::new(length, stream::empty::<Result<Bytes, F>>())));
        }
        let mut bytes = open(range).await?;
        // What comes in one piece is verified before the answer begins, and refused in words.
        let first = bytes.try_next().await.map_err(Into::into)?;
        let body = stream::iter(first.map(Ok)).chain(bytes);
        Ok(answer.body(SizedStream::new(length, body)))
    }

    fn describe(&self, answer: &mut HttpResponseBuilder, tag: EntityTag) {
        answer
            .insert_header(ETag(tag))
            .insert_header((header::CONTENT_TYPE, self.media_type))
            .insert_header(attachment(self.name))
            .insert_header((header::ACCEPT_RANGES, "bytes"))
            // A name may be given again: ask each time, with the digest.
            .insert_header((header::CACHE_CONTROL, "private, no-cache"))
            .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    }
}

fn attachment(name: &str) -> ContentDisposition {
    let parameter = if name.is_ascii() {
        DispositionParam::Filename(name.to_owned())
    } else {
        DispositionParam::FilenameExt(ExtendedValue {
            charset: Charset::Ext("UTF-8".to_owned()),
            language_tag: None,
            value: name.as_bytes().to_vec(),
        })
    };
    ContentDisposition { disposition: DispositionType::Attachment, parameters: vec![parameter] }
}

/// Headers that cannot be read are as if they were not there, as the standard asks.
fn wanted(request: &HttpRequest, tag: &EntityTag, size: u64) -> Wanted {
    if request.headers().contains_key(header::IF_NONE_MATCH) {
        match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => return Wanted::Nothing,
            Ok(IfNoneMatch::Items(tags)) if tags.iter().any(|it| it.weak_eq(tag)) => {
                return Wanted::Nothing;
            }
            Ok(IfNoneMatch::Items(_)) | Err(_) => {}
        }
    }
    let counts = !request.headers().contains_key(header::IF_RANGE)
        || matches!(IfRange::parse(request), Ok(IfRange::EntityTag(it)) if it.strong_eq(tag));
    match header::Range::parse(request) {
        Ok(header::Range::Bytes(ranges)) if counts => match &ranges[..] {
            [range] => part(range, size),
            // Several at once may be answered with the whole.
            _ => Wanted::Whole,
        },
        Ok(_) | Err(_) => Wanted::Whole,
    }
}

fn part(range: &ByteRangeSpec, size: u64) -> Wanted {
    range
        .to_satisfiable_range(size)
        .map_or(Wanted::Impossible, |(first, last)| Wanted::Part(first, last))
}

/// 416 is a fact of HTTP, not one of our codes: the body says `invalid`, the status more.
fn unsatisfiable(size: u64, word: impl FnOnce(Problem) -> HttpResponse) -> HttpResponse {
    let mut answer = word(Problem::invalid("range", format!("the file has {size} bytes")));
    *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    if let Ok(range) = HeaderValue::try_from(format!("bytes */{size}")) {
        answer.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    answer
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_file_comes_whole_in_part_or_not_at_all() {
        let tag = EntityTag::new_strong("sha256:aa".to_owned());
        for (headers, expected) in [
            (vec![], Wanted::Whole),
            (vec![("range", "bytes=0-4")], Wanted::Part(0, 4)),
            (vec![("range", "bytes=5-")], Wanted::Part(5, 9)),
            (vec![("range", "bytes=-3")], Wanted::Part(7, 9)),
            (vec![("range", "bytes=8-99")], Wanted::Part(8, 9)),
            (vec![("range", "bytes=10-")], Wanted::Impossible),
            (vec![("range", "bytes=0-1,3-4")], Wanted::Whole),
            (vec![("range", "lines=1-2")], Wanted::Whole),
            (vec![("range", "nonsense")], Wanted::Whole),
            (vec![("range", "bytes=0-4"), ("if-range", "\"sha256:aa\"")], Wanted::Part(0, 4)),
            (vec![("range", "bytes=0-4"), ("if-range", "\"sha256:bb\"")], Wanted::Whole),
            (vec![("if-none-match", "\"sha256:aa\"")], Wanted::Nothing),
            (vec![("if-none-match", "\"sha256:bb\", W/\"sha256:aa\"")], Wanted::Nothing),
            (vec![("if-none-match", "*")], Wanted::Nothing),
            (vec![("if-none-match", "\"sha256:bb\"")], Wanted::Whole),
        ] {
            let request = headers
                .iter()
                .fold(TestRequest::default(), |request, header| request.insert_header(*header));
            assert_eq!(wanted(&request.to_http_request(), &tag, 10), expected, "{headers:?}");
        }
    }

    #[test]
    fn an_empty_file_has_no_part() {
        let tag = EntityTag::new_strong("sha256:aa".to_owned());
        let request = TestRequest::default().insert_header(("range", "bytes=0-"));
        assert_eq!(wanted(&request.to_http_request(), &tag, 0), Wanted::Impossible);
    }
}

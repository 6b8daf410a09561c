//! A file's bytes as an answer: whole, in part, or not at all where the caller has them.
//!
//! Files come from strangers, and browsers guess: nothing is ever shown, and nothing that is shown
//! all the same may run.

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::header::{
        self, ByteRangeSpec, Charset, ContentDisposition, DispositionParam, DispositionType, ETag,
        EntityTag, ExtendedValue, Header as _, IfNoneMatch, IfRange,
    },
};
use domain::{FileEntry, FilePath, Problem};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rest::{ApiError, ErrorBody, request_id};

use crate::{Error, State};

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

pub(super) async fn answer(
    state: &State,
    request: &HttpRequest,
    path: &FilePath,
    file: &FileEntry,
) -> Result<HttpResponse, ApiError> {
    let tag = EntityTag::new_strong(file.digest.to_string());
    let (mut answer, download) = match wanted(request, &tag, file.size) {
        Wanted::Nothing => {
            return Ok(HttpResponse::NotModified().insert_header(ETag(tag)).finish());
        }
        Wanted::Impossible => return Ok(impossible(file.size)),
        Wanted::Whole => (HttpResponse::Ok(), state.artifacts.open(&file.digest).await),
        Wanted::Part(first, last) => {
            let mut answer = HttpResponse::PartialContent();
            let range = format!("bytes {first}-{last}/{}", file.size);
            answer.insert_header((header::CONTENT_RANGE, range));
            (answer, state.artifacts.open_range(&file.digest, first..last + 1).await)
        }
    };
    let mut download = download.map_err(Error::from)?;
    // What comes in one piece is verified before the answer begins, and refused in words.
    let first = download.body.try_next().await.map_err(Error::from)?;
    let body = stream::iter(first.map(Ok)).chain(download.body);
    describe(&mut answer, path, tag);
    Ok(answer.body(SizedStream::new(download.size, body)))
}

fn describe(answer: &mut HttpResponseBuilder, path: &FilePath, tag: EntityTag) {
    answer
        .insert_header(ETag(tag))
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header(attachment(path))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        // A model's name may be given again: ask each time, with the digest.
        .insert_header((header::CACHE_CONTROL, "private, no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
}

fn attachment(path: &FilePath) -> ContentDisposition {
    let name = path.as_str().rsplit('/').next().unwrap_or_default();
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
fn impossible(size: u64) -> HttpResponse {
    let problem = Problem::invalid("range", format!("the file has {size} bytes"));
    HttpResponse::RangeNotSatisfiable()
        .insert_header((header::CONTENT_RANGE, format!("bytes */{size}")))
        .json(ErrorBody::new(&problem, request_id().as_str()))
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

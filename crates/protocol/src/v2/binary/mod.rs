//! V2 over REST with tensors in binary: the JSON first, then the elements of those inputs, or
//! outputs, that say so, in their order, as little-endian bytes without padding.
//!
//! A request tells how long its JSON is by the header `Inference-Header-Content-Length`, and of each
//! input how many bytes are its by the parameter `binary_data_size`. Inputs with `data` may stand
//! among them. All bytes must belong to an input. The answer is made alike, where the request asks
//! for an output by `binary_data`, or for all of them by `binary_data_output`.
//!
//! **A bare tensor.** A length of 0 means that there is no JSON: the body is the one input that the
//! model has. Its one dynamic dimension follows from the number of bytes; where there are two, the
//! first is 1; BYTES are one element, without its length before it. All outputs are answered in
//! binary.
//!
//! The bytes are copied once, into their elements: they begin wherever the JSON ends, and the engine
//! wants them aligned.

mod bare;
mod caller;
mod tail;
#[cfg(test)]
mod tests;

use domain::{Problem, Signature, Tensor, raw};

pub(super) use self::tail::Tail;
pub use self::{
    bare::decode_bare,
    caller::{decode_answer, encode_request},
};
use super::{BinaryOutputs, InferRequest, json, parameters::Form, request::clipped};

/// The header that tells how many bytes at the beginning of a body are JSON.
pub const JSON_LENGTH: &str = "inference-header-content-length";

/// Reads a body whose first `json_length` bytes are JSON.
///
/// # Errors
/// What [`json::decode`] refuses, a length past the body's end, sizes that differ from the shapes,
/// bytes that belong to no input.
pub fn decode(
    body: &[u8],
    json_length: usize,
    signature: &Signature,
) -> Result<InferRequest, Problem> {
    if json_length == 0 {
        return decode_bare(body, signature);
    }
    let Some((json, tail)) = body.split_at_checked(json_length) else {
        let length = body.len();
        let message =
            format!("the body has {length} bytes, but {json_length} of them are to be JSON");
        return Err(Problem::invalid(JSON_LENGTH, message)
            .hint("give the length of the JSON, which the tensors' bytes follow"));
    };
    let mut tail = Tail::new(tail);
    json::read(json, &mut tail)
        .and_then(|request| tail.finish().map(|()| request))
        .and_then(|request| request.checked(signature, Form::Rest))
        .map_err(clipped)
}

/// Appends the body of an answer to `out`, and tells how many bytes of it are JSON.
///
/// # Errors
/// BYTES that are not UTF-8 in an output that is asked for as JSON; an element of 4 GiB.
pub fn encode(
    out: &mut Vec<u8>,
    model_name: &str,
    model_version: &str,
    id: Option<&str>,
    outputs: &[Tensor],
    binary: &BinaryOutputs,
) -> Result<usize, Problem> {
    let begin = out.len();
    let size = |tensor: &Tensor| binary.holds(&tensor.name).then(|| raw::len(&tensor.data));
    json::write(out, model_name, model_version, id, outputs, size)?;
    let json_length = out.len() - begin;
    let behind = outputs.iter().filter(|tensor| binary.holds(&tensor.name));
    out.reserve(behind.clone().map(|tensor| raw::len(&tensor.data)).sum());
    for tensor in behind {
        raw::append(out, &tensor.data)?;
    }
    Ok(json_length)
}

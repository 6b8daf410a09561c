//! The endpoint `color-size`, as color_size/1 serves it.
//!
//! Made by `bottega endpoints schema color-size --lang rust`. Needs the crate `client`.

use client::{Array, Connection, Error};

/// The endpoint's name.
pub const ENDPOINT: &str = "color-size";

/// What goes in.
#[derive(Debug, Clone, PartialEq)]
pub struct Inputs {
    /// `BYTES [?, 1]`
    pub color: Array<Vec<u8>>,
    /// `FP32 [?, 1]`
    pub size: Array<f32>,
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outputs {
    /// `BYTES [?]`
    pub label: Array<Vec<u8>>,
    /// `FP32 [?, 2]`
    pub probabilities: Array<f32>,
}

/// Asks for a prediction.
///
/// # Errors
/// A refusal, or nobody there.
pub async fn predict(server: &Connection, inputs: Inputs) -> Result<Outputs, Error> {
    let inputs = [
        inputs.color.named("color")?,
        inputs.size.named("size")?,
    ];
    let mut answer = server.predict(ENDPOINT, &inputs).await?;
    Ok(Outputs {
        label: answer.take("label")?,
        probabilities: answer.take("probabilities")?,
    })
}

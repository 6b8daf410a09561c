//! Generates the gRPC service; its messages are the structs of `protocol::v2::grpc::messages`.

use std::{error::Error, path::Path};

use prost::Message as _;

const PROTO: &str = "open_inference_grpc.proto";
const FOLDER: &str = "../protocol/proto";

/// The generated server silences lints by `allow`, which the workspace forbids.
const GENERATED: &str =
    r#"#[expect(clippy::allow_attributes, reason = "generated code silences lints its own way")]"#;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={FOLDER}/{PROTO}");
    let files = protox::compile([PROTO], [FOLDER])?;
    // What reflection tells of the service.
    let out = std::env::var("OUT_DIR")?;
    std::fs::write(Path::new(&out).join("inference.binpb"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        .server_mod_attribute("inference", GENERATED)
        .codec_path("::gateway::grpc::Codec")
        .extern_path(".inference", "::protocol::v2::grpc::messages")
        .compile_fds(files)?;
    Ok(())
}

//! Records for tests.

use std::{sync::Arc, time::Duration};

use domain::{
    Actor, EndpointId, Tensor, TensorData, Timestamp, VersionId,
    capture::{Place, Protocol, Record, Settings, Source},
};

pub(crate) fn source(settings: Settings) -> Arc<Source> {
    source_of(EndpointId::new(), settings)
}

pub(crate) fn source_of(endpoint: EndpointId, settings: Settings) -> Arc<Source> {
    let place = Place { endpoint, name: "fraud", team: None, release: 2 };
    let version = (VersionId::new(), &"fraud".parse().unwrap(), 3);
    Arc::new(Source::new(&place, version, settings))
}

/// One row: `x` goes in, `y` comes out.
pub(crate) fn record(id: &str, x: &[f32], y: &[f32]) -> Record {
    record_of(&source(Settings::default()), id, vec![row("x", x)], vec![row("y", y)])
}

pub(crate) fn row(name: &str, values: &[f32]) -> Tensor {
    Tensor::new(name, vec![1, values.len()], TensorData::F32(values.to_vec())).unwrap()
}

pub(crate) fn record_of(
    source: &Arc<Source>,
    id: &str,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
) -> Record {
    Record {
        source: Arc::clone(source),
        id: id.into(),
        at: Timestamp::from_timestamp_millis(1_800_000_000_123).unwrap(),
        took: Duration::from_micros(250),
        caller: Actor::user("ana"),
        protocol: Protocol::V2,
        shadow: false,
        code: None,
        keep: true,
        rows: inputs[0].shape[0],
        inputs,
        outputs,
    }
}

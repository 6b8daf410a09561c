//! How tracking's values are written: as protobuf writes MLflow's messages in JSON. What is empty is
//! left out; NaN and the infinities are texts.

use domain::{
    Timestamp,
    tracking::{DatasetInput, Metric, Param, Tag},
};
use serde_json::{Map, Value, json};
use store::tracking::{Experiment, Run, RunData};

/// `Experiment`.
pub fn experiment_json(experiment: &Experiment) -> Value {
    let tags = experiment.tags.iter().map(|(key, value)| json!({"key": key, "value": value}));
    let mut json = json!({
        "experiment_id": experiment.id.to_string(),
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": stage(experiment.deleted_at),
        "creation_time": experiment.created_at.timestamp_millis(),
        "last_update_time": experiment.updated_at.timestamp_millis(),
    });
    put(&mut json, "tags", tags.collect());
    json
}

/// `Run`: its info, data, inputs and outputs.
pub fn run_json(data: &RunData) -> Value {
    let mut logged = json!({});
    put(&mut logged, "metrics", data.metrics.iter().map(metric_json).collect());
    put(&mut logged, "params", data.params.iter().map(param_json).collect());
    put(&mut logged, "tags", data.tags.iter().map(tag_json).collect());
    let mut inputs = json!({});
    put(&mut inputs, "dataset_inputs", data.datasets.iter().map(dataset_input_json).collect());
    let models = data.inputs.iter().map(|model| json!({"model_id": model.to_string()}));
    put(&mut inputs, "model_inputs", models.collect());
    let mut outputs = json!({});
    let models = data.outputs.iter();
    let models = models.map(|(model, step)| json!({"model_id": model.to_string(), "step": step}));
    put(&mut outputs, "model_outputs", models.collect());
    json!({"info": run_info_json(&data.run), "data": logged, "inputs": inputs, "outputs": outputs})
}

/// `RunInfo`.
pub fn run_info_json(run: &Run) -> Value {
    let id = run.id.to_string();
    let mut json = json!({
        "run_id": id,
        "run_uuid": id,
        "run_name": run.name,
        "experiment_id": run.experiment.to_string(),
        "user_id": run.user_id,
        "status": run.status.as_str(),
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": stage(run.deleted_at),
    });
    for (name, time) in [("start_time", run.start_time), ("end_time", run.end_time)] {
        if let (Some(time), Value::Object(fields)) = (time, &mut json) {
            fields.insert(name.to_owned(), json!(time));
        }
    }
    json
}

/// `Metric`.
pub fn metric_json(metric: &Metric) -> Value {
    json!({
        "key": metric.key,
        "value": number_json(metric.value),
        "timestamp": metric.timestamp,
        "step": metric.step,
    })
}

/// A number, or the text that stands for what is none.
pub fn number_json(value: f64) -> Value {
    if value.is_finite() {
        json!(value)
    } else if value.is_nan() {
        json!("NaN")
    } else if value > 0.0 {
        json!("Infinity")
    } else {
        json!("-Infinity")
    }
}

/// `DatasetInput`.
pub fn dataset_input_json(input: &DatasetInput) -> Value {
    let dataset = &input.dataset;
    let mut described = json!({
        "name": dataset.name,
        "digest": dataset.digest,
        "source_type": dataset.source_type,
        "source": dataset.source,
    });
    for (name, text) in [("schema", &dataset.schema), ("profile", &dataset.profile)] {
        let text = text.as_ref().filter(|text| !text.is_empty());
        if let (Some(text), Value::Object(fields)) = (text, &mut described) {
            fields.insert(name.to_owned(), json!(text));
        }
    }
    let mut json = json!({"dataset": described});
    let tags = input.tags.iter().map(|(key, value)| json!({"key": key, "value": value}));
    put(&mut json, "tags", tags.collect());
    json
}

fn param_json(param: &Param) -> Value {
    json!({"key": param.key, "value": param.value})
}

fn tag_json(tag: &Tag) -> Value {
    json!({"key": tag.key, "value": tag.value})
}

fn stage(deleted_at: Option<Timestamp>) -> &'static str {
    if deleted_at.is_some() { "deleted" } else { "active" }
}

/// Puts a list into an object, unless it is empty.
fn put(object: &mut Value, name: &str, list: Vec<Value>) {
    let fields: Option<&mut Map<String, Value>> = object.as_object_mut();
    if let (Some(fields), false) = (fields, list.is_empty()) {
        fields.insert(name.to_owned(), Value::Array(list));
    }
}

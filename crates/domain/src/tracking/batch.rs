//! What a run logs at once.

use std::collections::HashSet;

use super::{LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG, LoggedModelId, key};
use crate::Problem;

/// One value of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Which metric.
    pub key: String,
    /// Its value; NaN and the infinities are values.
    pub value: f64,
    /// When, in milliseconds since 1970.
    pub timestamp: i64,
    /// At which step.
    pub step: i64,
    /// The logged model that it says something about.
    pub model: Option<LoggedModelId>,
    /// The dataset that it was computed on, by name.
    pub dataset_name: Option<String>,
    /// The dataset that it was computed on, by digest.
    pub dataset_digest: Option<String>,
}

/// A param of a run: said once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// What a run logs at once, all or none of it. Holding one means that it is within all limits.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    metrics: Vec<Metric>,
    params: Vec<Param>,
    tags: Vec<Tag>,
}

impl Batch {
    /// The most metrics, and the most entries altogether.
    pub const MOST: usize = 1000;
    /// The most params, and the most tags.
    pub const MOST_PARAMS_OR_TAGS: usize = 100;

    /// A batch.
    ///
    /// # Errors
    /// It has too many entries, or one that is wrong, named as `metrics[3].name`.
    pub fn new(metrics: Vec<Metric>, params: Vec<Param>, tags: Vec<Tag>) -> Result<Self, Problem> {
        for (index, metric) in metrics.iter().enumerate() {
            check_metric(metric, &format!("metrics[{index}]."))?;
        }
        let params = params.into_iter().enumerate();
        let params = params
            .map(|(index, param)| checked_param(param, &format!("params[{index}].")))
            .collect::<Result<Vec<_>, _>>()?;
        let tags = tags.into_iter().enumerate();
        let tags = tags
            .map(|(index, tag)| checked_tag(tag, &format!("tags[{index}].")))
            .collect::<Result<Vec<_>, _>>()?;
        let total = metrics.len() + params.len() + tags.len();
        at_most(Self::MOST, metrics.len(), "metrics")?;
        at_most(Self::MOST_PARAMS_OR_TAGS, params.len(), "params")?;
        at_most(Self::MOST_PARAMS_OR_TAGS, tags.len(), "tags")?;
        at_most(Self::MOST, total, "metrics, params, and tags")?;
        let mut seen = HashSet::new();
        if let Some(twice) = params.iter().find(|param| !seen.insert(&param.key)) {
            let message = format!(
                "Duplicate parameter keys have been submitted: ['{}']: a batch says each param once",
                twice.key
            );
            return Err(Problem::invalid("params", message));
        }
        Ok(Self { metrics, params, tags })
    }

    /// A batch of one metric.
    ///
    /// # Errors
    /// It is wrong.
    pub fn of_metric(metric: Metric) -> Result<Self, Problem> {
        check_metric(&metric, "")?;
        Ok(Self { metrics: vec![metric], ..Self::default() })
    }

    /// A batch of one param.
    ///
    /// # Errors
    /// It is wrong.
    pub fn of_param(param: Param) -> Result<Self, Problem> {
        Ok(Self { params: vec![checked_param(param, "")?], ..Self::default() })
    }

    /// A batch of one tag.
    ///
    /// # Errors
    /// It is wrong.
    pub fn of_tag(tag: Tag) -> Result<Self, Problem> {
        Ok(Self { tags: vec![checked_tag(tag, "")?], ..Self::default() })
    }

    /// Its metrics.
    #[must_use]
    pub fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// Its params; no key comes twice.
    #[must_use]
    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// Its tags; of a key that comes twice, the last holds.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }
}

fn at_most(most: usize, count: usize, what: &str) -> Result<(), Problem> {
    if count <= most {
        return Ok(());
    }
    let message = format!(
        "A batch logging request can contain at most {most} {what}. Got {count} {what}: send them in several requests"
    );
    Err(Problem::invalid(what, message))
}

fn check_metric(metric: &Metric, path: &str) -> Result<(), Problem> {
    key::check_key(&format!("{path}name"), &metric.key)?;
    if metric.timestamp < 0 {
        let field = format!("{path}timestamp");
        let shown = metric.timestamp;
        return Err(Problem::invalid(
            &field,
            format!(
                "Invalid value {shown} for parameter '{field}' supplied: metric '{}': Timestamp must be a nonnegative long: milliseconds since 1970",
                metric.key
            ),
        ));
    }
    key::check_length("Metric name", &metric.key, LONGEST_KEY)
}

fn checked_param(param: Param, path: &str) -> Result<Param, Problem> {
    key::check_key(&format!("{path}key"), &param.key)?;
    key::check_length("Param key", &param.key, LONGEST_KEY)?;
    Ok(Param { value: key::cut(param.value, LONGEST_PARAM), ..param })
}

fn checked_tag(tag: Tag, path: &str) -> Result<Tag, Problem> {
    let field = format!("{path}key");
    key::check_key(&field, &tag.key)?;
    key::check_length(&field, &tag.key, LONGEST_KEY)?;
    Ok(Tag { value: key::cut(tag.value, LONGEST_TAG), ..tag })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(key: &str) -> Metric {
        Metric {
            key: key.into(),
            value: 1.0,
            timestamp: 0,
            step: 0,
            model: None,
            dataset_name: None,
            dataset_digest: None,
        }
    }

    fn param(key: impl Into<String>, value: impl Into<String>) -> Param {
        Param { key: key.into(), value: value.into() }
    }

    #[test]
    fn a_batch_has_limits_and_names_what_breaks_them() {
        let metrics = |count| vec![metric("m"); count];
        let params = |count| (0..count).map(|i| param(i.to_string(), "")).collect::<Vec<_>>();
        let tags = |count| vec![Tag { key: "t".into(), value: String::new() }; count];
        assert!(Batch::new(metrics(1000), vec![], vec![]).is_ok());
        assert!(Batch::new(metrics(800), params(100), tags(100)).is_ok());
        for (batch, said) in [
            (Batch::new(metrics(1001), vec![], vec![]), "at most 1000 metrics. Got 1001 metrics"),
            (Batch::new(vec![], params(101), vec![]), "at most 100 params. Got 101 params"),
            (Batch::new(vec![], vec![], tags(101)), "at most 100 tags. Got 101 tags"),
            (
                Batch::new(metrics(900), params(51), tags(50)),
                "at most 1000 metrics, params, and tags. Got 1001 metrics, params, and tags",
            ),
            (
                Batch::new(vec![], vec![param("a", "1"), param("a", "1")], vec![]),
                "Duplicate parameter keys have been submitted: ['a']",
            ),
            (Batch::new(vec![metric("ok"), metric("/m")], vec![], vec![]), "'metrics[1].name'"),
            (Batch::new(vec![], vec![param("/p", "")], vec![]), "'params[0].key'"),
            (Batch::of_param(param("/p", "")), "'key'"),
            (
                Batch::of_metric(metric(&"k".repeat(251))),
                "'Metric name' exceeds the maximum length of 250",
            ),
            (Batch::of_metric(Metric { timestamp: -1, ..metric("m") }), "'timestamp'"),
        ] {
            let problem = batch.unwrap_err();
            assert!(problem.message.contains(said), "{}: {said}", problem.message);
        }
    }

    #[test]
    fn long_values_are_cut_at_the_limit() {
        let batch = Batch::of_param(param("p", "ä".repeat(6001))).unwrap();
        assert_eq!(batch.params()[0].value, "ä".repeat(6000));
        let tag = |length| Tag { key: "t".into(), value: "x".repeat(length) };
        assert_eq!(Batch::of_tag(tag(8001)).unwrap().tags(), [tag(8000)]);
    }
}

//! How a release serves, on the wire. What is read is [`domain::serving`]'s own; here it is written and
//! documented, field by field, so that none is forgotten.

use domain::serving::{self, Match, Settings};
use serde::Serialize;
use utoipa::ToSchema;

use super::hooks::Hooks;

/// A version's part in a split.
#[derive(ToSchema)]
#[schema(example = json!({"version": 1, "weight": 90}))]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Part {
    /// A version of the model.
    #[schema(minimum = 1)]
    version: i32,
    /// Its share of the traffic in percent; shares sum to 100. One of 0 is loaded, and gets what rules, a
    /// shadow or a fallback send it.
    #[schema(minimum = 0, maximum = 100)]
    weight: i32,
}

/// How a release serves.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "timeout": "2s",
    "body_limit": "8MiB",
    "max_queue": 200,
    "routing": {
        "sticky": {"header": "x-user"},
        "rules": [{"header": "x-beta", "equals": "yes", "version": 2}],
        "shadow": {"version": 3, "percent": 10},
        "fallback": {"version": 1, "after": "500ms"},
    },
    "hooks": {"before": [{"rename": {"column": "client_id", "as": "customer"}}]},
}))]
pub struct Serving {
    /// How long a request may take, `1ms` to `10m`; the node's own limit holds as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("2s"))]
    timeout: Option<String>,
    /// How many bytes a request's body may have, as it comes and unpacked, `4KiB` and more; beyond it 413.
    /// At most the node's own limit, which holds as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("8MiB"))]
    body_limit: Option<String>,
    /// How many requests may wait for a version; beyond it 503.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1024)]
    max_queue: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    routing: Option<Routing>,
    /// How many nodes hold its versions: those with the most free memory; absent: all nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000)]
    nodes: Option<i32>,
    /// Where its ONNX versions run: `in-process`, or `process` for one of its own, confined; absent: as each
    /// version says, else as the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("process"))]
    isolation: Option<&'static str>,
    /// Versions are loaded when they are asked for; absent: for as long as the release is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_demand: Option<OnDemand>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Hooks>)]
    hooks: Option<serving::Hooks>,
}

/// Versions are loaded when they are asked for, and unloaded when they are not, or when others need the
/// memory.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"cold": "wait", "idle": "30m"}))]
pub struct OnDemand {
    /// What a request meets that comes before they are loaded: `wait`, or `refuse` (503, and loading begins).
    #[schema(required = false)]
    cold: &'static str,
    /// How long they stay without requests, `1s` to `30d`; 10 min, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    idle: Option<String>,
}

/// Which version answers which request. One that insists on a version gets that one; else the first rule
/// that it matches decides, else its key, else the weights.
#[derive(Serialize, ToSchema)]
pub struct Routing {
    #[serde(skip_serializing_if = "Option::is_none")]
    sticky: Option<Sticky>,
    /// The first that a request matches decides; at most 64.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<Shadow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<Fallback>,
}

/// What requests are told apart by, so that those of one key get one version.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sticky {
    /// The value of this header, or of gRPC's metadata.
    Header(String),
    /// The first row of this input.
    Input(String),
}

/// Sends the requests whose header is so to one version; one of `equals`, `prefix` and `present`.
#[derive(Default, Serialize, ToSchema)]
#[schema(example = json!({"header": "x-beta", "equals": "yes", "version": 2}))]
pub struct Rule {
    header: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    equals: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    /// Whether it is there at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    present: Option<bool>,
    /// A version of the model.
    #[schema(minimum = 1)]
    version: i32,
}

/// A version that gets copies of requests; what it answers is compared and never returned.
#[derive(Serialize, ToSchema)]
pub struct Shadow {
    /// A version of the model.
    #[schema(minimum = 1)]
    version: i32,
    /// How many of the requests, in percent; all, unless given.
    #[schema(minimum = 1, maximum = 100, required = false)]
    percent: i32,
}

/// The version that answers where the picked one fails.
#[derive(Serialize, ToSchema)]
pub struct Fallback {
    /// A version of the model.
    #[schema(minimum = 1)]
    version: i32,
    /// How long the picked version has, `1ms` to `10m`; all of the time, unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

impl From<Settings> for Serving {
    fn from(settings: Settings) -> Self {
        let Settings {
            timeout,
            body_limit,
            max_queue,
            on_demand,
            nodes,
            isolation,
            routing,
            hooks,
        } = settings;
        let routing = (!routing.is_empty()).then(|| routing.into());
        let on_demand = on_demand.map(|it| OnDemand {
            cold: it.cold.as_str(),
            idle: it.idle.map(|idle| idle.to_string()),
        });
        Self {
            timeout: timeout.map(|it| it.to_string()),
            body_limit: body_limit.map(|it| it.to_string()),
            max_queue: max_queue.map(|it| it.get()),
            nodes: nodes.map(|it| it.get()),
            isolation: isolation.map(serving::Isolation::as_str),
            routing,
            on_demand,
            hooks: Some(hooks).filter(|hooks| !hooks.is_empty()),
        }
    }
}

impl From<serving::Routing> for Routing {
    fn from(routing: serving::Routing) -> Self {
        let serving::Routing { sticky, rules, shadow, fallback } = routing;
        Self {
            sticky: sticky.map(|sticky| match sticky {
                serving::Sticky::Header(name) => Sticky::Header(name.to_string()),
                serving::Sticky::Input(name) => Sticky::Input(name),
            }),
            rules: rules.into_iter().map(Into::into).collect(),
            shadow: shadow.map(|serving::Shadow { version, percent }| Shadow {
                version: version.get(),
                percent: percent.get(),
            }),
            fallback: fallback.map(|serving::Fallback { version, after }| Fallback {
                version: version.get(),
                after: after.map(|it| it.to_string()),
            }),
        }
    }
}

impl From<serving::Rule> for Rule {
    fn from(rule: serving::Rule) -> Self {
        let serving::Rule { header, when, version } = rule;
        let rule = Self { header: header.to_string(), version: version.get(), ..Self::default() };
        match when {
            Match::Equals(text) => Self { equals: Some(text), ..rule },
            Match::Prefix(text) => Self { prefix: Some(text), ..rule },
            Match::Present(there) => Self { present: Some(there), ..rule },
        }
    }
}

//! The options of `bottega deploy` that say how a release serves, as the API takes them.

use clap::{Args, ValueEnum};
use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use domain::{
    ModelRef, VersionSelector,
    serving::{BodyLimit, Idle, MaxQueue, Nodes, Timeout},
};
use serde_json::{Map, Value, json};

use crate::output::Failure;

#[derive(Args)]
pub struct ServingOptions {
    /// Shares of several versions of a model in percent; they sum to 100
    #[arg(long, value_name = "NAME/VERSION=90,NAME/VERSION=10", value_delimiter = ',')]
    split: Vec<String>,
    /// Requests with the same value of this header get the same version
    #[arg(long, value_name = "HEADER", conflicts_with = "sticky_input")]
    sticky_header: Option<String>,
    /// Requests with the same first row of this input get the same version
    #[arg(long, value_name = "INPUT")]
    sticky_input: Option<String>,
    /// Requests whose header is VALUE, begins with it (VALUE*), or is there (no =VALUE) get that version;
    /// give it again for more: the first that matches decides, and all rules of before are replaced
    #[arg(long = "rule", value_name = "HEADER[=VALUE[*]]:NAME/VERSION")]
    rules: Vec<String>,
    /// A version that gets copies of requests: its answers are compared and never returned
    #[arg(long, value_name = "NAME/VERSION[=PERCENT]")]
    shadow: Option<String>,
    /// The version that answers where the picked one fails, or is not done after that time
    #[arg(long, value_name = "NAME/VERSION[=DURATION]")]
    fallback: Option<String>,
    /// How long a request may take
    #[arg(long, value_name = "DURATION")]
    request_timeout: Option<Timeout>,
    /// How many bytes a request's body may have; at most what nodes take
    #[arg(long, value_name = "SIZE")]
    body_limit: Option<BodyLimit>,
    /// How many requests may wait for a version, 1 to 1024
    #[arg(long, value_name = "COUNT", value_parser = max_queue)]
    max_queue: Option<MaxQueue>,
    /// Where ONNX versions run: in the node's process, or in one of their own, confined
    #[arg(long, value_name = "in-process|process", value_parser = ["in-process", "process"])]
    isolation: Option<String>,
    /// How many nodes hold the versions: those with the most free memory, or all
    #[arg(long, value_name = "all|COUNT")]
    nodes: Option<OnNodes>,
    /// Replicas on each node: 1, or 0..1 to load versions when they are asked for
    #[arg(long, value_name = "MIN..MAX")]
    replicas: Option<Replicas>,
    /// What requests meet that come before versions are loaded (with --replicas 0..1)
    #[arg(long, value_name = "wait|refuse", value_parser = ["wait", "refuse"])]
    cold: Option<String>,
    /// How long versions stay without requests (with --replicas 0..1) [default: 10m]
    #[arg(long, value_name = "DURATION")]
    idle: Option<Idle>,
    /// What happens to requests and answers on the way, in YAML or JSON: {before: […], after: […]}; all hooks
    /// of before are replaced
    #[arg(long, value_name = "FILE")]
    hooks: Option<PathBuf>,
    /// Settings to take away
    #[arg(long, value_name = "SETTING", value_delimiter = ',')]
    without: Vec<Setting>,
}

/// How many copies of a version a node holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Replicas {
    /// One, always.
    One,
    /// One while it is asked for.
    OnDemand,
}

impl FromStr for Replicas {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "1" | "1..1" => Ok(Self::One),
            "0..1" => Ok(Self::OnDemand),
            _ => Err("expected 1 or 0..1: each node holds one replica, and more nodes hold more"),
        }
    }
}

/// How many nodes hold a version.
#[derive(Clone, Copy, PartialEq, Eq)]
struct OnNodes(Option<Nodes>);

impl FromStr for OnNodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" {
            return Ok(Self(None));
        }
        let number =
            text.parse::<i64>().map_err(|_| "expected `all` or a number from 1 to 1000")?;
        number.try_into().map(|nodes| Self(Some(nodes)))
    }
}

/// What may be taken away.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Setting {
    Sticky,
    Rules,
    Shadow,
    Fallback,
    RequestTimeout,
    BodyLimit,
    MaxQueue,
    Hooks,
    Isolation,
}

/// What the options come to.
pub struct Asked {
    /// The model that they name versions of, if they do, and the option that named it first.
    pub model: Option<(&'static str, String)>,
    /// `split`, and the version that has the largest share.
    pub split: Option<(Value, i32)>,
    /// `serving`.
    pub serving: Map<String, Value>,
}

impl ServingOptions {
    /// What is asked for, in the API's words.
    pub fn asked(&self) -> Result<Asked, Failure> {
        let mut model = None;
        let mut routing = Map::new();
        let mut version = |option, text: &str| named(option, text, &mut model);
        let mut shares = Vec::new();
        for part in &self.split {
            let (name, weight) = part.split_once('=').ok_or_else(|| {
                Failure::usage(
                    "split",
                    format!("`{part}` has no share: expected NAME/VERSION=PERCENT"),
                )
            })?;
            shares.push((version("split", name)?, number("split", weight)?));
        }
        if let Some(header) = &self.sticky_header {
            routing.insert("sticky".to_owned(), json!({"header": header}));
        }
        if let Some(input) = &self.sticky_input {
            routing.insert("sticky".to_owned(), json!({"input": input}));
        }
        let mut rules = Vec::new();
        for text in &self.rules {
            let (mut rule, name) = rule(text)?;
            rule["version"] = json!(version("rule", name)?);
            rules.push(rule);
        }
        if !rules.is_empty() {
            routing.insert("rules".to_owned(), json!(rules));
        }
        if let Some(text) = &self.shadow {
            let (name, percent) = with_value(text);
            let mut shadow = json!({"version": version("shadow", name)?});
            if let Some(percent) = percent {
                shadow["percent"] = json!(number("shadow", percent)?);
            }
            routing.insert("shadow".to_owned(), shadow);
        }
        if let Some(text) = &self.fallback {
            let (name, after) = with_value(text);
            let mut fallback = json!({"version": version("fallback", name)?});
            if let Some(after) = after {
                fallback["after"] = json!(after);
            }
            routing.insert("fallback".to_owned(), fallback);
        }
        let mut serving = Map::new();
        if let Some(timeout) = &self.request_timeout {
            serving.insert("timeout".to_owned(), json!(timeout));
        }
        if let Some(limit) = &self.body_limit {
            serving.insert("body_limit".to_owned(), json!(limit));
        }
        if let Some(most) = &self.max_queue {
            serving.insert("max_queue".to_owned(), json!(most));
        }
        if let Some(OnNodes(nodes)) = self.nodes {
            serving.insert("nodes".to_owned(), json!(nodes));
        }
        if let Some(file) = &self.hooks {
            serving.insert("hooks".to_owned(), hooks(file)?);
        }
        if let Some(isolation) = &self.isolation {
            serving.insert("isolation".to_owned(), json!(isolation));
        }
        if let Some(on_demand) = self.on_demand()? {
            serving.insert("on_demand".to_owned(), on_demand);
        }
        self.take_away(&mut serving, &mut routing)?;
        if !routing.is_empty() {
            serving.insert("routing".to_owned(), Value::Object(routing));
        }
        Ok(Asked { model, split: split(&shares), serving })
    }

    fn on_demand(&self) -> Result<Option<Value>, Failure> {
        if matches!(self.replicas, Some(Replicas::One)) {
            if self.cold.is_some() || self.idle.is_some() {
                let message = "versions that are always loaded have neither `--cold` nor `--idle`";
                return Err(Failure::usage("replicas", message));
            }
            return Ok(Some(Value::Null));
        }
        let mut on_demand = Map::new();
        if let Some(cold) = &self.cold {
            on_demand.insert("cold".to_owned(), json!(cold));
        }
        if let Some(idle) = &self.idle {
            on_demand.insert("idle".to_owned(), json!(idle));
        }
        let is_meant = self.replicas.is_some() || !on_demand.is_empty();
        Ok(is_meant.then_some(Value::Object(on_demand)))
    }

    fn take_away(
        &self,
        serving: &mut Map<String, Value>,
        routing: &mut Map<String, Value>,
    ) -> Result<(), Failure> {
        for setting in &self.without {
            let (group, name) = match setting {
                Setting::Sticky => (&mut *routing, "sticky"),
                Setting::Rules => (&mut *routing, "rules"),
                Setting::Shadow => (&mut *routing, "shadow"),
                Setting::Fallback => (&mut *routing, "fallback"),
                Setting::RequestTimeout => (&mut *serving, "timeout"),
                Setting::BodyLimit => (&mut *serving, "body_limit"),
                Setting::MaxQueue => (&mut *serving, "max_queue"),
                Setting::Hooks => (&mut *serving, "hooks"),
                Setting::Isolation => (&mut *serving, "isolation"),
            };
            if group.insert(name.to_owned(), Value::Null).is_some_and(|before| !before.is_null()) {
                let message = format!("{name} is both set and taken away");
                return Err(Failure::usage("without", message));
            }
        }
        Ok(())
    }
}

/// As YAML 1.2 has it: `n`, which many call their rows, is a word and no `false`.
fn plain_words() -> serde_saphyr::Options {
    serde_saphyr::options! { strict_booleans: true }
}

/// What a file says: both lists, so that none of before is left.
fn hooks(file: &Path) -> Result<Value, Failure> {
    let wrong = |what: &dyn std::fmt::Display| {
        Failure::usage("hooks", format!("--hooks {}: {what}", file.display()))
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let read: Value = serde_saphyr::from_str_with_options(&text, plain_words())
        .map_err(|error| wrong(&format!("it is neither YAML nor JSON: {error}")))?;
    let Value::Object(read) = read else {
        return Err(wrong(&"expected `before` and `after`, each a list of hooks"));
    };
    let mut hooks =
        Map::from_iter([("before".to_owned(), json!([])), ("after".to_owned(), json!([]))]);
    hooks.extend(read);
    Ok(Value::Object(hooks))
}

fn max_queue(text: &str) -> Result<MaxQueue, String> {
    let number = text.parse::<i64>().map_err(|_| "expected a whole number from 1 to 1024")?;
    number.try_into()
}

/// The version that a text like `fraud/3` names, of the model that all of them name.
fn named(
    option: &'static str,
    text: &str,
    model: &mut Option<(&'static str, String)>,
) -> Result<i32, Failure> {
    let wrong = || {
        let message = format!("`{text}` is no version: expected NAME/VERSION, like fraud/3");
        Failure::usage(option, message)
    };
    let reference: ModelRef = text.parse().map_err(|_| wrong())?;
    let VersionSelector::Number(number) = reference.version else { return Err(wrong()) };
    let name = reference.model.to_string();
    match model {
        Some((_, known)) if *known != name => {
            let message = format!("`{text}`: the endpoint serves versions of `{known}`");
            return Err(Failure::usage(option, message));
        }
        Some(_) => {}
        None => *model = Some((option, name)),
    }
    Ok(number)
}

/// A rule without its version, and that version's name.
fn rule(text: &str) -> Result<(Value, &str), Failure> {
    let (condition, version) = text.rsplit_once(':').ok_or_else(|| {
        let message = format!("`{text}` names no version: expected HEADER=VALUE:NAME/VERSION");
        Failure::usage("rule", message)
    })?;
    let rule = match condition.split_once('=') {
        None => json!({"header": condition, "present": true}),
        Some((header, value)) => match value.strip_suffix('*') {
            Some(prefix) => json!({"header": header, "prefix": prefix}),
            None => json!({"header": header, "equals": value}),
        },
    };
    Ok((rule, version))
}

fn with_value(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

fn number(option: &str, text: &str) -> Result<i32, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(option, format!("`{text}` is no whole number of percent, like 10"))
    })
}

fn split(shares: &[(i32, i32)]) -> Option<(Value, i32)> {
    let largest = shares.iter().map(|(_, weight)| *weight).max()?;
    let (main, _) = shares.iter().find(|(_, weight)| *weight == largest)?;
    let part = |(version, weight): &(i32, i32)| json!({"version": version, "weight": weight});
    Some((shares.iter().map(part).collect(), *main))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: ServingOptions,
    }

    fn asked(line: &[&str]) -> Result<Asked, Failure> {
        Line::try_parse_from(["deploy"].iter().chain(line)).unwrap().options.asked()
    }

    #[test]
    fn options_become_what_the_api_takes() {
        let asked = asked(&[
            "--split=fraud/1=90,fraud/2=10",
            "--sticky-header=x-user",
            "--rule=x-beta=yes:fraud/2",
            "--rule=x-client=ios/*:fraud/3",
            "--rule=x-debug:fraud/3",
            "--shadow=fraud/4=10",
            "--fallback=fraud/1=500ms",
            "--request-timeout=2s",
            "--body-limit=8MiB",
            "--max-queue=200",
            "--replicas=0..1",
            "--idle=30m",
            "--nodes=2",
        ])
        .unwrap_or_else(|refused| panic!("{refused:?}"));
        assert_eq!(asked.model, Some(("split", "fraud".to_owned())));
        let split = json!([{"version": 1, "weight": 90}, {"version": 2, "weight": 10}]);
        assert_eq!(asked.split, Some((split, 1)));
        let serving = json!({
            "timeout": "2s",
            "body_limit": "8MiB",
            "max_queue": 200,
            "on_demand": {"idle": "30m"},
            "nodes": 2,
            "routing": {
                "sticky": {"header": "x-user"},
                "rules": [
                    {"header": "x-beta", "equals": "yes", "version": 2},
                    {"header": "x-client", "prefix": "ios/", "version": 3},
                    {"header": "x-debug", "present": true, "version": 3},
                ],
                "shadow": {"version": 4, "percent": 10},
                "fallback": {"version": 1, "after": "500ms"},
            },
        });
        assert_eq!(Value::Object(asked.serving), serving);
    }

    #[test]
    fn hooks_are_read_as_yaml_or_json() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hooks");
        let option = format!("--hooks={}", file.display());
        for text in [
            "before:\n  - rename: {column: client_id, as: customer}\n",
            r#"{"before": [{"rename": {"column": "client_id", "as": "customer"}}]}"#,
        ] {
            std::fs::write(&file, text).unwrap();
            let asked = asked(&[&option]).ok().unwrap();
            let hooks = json!({"before": [{"rename": {"column": "client_id", "as": "customer"}}], "after": []});
            assert_eq!(Value::Object(asked.serving), json!({"hooks": hooks}), "{text}");
        }
        for text in ["- before", "before: [", "before: &a [*a]"] {
            std::fs::write(&file, text).unwrap();
            let refused = asked(&[&option]).err().unwrap();
            assert_eq!(refused.error.field.as_deref(), Some("hooks"), "{text}");
        }
        let taken = asked(&["--without=hooks"]).ok().unwrap();
        assert_eq!(Value::Object(taken.serving), json!({"hooks": null}));
    }

    #[test]
    fn settings_are_taken_away_by_name() {
        let taken = asked(&["--without=sticky,fallback,request-timeout,body-limit,max-queue"])
            .ok()
            .unwrap();
        let nothing = Value::Null;
        let expected = json!({"timeout": nothing, "body_limit": nothing, "max_queue": nothing, "routing": {"sticky": null, "fallback": null}});
        assert_eq!(Value::Object(taken.serving), expected);
        assert!(asked(&["--without=shadow", "--shadow=fraud/1"]).is_err());
        let always = asked(&["--replicas=1"]).ok().unwrap();
        assert_eq!(Value::Object(always.serving), json!({"on_demand": null}));
        let everywhere = asked(&["--nodes=all"]).ok().unwrap();
        assert_eq!(Value::Object(everywhere.serving), json!({"nodes": null}));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_option() {
        for (line, option) in [
            (&["--split=fraud/1"][..], "split"),
            (&["--split=fraud/1=x"], "split"),
            (&["--split=fraud/1=90,churn/1=10"], "split"),
            (&["--rule=x-beta=yes"], "rule"),
            (&["--rule=x-beta=yes:fraud"], "rule"),
            (&["--split=fraud/1=100", "--rule=x:churn/1"], "rule"),
            (&["--shadow=fraud@champion"], "shadow"),
            (&["--shadow=fraud/1=much"], "shadow"),
            (&["--fallback=fraud"], "fallback"),
            (&["--replicas=1", "--idle=5m"], "replicas"),
        ] {
            let refused = asked(line).err().unwrap();
            assert_eq!(refused.error.field.as_deref(), Some(option), "{line:?}");
        }
    }
}

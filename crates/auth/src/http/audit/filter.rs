//! Which events.

use domain::{Action, Decision, Problem};
use rest::instant;
use serde::{Deserialize, Serialize};
use store::audit;
use utoipa::ToSchema;

/// Which events; what is absent does not restrict.
#[derive(Debug, Default, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// Only by this actor.
    #[schema(examples("user:admin"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only to this resource, `KIND:NAME`.
    #[schema(examples("model:fraud"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Only in this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Only under this permission.
    #[schema(examples("promote"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only this change.
    #[schema(examples("alias.moved"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<String>,
    /// Only what was `allowed`, or `refused`.
    #[schema(examples("refused"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Only with this text in the facts, in upper or lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Not before this instant.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Before this instant.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl Wanted {
    /// Reads it.
    ///
    /// # Errors
    /// A value that is none of its field.
    pub fn read(self) -> Result<audit::Filter, Problem> {
        let one_of = |field: &str, value: Option<String>, known: &[&str]| match value {
            Some(value) if !known.contains(&value.as_str()) => {
                let known = known.join(", ");
                Err(Problem::invalid(field, format!("`{value}`: expected one of {known}")))
            }
            value => Ok(value),
        };
        let resource = self.resource.as_deref().map(kind_and_name).transpose()?;
        let (resource_kind, resource) = resource.unzip();
        Ok(audit::Filter {
            actor: self.actor,
            resource_kind,
            resource,
            request_id: self.request_id,
            action: one_of("action", self.action, &Action::ALL.map(Action::as_str))?,
            change: self.change,
            decision: one_of("decision", self.decision, &Decision::ALL.map(Decision::as_str))?,
            text: self.text.filter(|text| !text.is_empty()),
            since: instant("since", self.since)?,
            until: instant("until", self.until)?,
        })
    }
}

fn kind_and_name(resource: &str) -> Result<(String, String), Problem> {
    let wrong = || {
        Problem::invalid("resource", format!("`{resource}`: expected KIND:NAME, like model:fraud"))
    };
    let (kind, name) = resource.split_once(':').ok_or_else(wrong)?;
    Ok((kind.to_owned(), name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_filter_says_what_is_expected_of_which_parameter() {
        let wrong = |wanted: Wanted| wanted.read().unwrap_err();
        let text = |text: &str| Some(text.to_owned());
        for (field, wanted) in [
            ("resource", Wanted { resource: text("fraud"), ..Wanted::default() }),
            ("action", Wanted { action: text("promoted"), ..Wanted::default() }),
            ("decision", Wanted { decision: text("no"), ..Wanted::default() }),
            ("since", Wanted { since: text("yesterday"), ..Wanted::default() }),
        ] {
            assert_eq!(wrong(wanted).field.as_deref(), Some(field));
        }
        let (kind, name) = kind_and_name("model:a:b").unwrap();
        assert_eq!((kind.as_str(), name.as_str()), ("model", "a:b"));
    }
}

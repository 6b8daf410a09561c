//! The schema, the words of `domain` and what we ask Cedar are one.

use std::collections::BTreeSet;

use cedar_policy::{Entities, PolicySet, Request, Schema, ValidationMode, Validator};
use domain::Action;
use proptest::{prelude::*, test_runner::Config};

use super::world::{actions, circumstances, grants, policies, principals, targets};
use crate::{decision::Question, entities};

fn schema() -> Schema {
    Schema::from_cedarschema_str(include_str!("../schema.cedarschema")).unwrap().0
}

#[test]
fn the_schema_has_the_actions_of_the_domain() {
    let schema = schema();
    let written: BTreeSet<_> =
        schema.actions().map(|action| action.id().unescaped().to_owned()).collect();
    let expected = Action::ALL.map(|action| action.as_str().to_owned());
    assert_eq!(written, BTreeSet::from(expected));
}

proptest! {
    #![proptest_config(Config { cases: 100, failure_persistence: None, ..Config::default() })]

    #[test]
    fn what_is_asked_fits_the_schema(
        who in principals(), action in actions(), target in targets(), when in circumstances(),
    ) {
        let schema = schema();
        let question = Question { who: &who, action, target: &target, when: &when };
        let (request, entities) = entities::request(&question).unwrap();
        let entities: Vec<_> = entities.iter().cloned().collect();
        let entities = Entities::from_entities(entities, Some(&schema));
        prop_assert!(entities.is_ok(), "{:?}", entities);
        let request = Request::new(
            request.principal().unwrap().clone(),
            request.action().unwrap().clone(),
            request.resource().unwrap().clone(),
            request.context().unwrap().clone(),
            Some(&schema),
        );
        prop_assert!(request.is_ok(), "{:?}", request);
    }

    #[test]
    fn the_policies_of_grants_fit_the_schema(grants in grants(), who in principals()) {
        let policies = policies(&grants);
        let made = policies.grants.all().map(|held| held.policy(&who).unwrap().clone());
        let set = PolicySet::from_policies(made).unwrap();
        let result = Validator::new(schema()).validate(&set, ValidationMode::Strict);
        prop_assert!(result.validation_passed(), "{}", result);
    }
}

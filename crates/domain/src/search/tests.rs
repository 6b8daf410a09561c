use proptest::prelude::*;

use super::*;
use crate::ErrorCode;

fn runs(text: &str) -> Vec<Condition> {
    filter(Subject::Runs, text).unwrap_or_else(|problem| panic!("{text}: {problem}"))
}

fn one(text: &str) -> (Field, &'static str, Value) {
    let mut conditions = runs(text);
    assert_eq!(conditions.len(), 1, "{text}");
    let condition = conditions.remove(0);
    (condition.field, condition.comparator.as_str(), condition.value)
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

#[test]
fn filters_of_runs_mean_what_they_mean_to_mlflow() {
    let metric = |key: &str| Field::Metric(key.to_owned());
    let param = |key: &str| Field::Param(key.to_owned());
    let tag = |key: &str| Field::Tag(key.to_owned());
    let table = [
        ("metrics.acc > 0.9", metric("acc"), ">", Value::Decimal(0.9)),
        ("metrics.acc>-1", metric("acc"), ">", Value::Whole(-1)),
        ("metric.acc > 1e-3", metric("acc"), ">", Value::Decimal(1e-3)),
        ("metrics.acc > .5", metric("acc"), ">", Value::Decimal(0.5)),
        ("metrics.acc > 1.", metric("acc"), ">", Value::Decimal(1.0)),
        ("metrics.`a b` >= 1", metric("a b"), ">=", Value::Whole(1)),
        ("metrics.\"a b\" >= 1", metric("a b"), ">=", Value::Whole(1)),
        ("metrics.'a' != 1", metric("a"), "!=", Value::Whole(1)),
        ("metrics.ä <= 1", metric("ä"), "<=", Value::Whole(1)),
        ("params.x = \"y\"", param("x"), "=", text("y")),
        ("param.x='it''s'", param("x"), "=", text("it''s")),
        ("params.x='a\\'b'", param("x"), "=", text("a\\'b")),
        ("params.x='C:\\'", param("x"), "=", text("C:\\")),
        ("parameters.x = ''", param("x"), "=", text("")),
        ("params.`` = 'x'", param(""), "=", text("x")),
        ("params. = 'x'", param(""), "=", text("x")),
        ("params.x like 'y%'", param("x"), "LIKE", text("y%")),
        ("params.x IS NULL", param("x"), "IS NULL", Value::Nothing),
        ("tags.x is not null", tag("x"), "IS NOT NULL", Value::Nothing),
        ("tags.mlflow.source.name = 'c'", tag("mlflow.source.name"), "=", text("c")),
        ("tags.`mlflow.user` ilike 'c'", tag("mlflow.user"), "ILIKE", text("c")),
        ("tag.1a = 'x'", tag("1a"), "=", text("x")),
        ("attributes.status = 'FINISHED'", Field::Attribute("status"), "=", text("FINISHED")),
        ("attr.status = 'FAILED'", Field::Attribute("status"), "=", text("FAILED")),
        ("`run name` = 'x'", Field::Attribute("run_name"), "=", text("x")),
        ("attributes.`Run name` = 'x'", Field::Attribute("run_name"), "=", text("x")),
        ("run_name='say \"hi\"'", Field::Attribute("run_name"), "=", text("say \"hi\"")),
        ("run_name = \"it's\"", Field::Attribute("run_name"), "=", text("it's")),
        ("Created > 1", Field::Attribute("start_time"), ">", Value::Whole(1)),
        ("start_time < 1.5", Field::Attribute("start_time"), "<", Value::Decimal(1.5)),
        (
            "run_id not in ('a',\"b\",)",
            Field::Attribute("run_id"),
            "NOT IN",
            Value::List(vec!["a".to_owned(), "b".to_owned()]),
        ),
        ("datasets.digest = 'x'", Field::Dataset("digest"), "=", text("x")),
        (
            "dataset.context IN ('x')",
            Field::Dataset("context"),
            "IN",
            Value::List(vec!["x".to_owned()]),
        ),
    ];
    for (filter, field, comparator, value) in table {
        assert_eq!(one(filter), (field, comparator, value), "{filter}");
    }
    for (filter, conditions) in [
        ("metrics.loss>0.1 AND metrics.loss<1", 2),
        ("params.a ='x'AND params.b='y'", 2),
        ("params.a = 'x'\n\tand\nparams.b='y' AND", 2),
        ("AND AND params.a = 'x' params.b = 'y'", 2),
        ("params.a = 'x AND params.b = 1'", 1),
        ("", 0),
    ] {
        assert_eq!(runs(filter).len(), conditions, "{filter}");
    }
}

#[test]
fn what_mlflow_refuses_is_refused_as_an_invalid_argument() {
    let refused = |subject, text: &str| {
        let problem = filter(subject, text).expect_err(text);
        assert_eq!((problem.code, problem.field.as_deref()), (ErrorCode::Invalid, Some("filter")));
    };
    for text in [
        "   ",
        "params.x = y",
        "params.x = `y`",
        "tags.a-b = 'c'",
        "tags.a/b = 'c'",
        "tags.a:b = 'c'",
        "Status = 'x'",
        "run_id IN ()",
        "run_id IN (1)",
        "run_id IN ('a', 1)",
        "run_id IN (a)",
        "run_id IN ('a'",
        "run_id = ('a')",
        "run_id IN 'a'",
        "status IN ('a')",
        "metrics.x IS NULL",
        "start_time > '1'",
        "start_time LIKE 'a'",
        "dataset.foo = 'x'",
        "params.a = 'b' OR params.c = 'd'",
        "params.a",
        "params.a =",
        "= 'b'",
        "'b' = params.a",
        "(params.a = 'b')",
        "params.a = 'b';",
        "params.a = 'b'; DROP TABLE runs",
        "params.a = 'b' -- x",
        "params.a = 'b' /* c */",
        "params.a = 'unclosed",
        "params.`a = 'b'",
        "params.a == 'b'",
        "params.a <> 'b'",
        "params.a > 'b'",
        "params.a NOT LIKE 'b'",
        "params.a RLIKE 'b'",
        "metrics.a LIKE 'b'",
        "metrics.a = nan",
        "metrics.a > - 1",
        "metrics.a > +1",
        "metrics.a > 0x1F",
        "foo.a = 'b'",
        "Metrics.a > 1",
        "metrics.a b > 1",
        "metrics.a > 1 AND 1 = 1",
        "start_time BETWEEN 1 AND 2",
        "name = 'x'",
        "params.a='x', params.b='y'",
        "params.a in ('x')",
        "lifecycle_stage = 'active'",
    ] {
        refused(Subject::Runs, text);
    }
    for text in [
        "attributes.name = 'x'",
        "experiment_id = 1",
        "experiment_id = 'x'",
        "experiment_id LIKE '1'",
        "name IN ('a')",
        "name > 'a'",
        "name IS NULL",
        "creation_time > '5'",
        "creation_time > 1.5",
        "params.a = 'x'",
    ] {
        refused(Subject::Experiments, text);
    }
    for text in
        ["creation_timestamp > 1", "tags.a IS NULL", "name > 'x'", "name = x", "run_id = 'x'"]
    {
        refused(Subject::Models, text);
    }
    for text in ["version = 1", "version_number > 1.5", "run_id = 5", "source_path IN ('a')"] {
        refused(Subject::Versions, text);
    }
    for text in ["metric.a > 1", "metrics.a > 'x'", "foo = 'x'", "tags.a IS NULL", "params.a > 'x'"]
    {
        refused(Subject::LoggedModels, text);
    }
    refused(Subject::Runs, &"params.a = 'b' AND ".repeat(60_000));
    refused(Subject::Runs, &"params.a = 'b' AND ".repeat(300));
}

#[test]
fn other_subjects_have_their_own_names() {
    let first = |subject, text: &str| filter(subject, text).unwrap().remove(0);
    let id = first(Subject::Experiments, "experiment_id IN ('1', '2')");
    assert_eq!(id.field, Field::Attribute("experiment_id"));
    let number = first(Subject::Versions, "version_number = '3'");
    assert_eq!(number.value, Value::Whole(3));
    let prompt = first(Subject::Models, "tag.`mlflow.prompt.is_prompt` != 'true'");
    assert_eq!(prompt.field, Field::Tag("mlflow.prompt.is_prompt".to_owned()));
    let param = first(Subject::LoggedModels, "params.lr = 0.1");
    assert_eq!(param.value, text("0.1"));
    let time = first(Subject::LoggedModels, "creation_time > 5");
    assert_eq!(time.field, Field::Attribute("creation_timestamp"));
}

#[test]
fn orders_are_read_and_what_cannot_be_ordered_by_is_refused() {
    let read = |text: &str| order(Subject::Runs, &[text.to_owned()]);
    for (text, field, ascending) in [
        ("metrics.a", Field::Metric("a".to_owned()), true),
        ("metrics.`a b`  Desc", Field::Metric("a b".to_owned()), false),
        ("tags.x.y ASC", Field::Tag("x.y".to_owned()), true),
        ("`Created` desc", Field::Attribute("start_time"), false),
        ("run.end_time asc", Field::Attribute("end_time"), true),
    ] {
        assert_eq!(read(text).unwrap(), [Sort { field, ascending }], "{text}");
    }
    for text in [
        "",
        "  ",
        "metrics.a foo",
        "metrics.a DESC DESC",
        "metrics.a, metrics.b",
        "foo.a",
        "foo",
        "dataset.name",
        "metrics.a-b",
        "`run name`",
        "metrics.a DESC NULLS LAST",
        "experiment_id",
    ] {
        assert_eq!(read(text).unwrap_err().field.as_deref(), Some("order_by"), "{text}");
    }
    let twice = ["start_time".to_owned(), "Created DESC".to_owned()];
    assert!(order(Subject::Runs, &twice).is_err());
    assert!(order(Subject::Experiments, &["tags.a".to_owned()]).is_err());
    assert!(order(Subject::Models, &["timestamp DESC".to_owned()]).is_ok());
    assert!(order_by_field("metrics.a", false).is_ok());
    assert!(order_by_field("params.a", false).is_err());
}

#[test]
fn a_page_token_is_known_again_by_its_search_only() {
    let search = Fingerprint::of(&("runs", ["1"], "metrics.a > 1"));
    let other = Fingerprint::of(&("runs", ["2"], "metrics.a > 1"));
    let position = vec![Some("NaN".to_owned()), None, Some("ä".to_owned())];
    let token = search.token(&position);
    assert_eq!(search.position(&token, 3).unwrap(), position);
    assert!(search.position(&token, 2).is_err());
    assert!(other.position(&token, 3).is_err());
    for forged in ["", "zz", "00", &token[2..], &format!("{token}00"), "eyJvZmZzZXQiOiAyfQ=="] {
        let problem = search.position(forged, 3).unwrap_err();
        assert_eq!(problem.field.as_deref(), Some("page_token"));
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_fall_over(
        text in "([a-z]{0,3}[`'\".,()<>=!\\\\ -]{0,3}(AND|IN|IS|NULL|NOT|metrics\\.|params\\.|[0-9eE.+ä]{0,4})){0,8}"
    ) {
        for subject in [Subject::Runs, Subject::Experiments, Subject::Models, Subject::Versions, Subject::LoggedModels] {
            let _ = filter(subject, &text);
            let _ = order(subject, std::slice::from_ref(&text));
        }
        let _ = Fingerprint::of(&1).position(&text, 1);
    }

    #[test]
    fn any_text_in_quotes_is_the_value_that_was_quoted(value in "[^'\\\\]{0,40}", key in "[^`]{0,20}") {
        let conditions = filter(Subject::Runs, &format!("params.`{key}` = '{value}'"));
        prop_assert_eq!(conditions.unwrap(), vec![Condition {
            field: Field::Param(key), comparator: Comparator::Equal, value: Value::Text(value),
        }]);
    }
}

#[test]
fn words_of_the_grammar_are_no_values_and_follow_them() {
    for (text, conditions) in [
        ("tags.a IS NOT NULL AND params.p LIKE 'Ä%'", 2),
        ("params.a IS NULL and tags.b IS NULL AND metrics.c > 1", 3),
    ] {
        assert_eq!(filter(Subject::Runs, text).unwrap().len(), conditions, "{text}");
    }
    for text in ["params.a = AND tags.b = 'c'", "attributes.status = true", "tags.a LIKE and"] {
        let refused = filter(Subject::Runs, text).unwrap_err().message;
        assert!(refused.starts_with("Invalid clause(s) in filter string"), "{text}: {refused}");
    }
    assert!(filter(Subject::LoggedModels, "params.flag = true").is_ok());
}

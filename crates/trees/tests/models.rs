//! Models that the real libraries have grown, and what they say of rows; and what is left of such files
//! when somebody breaks them. `models/make.py` makes the models.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::*;
use serde::Deserialize;
use trees::{Class, Error, Model, Predictions};

#[derive(Deserialize)]
struct Expected {
    class: String,
    #[serde(rename = "type")]
    kind: String,
    width: usize,
    rows: Vec<Vec<Option<String>>>,
    answers: Vec<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models")
}

/// The models with such a name, and their files.
fn files(beginning: &str) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            ["ubj", "json", "txt"].iter().any(|end| path.extension().is_some_and(|it| it == *end))
        })
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .filter(|(name, _)| name.starts_with(beginning) && !name.ends_with(".expected.json"))
        .collect();
    found.sort();
    found
}

fn read(name: &str, class: &str, file: &[u8]) -> Result<Model, Error> {
    match Class::of(class) {
        Some(class) if name.contains("xgb_") => Model::xgboost(file, class),
        _ => Model::lightgbm(file),
    }
}

fn said(model: &Model, rows: &[f64]) -> (&'static str, Vec<f64>) {
    let mut said = model.nothing();
    model.predict(rows, &mut said).unwrap();
    match said {
        Predictions::F32(said) => ("float32", said.into_iter().map(f64::from).collect()),
        Predictions::F64(said) => ("float64", said),
        Predictions::I32(said) => ("int32", said.into_iter().map(f64::from).collect()),
        Predictions::I64(said) => ("int64", said.into_iter().map(|x| x as f64).collect()),
    }
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-6 * a.abs().max(b.abs()) || a.is_nan() && b.is_nan()
}

#[test]
fn models_of_every_objective_say_what_their_library_says() {
    let (mut asked, mut exact) = (0, 0);
    for (name, file) in files("xgb_").into_iter().chain(files("lgb_")) {
        let stem = name.split('.').next().unwrap();
        let expected = fs::read(folder().join(format!("{stem}.expected.json"))).unwrap();
        let expected: Expected = serde_json::from_slice(&expected).unwrap();
        let model = read(&name, &expected.class, &file).unwrap();
        let number = |x: &Option<String>| x.as_ref().map_or(f64::NAN, |x| x.parse().unwrap());
        let answers = expected.answers.iter().map(|x| x.parse::<f64>().unwrap());
        let rows: Vec<f64> = expected.rows.iter().flatten().map(number).collect();
        assert_eq!(model.features(), expected.rows[0].len(), "{name}");
        let (kind, got) = said(&model, &rows);
        assert_eq!((kind, model.width()), (expected.kind.as_str(), expected.width), "{name}");
        assert_eq!(got.len(), expected.answers.len(), "{name}");
        for (at, (&got, wanted)) in got.iter().zip(answers).enumerate() {
            let row = &expected.rows[at / expected.width];
            assert!(near(got, wanted), "{name}: {got}, not {wanted}, of row {at} {row:?}");
            asked += 1;
            exact += u32::from(got == wanted);
        }
        // The same one by one.
        let alone: Vec<f64> =
            rows.chunks(model.features()).flat_map(|row| said(&model, row).1).collect();
        assert!(alone.iter().zip(&got).all(|(a, b)| a == b || a.is_nan() && b.is_nan()), "{name}");
        assert!(!model.edges(10).is_empty() && model.edges(10).len() <= 10, "{name}");
    }
    assert!(asked > 2000, "{asked}");
    // Most are the same to the bit; where not, it is the last one, of `exp`.
    assert!(exact * 100 >= asked * 95, "{exact} of {asked}");
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let refused = |name: &str, class: &str| {
        let (name, file) = files(name).remove(0);
        read(&name, class, &file).unwrap_err().to_string()
    };
    let booster = "xgboost.core.Booster";
    assert_eq!(refused("refused_xgb_linear", booster), "the booster `gblinear` is not known here");
    let vectors = refused("refused_xgb_vectors", booster);
    assert!(vectors.contains("values") || vectors.contains("read"), "{vectors}");
    assert_eq!(refused("refused_lgb_linear", ""), "a tree of `linear_tree` is not known here");

    let json = String::from_utf8(files("xgb_binary_json").remove(0).1).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(json.contains(from), "{from}");
        Model::xgboost(json.replace(from, to).as_bytes(), Class::Booster).unwrap_err().to_string()
    };
    assert_eq!(
        changed("\"binary:logistic\"", "\"my:own\""),
        "its objective `my:own` is not known here"
    );
    assert!(
        changed("\"version\":[3,", "\"version\":[4,").starts_with("the format of XGBoost `[4,")
    );
    assert!(changed("\"enc\":[]", "\"enc\":[1]").contains("`category`"));
    assert!(
        changed("\"num_class\":\"0\"", "\"num_class\":\"999999999\"")
            .contains("trees for 999999999 sums")
    );
    assert!(changed("\"num_feature\":\"6\"", "\"num_feature\":\"2\"").contains("of 2"));
    let text = String::from_utf8(files("lgb_binary.txt").remove(0).1).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Model::lightgbm(text.replace(from, to).as_bytes()).unwrap_err().to_string()
    };
    assert_eq!(
        changed("version=v4", "version=v9"),
        "the format of LightGBM `v9` is not known here"
    );
    assert_eq!(
        changed("objective=binary ", "objective=own "),
        "its objective `own` is not known here"
    );
    assert!(
        changed("pandas_categorical:null", "pandas_categorical:[[\"a\"]]").contains("categories")
    );
    assert!(changed("end of trees", "no end").contains("ends early"));
    assert_eq!(Class::of("xgboost.dask.DaskXGBClassifier"), None);
    assert!(Model::xgboost(b"binf\0\0", Class::Booster).unwrap_err().to_string().contains("2.1"));
}

#[test]
fn a_booster_of_xgboost_takes_no_infinite_numbers_and_others_do() {
    let row = [f64::INFINITY; 6];
    let (_, file) = files("xgb_binary.ubj").remove(0);
    let booster = Model::xgboost(&file, Class::Booster).unwrap();
    let refused = booster.predict(&[[0.0; 6], row].concat(), &mut booster.nothing());
    assert_eq!(refused, Err(Error::Infinite { row: 1 }));
    assert_eq!(
        booster.predict(&[1e39; 6], &mut booster.nothing()),
        Err(Error::Infinite { row: 0 })
    );
    let values = Model::xgboost(&file, Class::Values).unwrap();
    assert_eq!(values.predict(&row, &mut values.nothing()), Ok(()));
}

/// Whatever a file holds, it is refused, or its model answers.
fn is_handled(name: &str, file: &[u8]) {
    for class in ["xgboost.core.Booster", "xgboost.sklearn.XGBClassifier"] {
        let Ok(model) = read(name, class, file) else { continue };
        if model.features() < 1000 {
            let rows = vec![0.5; model.features() * 3];
            let mut said = model.nothing();
            let told = model.predict(&rows, &mut said);
            assert!(told.is_ok(), "{told:?}");
        }
    }
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    for (name, file) in files("xgb_").into_iter().chain(files("lgb_")) {
        for at in (0..file.len()).step_by(file.len() / 97 + 1) {
            is_handled(&name, &file[..at]);
        }
        let whole = file.len() * 9 / 10;
        if name.starts_with("xgb_") {
            assert!(read(&name, "xgboost.core.Booster", &file[..whole]).is_err(), "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_file_does_harm(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let all = files("");
        let (name, mut file) = which.get(&all).clone();
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        is_handled(&name, &file);
    }

    #[test]
    fn no_word_in_place_of_another_does_harm(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        word in prop::sample::select(vec!["-1", "0", "1", "2", "7", "-2147483648", "2147483647", "4294967295", "18446744073709551615", "1e308", "NaN", "", "x"]),
    ) {
        let all: Vec<_> = files("").into_iter().filter(|(name, _)| !name.ends_with("ubj")).collect();
        let (name, file) = which.get(&all).clone();
        let text = String::from_utf8(file).unwrap();
        // A number, with what is around it.
        let numbers: Vec<_> = text.match_indices(|c: char| c.is_ascii_digit()).map(|(at, _)| at).collect();
        let begin = *place.get(&numbers);
        let end = text[begin..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |length| begin + length);
        is_handled(&name, format!("{}{word}{}", &text[..begin], &text[end..]).as_bytes());
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        is_handled("xgb_", &[b"{L".as_slice(), &bytes].concat());
        is_handled("xgb_", &bytes);
        is_handled("lgb_", &bytes);
    }
}

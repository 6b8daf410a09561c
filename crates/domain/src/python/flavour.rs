//! How a model is loaded, by its flavour.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    FilePath,
    mlmodel::{FILE, MlModel},
};

/// What loads a model, and the file below its folder that it reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "flavour", rename_all = "snake_case")]
pub enum Loader {
    /// scikit-learn.
    Sklearn {
        /// The object.
        file: FilePath,
        /// `pickle`, `cloudpickle`, `joblib` or `skops`.
        format: String,
        /// The method that is called: `predict`, `predict_proba`.
        method: String,
        /// The types that skops is to trust.
        #[serde(default)]
        trusted: Vec<String>,
    },
    /// XGBoost.
    Xgboost {
        /// The model.
        file: FilePath,
        /// `xgboost.core.Booster`, `xgboost.sklearn.XGBClassifier`…
        class: String,
    },
    /// LightGBM.
    Lightgbm {
        /// The model.
        file: FilePath,
        /// `lightgbm.basic.Booster`, `lightgbm.sklearn.LGBMClassifier`…
        class: String,
        /// How an object that is no booster is written.
        format: String,
        /// The types that skops is to trust.
        #[serde(default)]
        trusted: Vec<String>,
    },
    /// CatBoost.
    Catboost {
        /// The model.
        file: FilePath,
        /// `CatBoost`, `CatBoostClassifier`…
        class: String,
        /// `cbm`, `json`…
        format: String,
    },
    /// Anything else, by `mlflow.pyfunc.load_model`.
    Pyfunc {
        /// The `MLmodel` file.
        file: FilePath,
    },
}

impl Loader {
    /// The flavour's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sklearn { .. } => "sklearn",
            Self::Xgboost { .. } => "xgboost",
            Self::Lightgbm { .. } => "lightgbm",
            Self::Catboost { .. } => "catboost",
            Self::Pyfunc { .. } => "pyfunc",
        }
    }

    /// The file that is loaded, below the model's folder.
    #[must_use]
    pub const fn file(&self) -> &FilePath {
        match self {
            Self::Sklearn { file, .. }
            | Self::Xgboost { file, .. }
            | Self::Lightgbm { file, .. }
            | Self::Catboost { file, .. }
            | Self::Pyfunc { file } => file,
        }
    }

    /// Whether it is loaded without MLflow.
    #[must_use]
    pub const fn is_native(&self) -> bool {
        !matches!(self, Self::Pyfunc { .. })
    }

    /// Whether its predictions take what its signature calls `params`.
    #[must_use]
    pub const fn takes_params(&self) -> bool {
        matches!(self, Self::Sklearn { .. } | Self::Pyfunc { .. })
    }

    /// As `MLmodel` says. MLflow's own word, the loader module, decides between flavours.
    ///
    /// # Errors
    /// It says no such thing, in words.
    pub fn of(mlmodel: &MlModel) -> Result<Self, String> {
        let module = mlmodel
            .loader_module()
            .ok_or("`flavors.python_function` in `MLmodel` names no `loader_module`")?;
        let flavour = |name: &str| mlmodel.flavors.get(name).filter(|it| it.is_object());
        Ok(match (module, module.strip_prefix("mlflow.").and_then(flavour)) {
            ("mlflow.sklearn", Some(said)) => Self::Sklearn {
                file: file(said, "sklearn", "pickled_model")?,
                format: word(said, "serialization_format", "pickle"),
                method: python(mlmodel, "predict_fn", "predict"),
                trusted: trusted(said),
            },
            ("mlflow.xgboost", Some(said)) => Self::Xgboost {
                file: file(said, "xgboost", "data")?,
                class: word(said, "model_class", "xgboost.core.Booster"),
            },
            ("mlflow.lightgbm", Some(said)) => Self::Lightgbm {
                file: file(said, "lightgbm", "data")?,
                class: word(said, "model_class", "lightgbm.basic.Booster"),
                format: word(said, "serialization_format", "cloudpickle"),
                trusted: trusted(said),
            },
            ("mlflow.catboost", Some(said)) => Self::Catboost {
                file: file(said, "catboost", "data")?,
                class: word(said, "model_type", "CatBoost"),
                format: word(said, "save_format", "cbm"),
            },
            _ => Self::Pyfunc { file: FILE.parse().map_err(|_| "its `MLmodel` has no place")? },
        })
    }
}

/// The folder of the model's own modules.
pub(super) fn code(mlmodel: &MlModel) -> Result<Option<FilePath>, String> {
    let named = mlmodel.flavors.get("python_function").and_then(|said| said.get("code"));
    named
        .and_then(Value::as_str)
        .map(|path| below(path, "flavors.python_function.code"))
        .transpose()
}

fn file(said: &Value, flavour: &str, key: &str) -> Result<FilePath, String> {
    let field = format!("flavors.{flavour}.{key}");
    let path = said.get(key).and_then(Value::as_str);
    below(path.ok_or_else(|| format!("`{field}` in `MLmodel` names no file"))?, &field)
}

fn below(path: &str, field: &str) -> Result<FilePath, String> {
    let plain = path.trim_start_matches("./").trim_end_matches('/');
    plain.parse().map_err(|problem: crate::Problem| format!("`{field}`: {}", problem.message))
}

fn word(said: &Value, key: &str, otherwise: &str) -> String {
    said.get(key).and_then(Value::as_str).unwrap_or(otherwise).to_owned()
}

fn python(mlmodel: &MlModel, key: &str, otherwise: &str) -> String {
    let said = mlmodel.flavors.get("python_function");
    said.map_or_else(|| otherwise.to_owned(), |said| word(said, key, otherwise))
}

fn trusted(said: &Value) -> Vec<String> {
    let listed = said.get("skops_trusted_types").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

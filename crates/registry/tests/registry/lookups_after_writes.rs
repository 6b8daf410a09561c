//! Each kind of write of the registry, and what is told of an alias right after it.

#![expect(clippy::large_futures, reason = "a test waits for each of them in its own frame")]

use std::future::Future;

use auth::verbs;
use domain::{
    ImportSourceId, ModelName, Stage,
    pickle::{FileFindings, Findings, Format, named},
};
use registry::{
    import::{self, ImportedModel, ImportedVersion},
    models,
    register::Submission,
    versions,
};
use serde_json::{Value, json};
use store::{Change, imports, versions as rows, versions::TrialOutcome};

use crate::{
    lookups::{remember, watched},
    platform::Platform,
};

const CHAMPION: &str = "/models/fraud/aliases/champion";
const FIRST: &str = "/models/fraud/versions/1";

/// A platform that remembers.
struct Remembering {
    platform: Platform,
}

impl Remembering {
    /// Writes, while a stale answer about `fraud@champion` lies in memory, and the rows say other
    /// things about each model than what was told of it last. Nothing of that may be told after it.
    async fn after<T>(&self, what: &str, write: impl Future<Output = T>) -> T {
        let (platform, state) = (&self.platform, &self.platform.state);
        if let Some(model) = self.champion().await {
            remember(platform, state, (&model, "champion")).await;
        }
        for model in ["fraud", "scam", "theirs"] {
            // What is absent is remembered too.
            self.told(model, "champion").await;
            self.told(model, "challenger").await;
        }
        platform.execute("UPDATE model_versions SET description = description || '!'").await;
        let done = write.await;
        for model in ["fraud", "scam", "theirs"] {
            if !what.contains(model) && !what.contains("all") {
                continue;
            }
            for alias in ["champion", "challenger"] {
                let told = self.told(model, alias).await;
                assert_eq!(told, self.truth(model, alias).await, "{what}: {model}@{alias}");
            }
        }
        done
    }

    /// Which model has a champion.
    async fn champion(&self) -> Option<String> {
        for model in ["fraud", "scam", "theirs"] {
            if self.truth(model, "champion").await != "None" {
                return Some(model.to_owned());
            }
        }
        None
    }

    async fn told(&self, model: &str, alias: &str) -> String {
        let (permit, state) = (self.platform.permit(), &self.platform.state);
        let (model, alias) = (model.parse().unwrap(), alias.parse().unwrap());
        let found = versions::of_alias(state, &permit, &model, &alias).await.unwrap();
        format!("{found:?}")
    }

    async fn truth(&self, model: &str, alias: &str) -> String {
        let asked = [(model.parse().unwrap(), alias.parse().unwrap())];
        let found = rows::get_by_aliases(self.platform.database(), &asked).await.unwrap();
        format!("{:?}", found[0])
    }

    async fn put(&self, what: &str, path: &str, body: Value) {
        self.after(what, self.platform.put(path, body)).await.expect(200);
    }

    async fn post(&self, what: &str, path: &str, body: Value) -> Value {
        let answer = self.after(what, self.platform.post(path, body)).await;
        assert!(answer.status.is_success(), "{what}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    async fn patch(&self, what: &str, path: &str, body: Value) {
        self.after(what, self.platform.patch(path, body)).await.expect(200);
    }

    async fn delete(&self, what: &str, path: &str) {
        self.after(what, self.platform.delete(path)).await.expect(204);
    }
}

/// Does that with `fraud`, which has two versions; the first is `champion`.
async fn remembering(test: impl AsyncFnOnce(&Remembering)) {
    let it = &Remembering { platform: Platform::start().await };
    watched(&[&it.platform.state], async {
        it.after("fraud: the first version", it.platform.register("fraud", 1)).await;
        it.put("fraud: an alias is set", CHAMPION, json!({"version": 1})).await;
        it.after("fraud: another version", it.platform.register("fraud", 2)).await;
        // What a test does is too long for its stack.
        Box::pin(test(it)).await;
    })
    .await;
}

#[actix_web::test]
async fn moves_of_aliases_and_stages_are_told_at_once() {
    remembering(async |it| {
        it.put("fraud: an alias moves", CHAMPION, json!({"version": 2})).await;
        it.post("fraud: an alias goes back", &format!("{CHAMPION}/revert"), json!({})).await;
        let challenger = "/models/fraud/aliases/challenger";
        it.put("fraud: another alias is set", challenger, json!({"version": 1})).await;
        it.delete("fraud: an alias is unset", challenger).await;
        let file = it.platform.file("model.onnx", &crate::onnx::model(3)).await;
        let new = json!({"files": [file], "alias": "challenger"});
        it.post("fraud: a version with an alias", "/models/fraud/versions", new).await;

        let stage = |version: i32| format!("/models/fraud/versions/{version}/stage");
        it.put("fraud: a stage", &stage(1), json!({"stage": "Production"})).await;
        let instead = json!({"stage": "Production", "archive_existing_versions": true});
        it.put("fraud: a stage in place of another version", &stage(2), instead).await;
        it.post("fraud: stages go back", "/models/fraud/stages/Production/revert", json!({})).await;
        let stages = json!({"stages": ["None", "Production", "Archived", "Canary"]});
        it.put("fraud: stages of its own", "/models/fraud/stages", stages).await;

        it.after("fraud: a trial", it.platform.end_trial("fraud", 1, ready())).await;
        it.after("fraud: another trial", it.platform.end_trial("fraud", 2, ready())).await;
        let follow = json!({"model": "fraud@champion"});
        it.platform.put("/endpoints/e", follow).await.expect(201);
        it.put("fraud: an alias moves with followers", CHAMPION, json!({"version": 2})).await;
    })
    .await;
}

fn ready() -> TrialOutcome {
    TrialOutcome::Ready { batchable: true }
}

#[actix_web::test]
async fn what_is_known_of_a_version_is_told_at_once() {
    remembering(async |it| {
        let (state, model): (_, ModelName) = (&it.platform.state, "fraud".parse().unwrap());
        let edit = json!({"description": "better", "tags": {"team": "risk"}});
        it.patch("fraud: a version's description and tags", FIRST, edit).await;
        let permit = it.platform.permit_to::<verbs::Edit>("fraud");
        let (key, value) = ("owner".parse().unwrap(), "ana".parse().unwrap());
        let set = versions::set_tag(state, &permit, &model, 1, &key, &value);
        it.after("fraud: a version's tag", set).await.unwrap();
        let gone = versions::delete_tag(state, &permit, &model, 1, "owner");
        it.after("fraud: a version's tag goes", gone).await.unwrap();
        it.after("fraud: a trial", it.platform.end_trial("fraud", 1, ready())).await;
        it.after("all: findings", find(&it.platform)).await;
        let trust = format!("{FIRST}/trust");
        it.put("fraud: a version is trusted", &trust, json!({"reason": "read"})).await;
        it.delete("fraud: a version is trusted no more", &trust).await;
        it.put("all: the setting", "/settings/pickle", json!({"value": "deny"})).await;

        it.patch("fraud: its description", "/models/fraud", json!({"description": "cards"})).await;
        let set = models::set_tag(state, &permit, &model, &key, &value);
        it.after("fraud: its tag", set).await.unwrap();
        let gone = models::delete_tag(state, &permit, &model, "owner");
        it.after("fraud: its tag goes", gone).await.unwrap();
        let rule = json!({"rule": "has signature", "target": "Production"});
        let rule = it.post("fraud: a rule", "/models/fraud/rules", rule).await;
        let rule = format!("/models/fraud/rules/{}", rule["id"].as_str().unwrap());
        it.delete("fraud: a rule goes", &rule).await;
    })
    .await;
}

/// What the deployer does when it has scanned a version.
async fn find(platform: &Platform) {
    let version = rows::get(platform.database(), &"fraud".parse().unwrap(), 1).await.unwrap();
    let report = named("os", "system");
    let (path, format, verdict) = ("scaler.pkl".to_owned(), Format::Pickle, report.verdict());
    let findings = Findings::of(vec![FileFindings { path, format, verdict, report }]);
    let mut change = Change::begin(platform.database()).await.unwrap();
    rows::set_findings(&mut change, version.unwrap().id, &findings).await.unwrap();
    change.commit(&platform.event()).await.unwrap();
}

#[actix_web::test]
async fn names_deletions_and_what_comes_back_are_told_at_once() {
    remembering(async |it| {
        let state = &it.platform.state;
        let (fraud, scam): (ModelName, ModelName) =
            ("fraud".parse().unwrap(), "scam".parse().unwrap());
        let permit = it.platform.permit_to::<verbs::Edit>("fraud");
        let there = models::rename(state, &permit, &fraud, &scam);
        it.after("fraud is renamed to scam", there).await.unwrap();
        let permit = it.platform.permit_to::<verbs::Edit>("scam");
        let back = models::rename(state, &permit, &scam, &fraud);
        it.after("scam is renamed to fraud", back).await.unwrap();

        let delete = it.platform.permit_to::<verbs::Delete>("fraud");
        let promote = it.platform.permit_to::<verbs::Promote>("fraud");
        let gone = versions::delete_with_aliases(state, &delete, &promote, &fraud, 1);
        it.after("fraud: a version goes with its aliases", gone).await.unwrap();
        it.post("fraud: a version comes back", &format!("{FIRST}/restore"), json!({})).await;
        it.put("fraud: an alias is set again", CHAMPION, json!({"version": 1})).await;
        it.delete("fraud: a version without aliases goes", "/models/fraud/versions/2").await;

        it.delete("fraud is deleted", "/models/fraud").await;
        it.post("fraud comes back", "/models/fraud/restore", json!({})).await;
        it.delete("fraud is deleted again", "/models/fraud").await;
        it.post("fraud is made anew", "/models", json!({"name": "fraud"})).await;
        let now = json!({"older_than": "0s", "grace": "0s"});
        it.post("all: what is deleted is purged", "/collections", now).await;
        it.after("fraud: a version of the new one", it.platform.register("fraud", 4)).await;
        it.put("fraud: its alias is set", CHAMPION, json!({"version": 1})).await;
    })
    .await;
}

#[actix_web::test]
async fn what_is_imported_is_told_at_once() {
    remembering(async |it| {
        let (platform, state) = (&it.platform, &it.platform.state);
        let source = source(platform).await;
        let name: ModelName = "theirs".parse().unwrap();
        let permit = platform.permit_to::<verbs::Administer>("import");
        let (now, tags) = (platform.database().now(), store::models::Tags::new());
        let description = "theirs".to_owned();
        let model =
            ImportedModel { description, tags: tags.clone(), created_at: now, updated_at: now };
        let made = Box::pin(import::model(state, &permit, source, &name, &model));
        assert!(it.after("theirs is imported", made).await.unwrap());
        for description in ["first", "second"] {
            let submission = Submission {
                files: Vec::new(),
                signature: None,
                input_example: None,
                description: description.to_owned(),
                lineage: rows::Lineage::default(),
                origin: rows::Origin::default(),
                tags: tags.clone(),
                isolation: None,
                force: true,
            };
            let version = ImportedVersion { submission, created_at: now, updated_at: now };
            let made = Box::pin(import::version(state, &permit, source, (&name, 7), version));
            it.after("theirs: a version is imported", made).await.unwrap();
            if description == "second" {
                continue;
            }
            let promote = platform.permit_to::<verbs::Promote>("theirs");
            let permits = (&platform.permit(), &promote);
            let aliases = [("champion".parse().unwrap(), 7)].into();
            let put = Box::pin(import::aliases(state, permits, source, &name, &aliases));
            it.after("theirs: its aliases are imported", put).await.unwrap();
            let put = Box::pin(import::stage(state, permits, source, (&name, 7), Stage::ARCHIVED));
            it.after("theirs: its stage is imported", put).await.unwrap();
        }
        let told = it.told("theirs", "champion").await;
        assert!(told.contains("second") && told.contains("Archived"), "{told}");
    })
    .await;
}

async fn source(platform: &Platform) -> ImportSourceId {
    let url = "https://mlflow.example";
    let mut change = Change::begin(platform.database()).await.unwrap();
    let event = platform.event();
    imports::insert_source(&mut change, url, &event.actor).await.unwrap();
    change.commit(&event).await.unwrap();
    imports::by_url(platform.database(), url).await.unwrap().unwrap().id
}

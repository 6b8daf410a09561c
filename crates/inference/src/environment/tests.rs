//! With the real `uv`, wheels made here and no index, so that nothing is downloaded.

use std::io::Write as _;

use super::*;

fn uv() -> PathBuf {
    let named = std::env::var_os("BOTTEGA_UV")
        .expect("BOTTEGA_UV is not set: run the tests by ./just test");
    named.into()
}

/// A wheel of one module; what it needs is a line of its metadata.
fn wheel(folder: &Path, name: &str, version: &str, needs: &str) {
    let info = format!("{name}-{version}.dist-info");
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\n");
    let module = format!("{name}.py");
    let files = [
        (module, format!("VERSION = '{version}'\n")),
        (format!("{info}/METADATA"), metadata),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
        ),
        (
            format!("{info}/RECORD"),
            format!("{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"),
        ),
    ];
    let file = File::create(folder.join(format!("{name}-{version}-py3-none-any.whl"))).unwrap();
    let mut zip = zip::ZipWriter::new(file);
    for (path, content) in files {
        zip.start_file(path, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

struct World {
    folder: tempfile::TempDir,
    environments: Environments,
    python: PythonVersion,
}

fn world(limit: u64) -> World {
    let folder = tempfile::tempdir().unwrap();
    let wheels = folder.path().join("wheels");
    fs::create_dir(&wheels).unwrap();
    wheel(&wheels, "alpha", "1.0", "Requires-Dist: beta<2");
    wheel(&wheels, "beta", "1.0", "");
    wheel(&wheels, "beta", "2.0", "");
    let settings = EnvironmentSettings {
        uv: Some(uv()),
        index: Some("none".to_owned()),
        find_links: vec![wheels.display().to_string()],
        limit,
        ..EnvironmentSettings::default()
    };
    let environments = Environments::new(folder.path().join("environments"), settings).unwrap();
    // Whatever this machine has.
    let told = std::process::Command::new("python3").arg("-V").output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let python = told.trim().trim_start_matches("Python ").parse().unwrap();
    World { folder, environments, python }
}

impl World {
    async fn lock(&self, requirements: &[&str]) -> Result<Lock, Unbuilt> {
        let requirements: Vec<_> = requirements.iter().map(|it| it.parse().unwrap()).collect();
        self.environments.lock(self.python, &requirements).await
    }

    async fn refusal(&self, requirements: &[&str]) -> String {
        match self.lock(requirements).await {
            Err(Unbuilt::Reason(why)) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn says(environment: &Environment, code: &str) -> String {
    let python =
        std::process::Command::new(&environment.python).args(["-I", "-c", code]).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    String::from_utf8(python.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn the_same_packages_are_built_once_and_others_stand_beside_them() {
    let world = world(u64::MAX);
    let old = world.lock(&["alpha"]).await.unwrap();
    assert!(
        old.packages.contains("beta==1.0") && old.packages.contains("--hash=sha256:"),
        "{old:?}"
    );
    assert!(!world.environments.has(&old));
    let (one, other) =
        tokio::join!(world.environments.provide(&old), world.environments.provide(&old));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.folder, other.folder);
    let new = world.lock(&["beta>=2"]).await.unwrap();
    let new = world.environments.provide(&new).await.unwrap();
    assert_eq!(says(&one, "import alpha, beta; print(beta.VERSION)"), "1.0");
    assert_eq!(says(&new, "import beta; print(beta.VERSION)"), "2.0");
    assert!(one.base.join("bin").is_dir(), "{one:?}");
    // Where it was made is not where it is.
    assert_eq!(says(&one, "import sys; print(sys.prefix)"), one.folder.display().to_string());
    assert!(one.folder.join("packages.txt").is_file());
}

#[tokio::test]
async fn what_cannot_be_had_is_named_with_the_reason() {
    let world = world(u64::MAX);
    let absent = world.refusal(&["nowhere==1"]).await;
    assert!(absent.contains("nowhere"), "{absent}");
    let conflict = world.refusal(&["alpha", "beta==2.0"]).await;
    assert!(conflict.contains("alpha") && conflict.contains("beta==2.0"), "{conflict}");
    let python = PythonVersion { major: 3, minor: 99, patch: Some(1) };
    let Err(Unbuilt::Reason(why)) = world.environments.lock(python, &[]).await else { panic!() };
    assert!(
        why.starts_with("it was made with Python 3.99.1, and no Python 3.99 is here: there are 3."),
        "{why}"
    );
}

#[tokio::test]
async fn what_is_not_used_makes_room_and_what_is_used_stays() {
    let world = world(1);
    let first = world.lock(&["beta==1.0"]).await.unwrap();
    let second = world.lock(&["beta==2.0"]).await.unwrap();
    let held = world.environments.provide(&first).await.unwrap();
    drop(world.environments.provide(&second).await.unwrap());
    assert!(held.folder.is_dir());
    drop(held);
    drop(world.environments.provide(&second).await.unwrap());
    let third = world.lock(&["alpha"]).await.unwrap();
    drop(world.environments.provide(&third).await.unwrap());
    let left = fs::read_dir(world.folder.path().join("environments")).unwrap().count();
    assert_eq!(left, 1);
}

#[tokio::test]
async fn an_environment_whose_interpreter_went_is_built_anew() {
    let world = world(u64::MAX);
    let lock = world.lock(&["beta"]).await.unwrap();
    let folder = world.environments.provide(&lock).await.unwrap().folder.clone();
    fs::remove_file(folder.join("bin/python")).unwrap();
    assert!(!world.environments.has(&lock));
    let again = world.environments.provide(&lock).await.unwrap();
    assert_eq!(says(&again, "import beta; print(beta.VERSION)"), "2.0");
}

#[tokio::test]
async fn without_uv_the_reason_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        EnvironmentSettings { uv: Some("/nowhere/uv".into()), ..EnvironmentSettings::default() };
    let environments = Environments::new(folder.path().to_owned(), settings).unwrap();
    let python = "3.11".parse().unwrap();
    let Err(Unbuilt::Reason(why)) = environments.lock(python, &[]).await else { panic!() };
    assert!(why.contains("BOTTEGA_UV"), "{why}");
}

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::*;

const FILES: [(&str, &str); 3] = [("model.onnx", "net"), ("data/deep/w", "weights"), ("empty", "")];

fn manifest(files: &[(&str, &str)]) -> Manifest {
    Manifest::new(files.iter().map(|(path, content)| {
        let digest = Digest::of(content.as_bytes());
        (path.parse().unwrap(), FileEntry { digest, size: content.len() as u64 })
    }))
    .unwrap()
}

/// A store that has these files, and counts how often it is asked.
struct Source(&'static [(&'static str, &'static str)], AtomicUsize);

impl Source {
    fn new(files: &'static [(&'static str, &'static str)]) -> Self {
        Self(files, AtomicUsize::new(0))
    }

    async fn folder(&self, cache: &Path, files: &[(&str, &str)]) -> Result<CachedFolder, Error> {
        self.within(cache, files, u64::MAX).await
    }

    async fn within(
        &self,
        cache: &Path,
        files: &[(&str, &str)],
        limit: u64,
    ) -> Result<CachedFolder, Error> {
        let fetch = |digest: Digest, to: PathBuf| async move {
            self.1.fetch_add(1, SeqCst);
            let found = self.0.iter().find(|(_, content)| Digest::of(content.as_bytes()) == digest);
            let Some((_, content)) = found else {
                return Err(artifacts::Error::Damaged(digest).into());
            };
            tokio::fs::write(to, content).await.map_err(|error| broken(cache, error))
        };
        let settings = CacheSettings { verify: true, limit };
        provide(cache, &manifest(files), &"model.onnx".parse().unwrap(), settings, fetch).await
    }
}

fn cache() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_folder_holds_the_files_of_the_manifest_to_be_read_only() {
    let (cache, source) = (cache(), Source::new(&FILES));
    let folder = source.folder(cache.path(), &FILES).await.unwrap();
    assert_eq!((folder.file.as_str(), folder.bytes), ("model.onnx", 10));
    assert_eq!(folder.path, cache.path().join(manifest(&FILES).digest().hex()));
    for (path, content) in FILES {
        let path = folder.path.join(path);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        assert_eq!(mode(&path), 0o444);
    }
    for path in ["", "data", "data/deep"] {
        assert_eq!(mode(&folder.path.join(path)), 0o755);
    }
    assert_eq!(names(cache.path()), [manifest(&FILES).digest().hex()]);
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let (cache, source) = (cache(), Source::new(&FILES));
    source.folder(cache.path(), &FILES).await.unwrap();
    source.folder(cache.path(), &FILES).await.unwrap();
    assert_eq!(source.1.load(SeqCst), 3);
}

#[tokio::test]
async fn rotten_files_are_fetched_anew() {
    type Damage = fn(&Path);
    let damages: [Damage; 3] = [
        |file| fs::write(file, "rot").unwrap(),
        |file| fs::write(file, "longer than it was").unwrap(),
        |file| fs::remove_file(file).unwrap(),
    ];
    for damage in damages {
        let (cache, source) = (cache(), Source::new(&FILES));
        let folder = source.folder(cache.path(), &FILES).await.unwrap();
        let file = folder.path.join("model.onnx");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        damage(&file);
        source.folder(cache.path(), &FILES).await.unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "net");
        assert_eq!((source.1.load(SeqCst), names(cache.path()).len()), (6, 1));
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_completed_is_not_there() {
    let (cache, source) = (cache(), Source::new(&FILES[..1]));
    let error = source.folder(cache.path(), &FILES).await.unwrap_err();
    assert!(matches!(error, Error::Fetch(artifacts::Error::Damaged(_))));
    assert_eq!(names(cache.path()), [""; 0]);
}

#[tokio::test]
async fn rotten_files_that_cannot_be_replaced_are_not_served() {
    let cache = cache();
    let folder = Source::new(&FILES).folder(cache.path(), &FILES).await.unwrap();
    let file = folder.path.join("model.onnx");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "rot").unwrap();
    assert!(Source::new(&[]).folder(cache.path(), &FILES).await.is_err());
    assert_eq!(names(cache.path()), [""; 0]);
}

#[tokio::test]
async fn who_comes_second_keeps_what_is_there() {
    let (cache, source) = (cache(), Source::new(&FILES));
    let place = source.folder(cache.path(), &FILES).await.unwrap().path.clone();
    let fetch = |_: Digest, to: PathBuf| async move {
        let file = FILES.iter().find(|(path, _)| to.ends_with(path)).unwrap();
        fs::write(&to, file.1).map_err(|error| broken(&to, error))
    };
    fill(cache.path(), &manifest(&FILES), fetch).await.unwrap();
    assert_eq!(names(cache.path()), [place.file_name().unwrap().to_str().unwrap()]);
}

#[tokio::test]
async fn a_version_without_a_file_to_load_is_refused() {
    let files = [("model.pkl", "pickle")];
    let error = Source::new(&FILES).folder(cache().path(), &files).await.unwrap_err();
    assert!(error.to_string().contains("no `model.onnx`"), "{error}");
}

#[tokio::test]
async fn a_removed_version_is_gone_and_removing_it_again_is_no_error() {
    let (cache, source) = (cache(), Source::new(&FILES));
    source.folder(cache.path(), &FILES).await.unwrap();
    for _ in 0..2 {
        remove(cache.path(), &manifest(&FILES).digest()).await.unwrap();
        assert_eq!(names(cache.path()), [""; 0]);
    }
}

#[test]
fn only_old_unfinished_folders_are_swept_away() {
    let cache = cache();
    for name in [".unfinished-old", ".unfinished-new", "finished"] {
        fs::create_dir(cache.path().join(name)).unwrap();
    }
    let old = std::time::SystemTime::now() - 2 * ABANDONED;
    File::open(cache.path().join(".unfinished-old")).unwrap().set_modified(old).unwrap();
    File::open(cache.path().join("finished")).unwrap().set_modified(old).unwrap();
    remove_abandoned(cache.path()).unwrap();
    let mut left = names(cache.path());
    left.sort();
    assert_eq!(left, [".unfinished-new", "finished"]);
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_when_room_is_short_but_never_what_is_used() {
    const VERSIONS: [[(&str, &str); 1]; 4] = [
        [("model.onnx", "one.")],
        [("model.onnx", "two.")],
        [("model.onnx", "new.")],
        [("model.onnx", "last")],
    ];
    const ALL: [(&str, &str); 4] = [VERSIONS[0][0], VERSIONS[1][0], VERSIONS[2][0], VERSIONS[3][0]];
    let (cache, source) = (cache(), Source::new(&ALL));
    let name = |at: usize| manifest(&VERSIONS[at]).digest().hex().to_string();
    let within = async |at: usize| source.within(cache.path(), &VERSIONS[at], 8).await.unwrap();
    let aged = |at: usize, minutes: u64| {
        let then = SystemTime::now() - Duration::from_secs(60 * minutes);
        File::open(cache.path().join(name(at))).unwrap().set_modified(then).unwrap();
    };
    let left = || {
        let mut left = names(cache.path());
        left.sort();
        left
    };
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    let used = within(0).await;
    drop(within(1).await);
    aged(0, 30);
    aged(1, 20);
    // The oldest is in use: the other one goes.
    drop(within(2).await);
    assert_eq!(left(), sorted(vec![name(0), name(2)]));
    assert_eq!(fs::read_to_string(used.path.join("model.onnx")).unwrap(), "one.");
    drop(used);
    drop(within(3).await);
    assert_eq!(left(), sorted(vec![name(2), name(3)]));
    // What went is fetched again.
    let again = within(0).await;
    assert_eq!(fs::read_to_string(again.path.join("model.onnx")).unwrap(), "one.");
}

#[tokio::test]
async fn a_version_larger_than_the_cache_is_there_while_it_is_used() {
    let (cache, source) = (cache(), Source::new(&FILES));
    let folder = source.within(cache.path(), &FILES, 1).await.unwrap();
    assert!(folder.path.join("model.onnx").is_file());
    drop(folder);
    room::make(cache.path(), 1).unwrap();
    assert_eq!(names(cache.path()), [""; 0]);
}

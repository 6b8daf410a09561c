//! Loading ONNX Runtime's library, which a process does once.

mod model;

use std::path::Path;

use inference::{Error, Runtime};

#[test]
fn a_library_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    std::fs::write(&text, "no library").unwrap();
    let other = std::fs::read_dir("/proc/self/map_files").ok().and_then(|files| {
        let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        targets.into_iter().find(|target| target.to_string_lossy().contains("libc.so"))
    });
    let unusable = [Some("/nowhere/libonnxruntime.so".into()), Some(text), other];
    for path in unusable.into_iter().flatten() {
        let Err(Error::Library(message)) = Runtime::load(&path) else {
            panic!("{} was loaded", path.display())
        };
        assert!(message.contains(&*path.to_string_lossy()), "{message}");
        assert!(message.contains("BOTTEGA_ONNXRUNTIME"), "{message}");
    }
    let library = model::library();
    assert!(Runtime::load(&library).is_ok());
    assert!(Runtime::load(Path::new("/nowhere")).is_ok(), "the first one stays");
}

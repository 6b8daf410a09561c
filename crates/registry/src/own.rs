//! Versions that a program of their author's answers for: the file that says which, looked at before any row
//! is written.

use domain::{
    FilePath, Manifest, Problem,
    process::{FILE, LONGEST, Process},
};

use crate::{Result, State, package::content};

/// The program of these files, if they name one.
///
/// # Errors
/// The file is none; what it names is not among the files.
pub(crate) async fn read(
    state: &State,
    manifest: &Manifest,
) -> Result<Option<(FilePath, Process)>> {
    let named = |(path, _): &(&FilePath, _)| path.as_str() == FILE;
    let Some((path, entry)) = manifest.files().find(named) else { return Ok(None) };
    let wrong = |why: String| Problem::invalid("files", format!("`{FILE}`: {why}"));
    let content = content(state, entry, LONGEST).await?.map_err(wrong)?;
    let process = Process::read(&content)?;
    if let Some(own) = process.own()
        && manifest.get(&own).is_none()
    {
        let why = format!("`{own}`, which it is to start, is not among the files");
        return Err(wrong(why).hint("push the whole folder").into());
    }
    Ok(Some((path.clone(), process)))
}

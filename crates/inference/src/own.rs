//! Versions that a program of their author's answers for, over HTTP to its own process alone.
//!
//! The process is `bottega worker --own`, which starts the program beside itself, in the same walls, and
//! carries what it is asked to it. What that does is in the crate `remote`: it asks a server.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::{Signature, process::Process};
use serde::{Deserialize, Serialize};

use crate::{
    Environment, Error, ModelFolder,
    process::{Apart, Bounds, Program},
    worker::frugal,
};

/// A process takes about as much before it holds a model.
const LEAST: u64 = 32 << 20;

/// Such a version on this node, ready to be run.
#[derive(Debug, Clone)]
pub struct OwnProgram {
    exe: PathBuf,
    process: Process,
    signature: Signature,
    folder: PathBuf,
    bytes: u64,
}

/// What `bottega worker --own` is told first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OwnOrder {
    /// What is started, and how it is asked.
    pub process: Process,
    /// What goes in and what comes out.
    pub signature: Signature,
    /// The most bytes of an answer.
    pub output_bytes: usize,
    /// How many threads the program is told to use for each run.
    pub threads: usize,
    /// How long it may take until it is ready, in milliseconds.
    pub loading_ms: u64,
}

impl OwnProgram {
    /// Reads what these files start. `exe` is the program whose `worker --own` is ours, normally the running
    /// one.
    ///
    /// # Errors
    /// [`Error::Cache`]: they cannot be read. [`Error::Input`]: they say something else.
    pub fn new(exe: &Path, signature: Signature, folder: &ModelFolder) -> Result<Self, Error> {
        let file = folder.path.join(folder.file.as_str());
        let ours = |error: io::Error| Error::Cache {
            folder: folder.path.clone(),
            reason: error.to_string(),
        };
        let process = Process::read(&fs::read(&file).map_err(ours)?)?;
        if let Some(own) = process.own() {
            // How it may be used is not among what is known of a version's files.
            let program = folder.path.join(own.as_str());
            match fs::set_permissions(program, Permissions::from_mode(0o555)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let why = format!("`{own}`, which it is to start, is not among its files");
                    return Err(Error::Model(why));
                }
                set => set.map_err(ours)?,
            }
        }
        let exe = exe.canonicalize().unwrap_or_else(|_| exe.to_owned());
        let (folder, bytes) = (folder.path.clone(), folder.bytes.max(LEAST));
        Ok(Self { exe, process, signature, folder, bytes })
    }
}

impl Apart for OwnProgram {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn environment(&self) -> Option<Arc<Environment>> {
        None
    }

    fn program(&self, threads: usize, bounds: &Bounds) -> Program {
        let mut readable = Program::machine();
        // What programs look names and certificates up in.
        readable.extend(["/etc/ssl", "/etc/alternatives"].map(PathBuf::from));
        readable.push(self.exe.clone());
        let order = OwnOrder {
            process: self.process.clone(),
            signature: self.signature.clone(),
            output_bytes: bounds.output_bytes,
            threads: threads.max(1),
            // It is to say itself that it is late.
            loading_ms: u64::try_from(bounds.loading.as_millis()).unwrap_or(u64::MAX) / 10 * 9,
        };
        Program {
            command: self.exe.clone(),
            arguments: ["worker", "--own"].map(str::to_owned).to_vec(),
            environment: vec![frugal()],
            readable,
            folder: self.folder.clone(),
            talks: true,
            load: serde_json::to_value(order).unwrap_or_default(),
        }
    }
}

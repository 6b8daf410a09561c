//! `bottega worker --serve`: starts the program of a version, confined, and stays with it.
//!
//! Two processes stand between a node and the program. The *keeper* moves out, starts the second one and
//! waits for its end: what that one started ends with it. The second one, the first among its own
//! processes, gives up what a model may not have and then becomes the program. Standard input is the
//! socket to the node, all the way down.

use std::{
    convert::Infallible,
    env, fs, io,
    os::{
        fd::AsFd as _,
        unix::{net::UnixStream, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use nix::{
    errno::Errno,
    sched::CloneFlags,
    sys::{
        prctl::{set_child_subreaper, set_pdeathsig},
        signal::{Signal, kill, raise},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, close, dup2_stdin, getpid, getppid, setsid},
};

use super::confine::{self, Left, NOBODY, Walls};
use crate::{
    SILENCE,
    process::{
        Order,
        frame::{self, Confined, Fault, FrameError, Kind, Refusal},
    },
};

/// What begins the numbers of the users that workers become, one each: their processes are counted apart,
/// and none may touch another's. No process has a number above 4,194,304.
const FIRST_USER: u32 = 0x6000_0000;

/// Which of the two processes this one is.
#[derive(Debug)]
pub enum Serve {
    /// The keeper, which joins this control group, if there is one.
    Keep(Option<PathBuf>),
    /// The second one.
    Become(Inside),
}

/// What the second process is told by its keeper.
#[derive(Debug, Clone, Copy)]
pub struct Inside {
    /// The keeper's number among the machine's processes.
    pub seat: u32,
    /// Whether it has moved out.
    pub left: bool,
    /// Whether it has users of its own.
    pub with_users: bool,
}

/// The whole worker.
#[must_use]
pub fn serve(which: Serve) -> ExitCode {
    let result = match which {
        Serve::Keep(group) => keep(group.as_deref()),
        Serve::Become(inside) => match become_program(inside) {
            Ok(never) => match never {},
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // What a node hears of it.
            let _ = refuse(&error);
            ExitCode::FAILURE
        }
    }
}

fn socket() -> io::Result<UnixStream> {
    io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from)
}

fn refuse(error: &io::Error) -> io::Result<()> {
    let refusal = Refusal { kind: Fault::Load, message: error.to_string(), field: None };
    tell(&refusal, Kind::Error)
}

fn tell(head: &impl serde::Serialize, kind: Kind) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame::encode(&mut bytes, kind, 0, head, &[]).map_err(io::Error::other)?;
    io::Write::write_all(&mut socket()?, &bytes)
}

/// The keeper's life.
fn keep(group: Option<&Path>) -> io::Result<ExitCode> {
    let parent = getppid();
    if let Some(group) = group {
        // Before there is anything that would stay outside.
        fs::write(group.join("cgroup.procs"), "0").map_err(|error| {
            io::Error::new(error.kind(), format!("joining its control group: {error}"))
        })?;
    }
    close_others()?;
    // A group of its own, which also has its own share of the processor where the kernel has them.
    setsid()?;
    set_child_subreaper(true)?;
    // Before the node itself, where memory is short. No harm where that may not be said.
    drop(fs::write("/proc/self/oom_score_adj", "1000"));
    set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        return Err(io::Error::other("the node that started it is gone"));
    }
    let spaces = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWUTS;
    let left = confine::leave(spaces, Some(0))?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["worker", "--serve", "--seat", &getpid().to_string()]);
    match left {
        Left::Not => &mut command,
        Left::AsRoot => command.arg("--left"),
        Left::WithUsers => command.args(["--left", "--with-users"]),
    };
    let child = command.spawn()?;
    // The program's end is to be the end of the talk.
    dup2_stdin(fs::File::open("/dev/null")?)?;
    let program = Pid::from_raw(child.id().cast_signed());
    let status = loop {
        match waitpid(None, None) {
            Ok(status) if status.pid() == Some(program) => break status,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    end_the_rest();
    Ok(end_as(status))
}

/// A node's own descriptors are closed when it starts a program, but not all that its libraries opened.
fn close_others() -> io::Result<()> {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in open {
        // The one that the list itself was read by is closed already.
        let _ = close(number);
    }
    Ok(())
}

/// Ends what the program left behind, where it has no processes of its own: all of it is ours now.
fn end_the_rest() {
    for _ in 0..1000 {
        let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(child), Signal::SIGKILL);
        }
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::ECHILD) => return,
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(2)),
            Ok(_) | Err(_) => {}
        }
    }
}

/// Ends as the program did, so that the node sees how.
fn end_as(status: WaitStatus) -> ExitCode {
    if let WaitStatus::Signaled(_, signal, _) = status {
        // Twice: Rust hears some of them first.
        let _ = raise(signal);
        let _ = raise(signal);
    }
    if let WaitStatus::Exited(_, code) = status {
        ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
    } else {
        ExitCode::FAILURE
    }
}

/// The second process: reads its order, gives up the rest and becomes the program.
fn become_program(Inside { seat, left, with_users }: Inside) -> io::Result<Infallible> {
    let mut buffer = Vec::new();
    let order: Order =
        frame::read(&mut socket()?, 0, &mut buffer)
            .and_then(|frame| frame.head())
            .map_err(|error: FrameError| io::Error::other(format!("reading its order: {error}")))?;
    let Order { program, bounds } = &order;
    let left = match (left, with_users) {
        (false, _) => Left::Not,
        (true, false) => Left::AsRoot,
        (true, true) => Left::WithUsers,
    };
    let user = if left == Left::WithUsers { NOBODY } else { FIRST_USER + seat };
    let walls = Walls {
        folder: &program.folder,
        readable: &program.readable,
        scratch: Some(bounds.scratch_bytes),
        talks: program.talks,
        own_processes: left != Left::Not,
        user,
        memory_bytes: bounds.memory_bytes,
        processes: bounds.processes,
        files: bounds.files,
        time: None,
    };
    let confined = confine::confine(&walls, left)
        .map_err(|error| io::Error::new(error.kind(), format!("confining itself: {error}")))?;
    let without = confined.without.iter().map(|&what| what.into()).collect();
    tell(&Confined { without }, Kind::Confined)?;
    let scratch = confined.scratch.as_deref().unwrap_or(Path::new("/"));
    env::set_current_dir(scratch)?;
    let error = Command::new(&program.command)
        .args(&program.arguments)
        .env_clear()
        .env("HOME", scratch)
        .env("TMPDIR", scratch)
        .env(SILENCE.0, SILENCE.1)
        .env("BOTTEGA_MODEL", &confined.model)
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .exec();
    let command = program.command.display();
    Err(io::Error::new(error.kind(), format!("running `{command}`: {error}")))
}

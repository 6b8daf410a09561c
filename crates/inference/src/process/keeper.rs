//! The thread that keeps one process: starts it, watches it, and starts it again when it has ended.
//!
//! The kernel ends a worker when the thread that started it ends, so all of that is one thread.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Child,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use domain::Signature;

use super::{
    Host, Order, death,
    group::Group,
    link::{Link, Trouble},
    printed::Printed,
    tree,
};
use crate::{Error, sync::lock, worker};

/// How often a process is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long after its end the first new one is started; twice as long each time, up to the last.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(30);
/// One that has lived so long begins anew.
const STEADY: Duration = Duration::from_secs(60);
/// How long a worker may take to end what it started.
const ENDING: Duration = Duration::from_secs(2);

/// What a thread and its engine share.
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    phase: Phase,
    /// Why the present process is to be ended.
    end: Option<String>,
    /// Nobody wants it any more.
    is_closed: bool,
    /// The talk with the present process, to be cut from outside.
    socket: Option<UnixStream>,
    /// How many have ended, and why the last one did.
    ends: u64,
    last: String,
}

enum Phase {
    Starting,
    /// The engine takes the link out.
    Up(Option<Link>),
    /// Until then none is started.
    Down(Instant),
}

/// What is needed to talk, and how many processes had ended before this one.
pub(super) type Up = (Link, u64);

impl Shared {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.state));
        self.changed.notify_all();
    }

    /// Ends the present process.
    pub(super) fn end(&self, why: &str) {
        self.change(|state| {
            // One that has ended meanwhile is not to be taken for the next.
            if matches!(state.phase, Phase::Up(_)) {
                state.end = Some(why.to_owned());
                state.cut();
            }
        });
    }

    /// Ends it for good.
    pub(super) fn close(&self) {
        self.change(|state| {
            state.is_closed = true;
            state.cut();
        });
    }

    /// Waits for a process that can be asked, if one may come by then.
    pub(super) fn link(&self, deadline: Instant, patience: Duration) -> Result<Up, Error> {
        let until = deadline.min(Instant::now() + patience);
        let mut state = lock(&self.state);
        loop {
            let ends = state.ends;
            match &mut state.phase {
                Phase::Up(link) => {
                    if let Some(link) = link.take() {
                        return Ok((link, ends));
                    }
                }
                Phase::Down(at) if *at > until => return Err(Error::Gone(state.last.clone())),
                Phase::Down(_) | Phase::Starting => {}
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Error::Timeout);
            }
            if now >= until {
                return Err(Error::Gone(state.last.clone()));
            }
            let waited = self.changed.wait_timeout(state, until - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Why the process ended that came after so many; absent if it does not end in that time.
    pub(super) fn why_ended(&self, ends: u64, within: Duration) -> Option<String> {
        self.changed.notify_all();
        let state = lock(&self.state);
        let goes_on = |state: &mut State| state.ends <= ends;
        let waited = self.changed.wait_timeout_while(state, within, goes_on);
        let state = waited.unwrap_or_else(PoisonError::into_inner).0;
        (state.ends > ends).then(|| state.last.clone())
    }

    fn is_closed(&self) -> bool {
        lock(&self.state).is_closed
    }

    /// Why the present process is to be ended, if it is.
    fn is_to_end(&self) -> Option<String> {
        let mut state = lock(&self.state);
        state.end.take().or_else(|| state.is_closed.then(|| "it is not needed any more".to_owned()))
    }

    /// Sleeps until something changes, or not longer than this.
    fn sleep(&self, longest: Duration) {
        let state = lock(&self.state);
        if state.end.is_none() && !state.is_closed {
            drop(self.changed.wait_timeout(state, longest).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl State {
    fn cut(&mut self) {
        if let Some(socket) = &self.socket {
            // Nothing is left to cut where the other side is gone.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Starts a process and keeps it for as long as the engine wants it.
///
/// # Errors
/// The first one does not come to load the model.
pub(super) fn keep(
    host: &Host,
    order: Order,
) -> Result<(Arc<Shared>, Up, Option<Signature>), Error> {
    let state = State {
        phase: Phase::Starting,
        end: None,
        is_closed: false,
        socket: None,
        ends: 0,
        last: "it is being started".to_owned(),
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
    let (tell, first) = mpsc::channel();
    let (keeps, host) = (Arc::clone(&shared), host.clone());
    thread::Builder::new()
        .name("process".to_owned())
        .spawn(move || run(&keeps, &host, &order, tell))
        .map_err(Error::Thread)?;
    let first = first.recv().map_err(|_| Error::Worker("its thread panicked".to_owned()))?;
    let (link, signature) = first?;
    Ok((shared, (link, 0), signature))
}

type First = mpsc::Sender<Result<(Link, Option<Signature>), Error>>;

fn run(shared: &Shared, host: &Host, order: &Order, first: First) {
    let (mut first, mut wait) = (Some(first), SHORTEST);
    loop {
        let began = Instant::now();
        let cause = match Worker::start(shared, host, order) {
            Ok((mut worker, link, signature)) => {
                let link = match first.take() {
                    Some(first) => {
                        shared.change(|state| state.phase = Phase::Up(None));
                        // An engine that is gone has closed it.
                        drop(first.send(Ok((link, signature))));
                        None
                    }
                    None => Some(link),
                };
                shared.change(|state| {
                    if link.is_some() {
                        state.phase = Phase::Up(link);
                    }
                });
                worker.watch(shared, || false).unwrap_or_default()
            }
            Err(error) => {
                if let Some(first) = first.take() {
                    drop(first.send(Err(error)));
                    return;
                }
                error.to_string()
            }
        };
        if shared.is_closed() {
            return;
        }
        if began.elapsed() >= STEADY {
            wait = SHORTEST;
        }
        tracing::warn!(cause, again_in = ?wait, "a version's process ended");
        let at = Instant::now() + wait;
        shared.change(|state| {
            state.phase = Phase::Down(at);
            state.ends += 1;
            state.last = cause;
            state.socket = None;
            state.end = None;
        });
        while Instant::now() < at && !shared.is_closed() {
            shared.sleep(at.saturating_duration_since(Instant::now()));
        }
        if shared.is_closed() {
            return;
        }
        wait = (wait * 2).min(LONGEST);
        shared.change(|state| state.phase = Phase::Starting);
    }
}

/// One process, from its start to its end.
struct Worker {
    child: Child,
    printed: Printed,
    /// What it may have.
    memory_bytes: u64,
    group: Option<Group>,
}

impl Worker {
    fn start(
        shared: &Shared,
        host: &Host,
        order: &Order,
    ) -> Result<(Self, Link, Option<Signature>), Error> {
        let ours = |error: io::Error| Error::Worker(error.to_string());
        let (stream, theirs) = UnixStream::pair().map_err(ours)?;
        let (reader, writer) = io::pipe().map_err(ours)?;
        let bounds = &order.bounds;
        let group = host.groups.as_ref().map(|groups| groups.group(bounds)).transpose();
        let group = group.map_err(ours)?;
        let child = spawn(host, group.as_ref(), theirs, writer).map_err(ours)?;
        let printed = Printed::listen(host, reader)?;
        let mut worker = Self { child, printed, memory_bytes: bounds.memory_bytes, group };
        let cut = stream.try_clone().map_err(ours)?;
        shared.change(|state| state.socket = Some(cut));
        let mut link = Link::new(stream, bounds.output_bytes).map_err(ours)?;
        // It is watched while it loads as well.
        let is_loaded = AtomicBool::new(false);
        let (loaded, ended) = thread::scope(|scope| {
            let talk = scope.spawn(|| {
                let loaded = load(&mut link, host, order);
                is_loaded.store(true, SeqCst);
                shared.change(|_| {});
                loaded
            });
            let ended = worker.watch(shared, || is_loaded.load(SeqCst));
            if ended.is_some() {
                shared.change(|state| state.cut());
            }
            (talk.join(), ended)
        });
        let loaded = loaded.map_err(|_| Error::Worker("its thread panicked".to_owned()))?;
        let (confined, trouble) = match loaded {
            Ok(signature) if ended.is_none() => return Ok((worker, link, signature)),
            Ok(_) => (true, Trouble::Went),
            Err(failed) => failed,
        };
        let cause = ended.or_else(|| match trouble {
            Trouble::Went | Trouble::WasGone => worker.wait_for_end(),
            Trouble::Said(_) | Trouble::Silent | Trouble::Broken(_) => None,
        });
        worker.end();
        let why = match (trouble, cause) {
            (Trouble::Said(error), _) => return Err(error),
            (_, Some(cause)) => cause,
            (Trouble::Broken(why), _) => why,
            (Trouble::Silent, _) => {
                format!("it was not done within {} s", bounds.loading.as_secs_f64())
            }
            (Trouble::Went | Trouble::WasGone, None) => "it closed its socket".to_owned(),
        };
        Err(if confined { Error::Model(why) } else { Error::Worker(why) })
    }

    /// Stays with it till it ends, is to be ended, or this is so. Tells why it ended.
    fn watch(&mut self, shared: &Shared, is_done: impl Fn() -> bool) -> Option<String> {
        let (mut looked, mut was_stopped) = (Instant::now(), false);
        loop {
            if let Some(cause) = self.cause() {
                return Some(cause);
            }
            if let Some(why) = shared.is_to_end() {
                self.end();
                return Some(why);
            }
            if is_done() {
                return None;
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                let processes = tree::below(self.child.id());
                let is_stopped = processes.iter().skip(1).any(|&it| tree::is_stopped(it));
                let is_looked_after = self.group.as_ref().is_some_and(Group::bounds_memory);
                let why = if !is_looked_after && tree::memory(&processes) > self.memory_bytes {
                    Some(self.too_much())
                } else if is_stopped && was_stopped {
                    Some("it was made to stand still".to_owned())
                } else {
                    None
                };
                was_stopped = is_stopped;
                if let Some(why) = why {
                    self.end();
                    return Some(why);
                }
            }
            shared.sleep(LOOK);
        }
    }

    /// Why it ended, if it has.
    fn cause(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        if self.group.as_ref().is_some_and(Group::is_out_of_memory) {
            return Some(self.too_much());
        }
        Some(death::cause(status, &self.printed.all()))
    }

    fn too_much(&self) -> String {
        format!("it took more than {} MiB of memory", self.memory_bytes >> 20)
    }

    /// Why it ended, which it is about to.
    fn wait_for_end(&mut self) -> Option<String> {
        let until = Instant::now() + ENDING;
        while Instant::now() < until {
            if let Some(cause) = self.cause() {
                return Some(cause);
            }
            thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Ends it, with all that it started.
    fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // The worker's keeper ends what the program started, and then itself.
        tree::below(self.child.id()).into_iter().skip(1).take(1).for_each(tree::end);
        if self.wait_for_end().is_none() {
            // It has ended meanwhile, or the kernel does not let it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

/// Has it confine itself and load. Tells with a trouble whether it came to the model.
fn load(link: &mut Link, host: &Host, order: &Order) -> Result<Option<Signature>, (bool, Trouble)> {
    let until = Instant::now() + order.bounds.loading;
    let without = link.order(order, until).map_err(|trouble| (false, trouble))?;
    host.note_missing(without);
    link.load(&order.program.load, until).map_err(|trouble| (true, trouble))
}

fn spawn(
    host: &Host,
    group: Option<&Group>,
    socket: UnixStream,
    output: io::PipeWriter,
) -> io::Result<Child> {
    let mut command = worker::command(&host.exe, "--serve");
    if let Some(group) = group {
        command.arg("--group").arg(group.folder());
    }
    command.stdin(OwnedFd::from(socket)).stdout(output.try_clone()?).stderr(output).spawn()
}

//! What a program can do that means harm, or breaks.

use std::{
    net::TcpListener,
    path::Path,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use inference::{Error, Profile, Replica, ReplicaOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::*;

macro_rules! tests {
    ($($name:ident),* $(,)?) => {
        vec![$(Trial::test(concat!("hostile::", stringify!($name)), || { $name(); Ok(()) })),*]
    };
}

pub fn tests() -> Vec<Trial> {
    tests![
        it_sees_nothing_of_the_machine,
        it_reaches_no_network,
        it_writes_into_its_own_folder_only_and_not_without_end,
        it_may_not_ask_the_kernel_for_much,
        memory_is_bounded_for_one_process_and_for_all,
        processes_are_bounded_and_end_with_it,
        a_flood_of_lines_slows_only_itself,
        a_killed_one_fails_those_in_flight_and_is_there_again,
        one_that_stands_still_is_replaced,
        one_that_hangs_is_ended_at_the_deadline,
        how_it_ends_is_told,
        what_it_says_is_checked,
        one_that_does_not_load_says_why,
        it_dies_with_its_host,
        a_group_bounds_all_its_processes,
    ]
}

/// A program that does what it is told, the interpreter that it runs by, and how it is bounded.
fn hostile(host: &Host, first: &str, bounds: Bounds) -> Result<ProcessEngine, Error> {
    let told = Command::new("python3")
        .args(["-c", "import sys; print(sys.base_prefix); print(sys._base_executable)"])
        .output()
        .unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let (prefix, python) = told.trim_end().split_once('\n').unwrap();
    let mut readable = Program::machine();
    readable.push(prefix.into());
    let source = include_str!("hostile.py");
    let folder = folder().keep();
    fs::write(folder.join("weights"), "the version's own").unwrap();
    let program = Program {
        command: python.into(),
        arguments: ["-I", "-c", source].map(String::from).to_vec(),
        environment: vec![("OMP_NUM_THREADS".to_owned(), "1".to_owned())],
        readable,
        folder,
        talks: false,
        load: serde_json::json!({ "first": first }),
    };
    ProcessEngine::start(host, program, bounds, None)
}

fn bounds() -> Bounds {
    let (memory_bytes, scratch_bytes) = (256 << 20, 8 << 20);
    Bounds {
        memory_bytes,
        processes: 16,
        scratch_bytes,
        output_bytes: 1 << 20,
        ..Bounds::default()
    }
}

fn start() -> ProcessEngine {
    hostile(&onnx_host(), "", bounds()).unwrap()
}

/// As a node has it: in control groups, where this machine has them.
fn grouped() -> &'static Host {
    static HOST: LazyLock<Host> = LazyLock::new(|| onnx_host().in_groups());
    &HOST
}

fn question(code: &str) -> Vec<Tensor> {
    vec![Tensor::new("do", vec![1], TensorData::Bytes(vec![code.into()])).unwrap()]
}

fn within(engine: &mut ProcessEngine, code: &str, time: Duration) -> Result<String, Error> {
    let outputs = engine.infer(&question(code), Instant::now() + time)?;
    let TensorData::Bytes(said) = &outputs[0].data else { panic!("{outputs:?}") };
    Ok(String::from_utf8(said[0].clone()).unwrap())
}

fn ask(engine: &mut ProcessEngine, code: &str) -> Result<String, Error> {
    within(engine, code, Duration::from_secs(30))
}

/// What the code fails with.
fn fails(engine: &mut ProcessEngine, code: &str) -> String {
    match ask(engine, code) {
        Err(Error::Failed(why)) => why,
        other => panic!("{code}: {other:?}"),
    }
}

/// Waits until the condition holds.
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "not in time: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn it_sees_nothing_of_the_machine() {
    let secret = folder();
    let secret = secret.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let mut engine = start();
    let weights = "open(os.environ['BOTTEGA_MODEL'] + '/weights').read()";
    assert_eq!(ask(&mut engine, weights).unwrap(), "the version's own");
    for path in [secret.to_str().unwrap(), "/etc/shadow", "/var", env!("CARGO_MANIFEST_DIR")] {
        let why = fails(
            &mut engine,
            &format!("os.listdir({path:?}) if os.path.isdir({path:?}) else open({path:?})"),
        );
        assert!(why.contains("No such file") || why.contains("ermission"), "{path}: {why}");
    }
    let names = ask(&mut engine, "sorted(os.environ)").unwrap();
    assert_eq!(
        names,
        "['BOTTEGA_MODEL', 'HOME', 'LC_CTYPE', 'OMP_NUM_THREADS', 'ORT_DISABLE_TELEMETRY', 'TMPDIR']"
            .replace(if names.contains("LC_CTYPE") { "" } else { "'LC_CTYPE', " }, "",)
    );
    // Nothing of the node but the socket and what it prints to.
    let open =
        ask(&mut engine, "[os.readlink(f'/proc/self/fd/{n}').split(':')[0] for n in (0, 1, 2, 3)]");
    assert_eq!(open.unwrap(), "['/dev/null', 'pipe', 'pipe', 'socket']");
    assert_eq!(
        ask(&mut engine, "len([n for n in os.listdir('/proc') if n.isdigit()])").unwrap(),
        "1"
    );
    let ids =
        ask(&mut engine, "os.getuid() >= 65534, os.getgid() >= 65534, os.getgroups()").unwrap();
    assert_eq!(ids, "(True, True, [])");
    assert!(fails(&mut engine, "os.kill(os.getppid() or -1, 9)").contains("Error"));
    // What it finds, it may not change.
    for code in [
        "open(os.environ['BOTTEGA_MODEL'] + '/weights', 'w')",
        "os.chmod(os.environ['BOTTEGA_MODEL'], 0o777)",
        "os.mkdir('/new')",
        "os.remove('/usr/bin/env')",
    ] {
        let why = fails(&mut engine, code);
        assert!(why.contains("Read-only") || why.contains("ermi"), "{code}: {why}");
    }
}

fn it_reaches_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut engine = start();
    for code in [
        format!("socket.create_connection(('127.0.0.1', {port}), 2)"),
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))"
            .to_owned(),
        "socket.socket(socket.AF_INET6, socket.SOCK_STREAM)".to_owned(),
        "socket.socket(socket.AF_PACKET, socket.SOCK_RAW)".to_owned(),
        "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)".to_owned(),
    ] {
        assert!(fails(&mut engine, &code).contains("ermission"), "{code}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err());
    // What processes of one program talk by is left.
    assert_eq!(ask(&mut engine, "len(socket.socketpair())").unwrap(), "2");
}

fn it_writes_into_its_own_folder_only_and_not_without_end() {
    let mut engine = start();
    let write = |path: &str| format!("open({path:?}, 'w').write('x' * 1000)");
    for path in ["here", "/tmp/there"] {
        assert_eq!(ask(&mut engine, &write(path)).unwrap(), "1000");
    }
    assert_eq!(
        ask(&mut engine, "os.getcwd() == os.environ['HOME'] == os.environ['TMPDIR']").unwrap(),
        "True"
    );
    let endless = "[open(f'f{at}', 'wb').write(b'x' * (1 << 20)) for at in range(64)]";
    let why = fails(&mut engine, endless);
    assert!(why.contains("No space left"), "{why}");
    for path in ["/etc/x", "/usr/x", "/x", "/dev/x", "/proc/x"] {
        assert!(matches!(ask(&mut engine, &write(path)), Err(Error::Failed(_))), "{path}");
    }
}

fn it_may_not_ask_the_kernel_for_much() {
    let mut engine = start();
    // ptrace, mount, bpf, keyctl, io_uring_setup, unshare, perf_event_open, setns, chroot
    for number in [101, 165, 321, 250, 425, 272, 298, 308, 161] {
        let call = format!(
            "__import__('ctypes').CDLL(None, use_errno=True).syscall({number}, 0x10000000, 0, 0, 0, 0)"
        );
        let said =
            ask(&mut engine, &format!("({call}, __import__('ctypes').get_errno())")).unwrap();
        assert!(said.starts_with("(-1, "), "{number}: {said}");
    }
    let status = ask(&mut engine, "open('/proc/self/status').read()").unwrap();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
        assert!(status.contains(line), "{status}");
    }
}

fn memory_is_bounded_for_one_process_and_for_all() {
    for host in [&onnx_host(), grouped()] {
        memory_is_bounded(hostile(host, "", bounds()).unwrap());
    }
}

fn memory_is_bounded(mut engine: ProcessEngine) {
    let why = fails(&mut engine, "len(bytearray(50 << 30))");
    assert!(why.contains("MemoryError"), "{why}");
    assert_eq!(ask(&mut engine, "1 + 1").unwrap(), "2");
    // Each takes less than one may have, but all of them more.
    let bomb = "[os.fork() or exec('x = bytearray(b\"x\" * (60 << 20))\\nimport time\\ntime.sleep(60)') for _ in range(8)]";
    match ask(&mut engine, &format!("({bomb}, __import__('time').sleep(60))")) {
        Err(Error::Gone(why)) => assert!(why.contains("more than 256 MiB"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ask(&mut engine, "1 + 1").unwrap(), "2");
}

fn processes_are_bounded_and_end_with_it() {
    let mut engine = start();
    let other = start();
    // They leave their group, so that no signal to it finds them.
    let bomb = "def bomb():\n import ctypes, time\n for _ in range(1000):\n  try:\n   if os.fork() == 0:\n    os.setsid()\n    ctypes.CDLL(None).prctl(15, b'bottega-bomb')\n    time.sleep(600)\n  except BlockingIOError:\n   return\n";
    let said = ask(&mut engine, &format!("exec({bomb:?}, globals()) or bomb()")).unwrap();
    assert_eq!(said, "None");
    let count = ask(&mut engine, "len([n for n in os.listdir('/proc') if n.isdigit()])").unwrap();
    assert!((2..=17).contains(&count.parse::<u32>().unwrap()), "{count}");
    // Another version's processes are counted apart.
    let mut other = other;
    assert_eq!(
        ask(&mut other, "__import__('subprocess').run(['/usr/bin/env']).returncode").unwrap(),
        "0"
    );
    drop(engine);
    eventually("what it forked has ended", || bombs() == 0);
}

/// How many processes of a fork bomb there are.
fn bombs() -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter(|entry| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            name.trim_end() == "bottega-bomb"
        })
        .count()
}

fn a_flood_of_lines_slows_only_itself() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let host =
        onnx_host().printing(Arc::new(move |line| heard.lock().unwrap().push(line.to_owned())));
    let mut flooding = hostile(&host, "print('before', flush=True)", bounds()).unwrap();
    let late =
        within(&mut flooding, "[print('x' * 100) for _ in iter(int, 1)]", Duration::from_secs(2));
    assert!(matches!(late, Err(Error::Timeout)), "{late:?}");
    assert_eq!(ask(&mut flooding, "1 + 1").unwrap(), "2");
    let lines = lines.lock().unwrap();
    assert_eq!(lines[0], "before");
    assert!(lines.len() < 2000, "{}", lines.len());
}

fn replica(engine: ProcessEngine) -> (Replica, tokio::runtime::Runtime) {
    let none = Duration::ZERO;
    let profile = Profile { batchable: false, single: none, max_batch: 1, per_row: none };
    let replica = Replica::start(vec![Box::new(engine)], profile, &ReplicaOptions::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    (replica.unwrap(), runtime)
}

fn a_killed_one_fails_those_in_flight_and_is_there_again() {
    let mut engine = start();
    let space = space(&mut engine);
    let (replica, runtime) = replica(engine);
    let ask = |code: &'static str| {
        runtime.block_on(replica.infer(question(code), Instant::now() + Duration::from_secs(30)))
    };
    let killed = thread::scope(|scope| {
        let in_flight = scope.spawn(|| ask("__import__('time').sleep(60)"));
        thread::sleep(Duration::from_millis(300));
        kill(Pid::from_raw(process_in(&space).unwrap()), Signal::SIGKILL).unwrap();
        in_flight.join().unwrap()
    });
    match killed {
        Err(Error::Gone(why)) => assert!(why.contains("killed (SIGKILL)"), "{why}"),
        other => panic!("{other:?}"),
    }
    let start = Instant::now();
    assert!(ask("1 + 1").is_ok());
    assert!(start.elapsed() < Duration::from_secs(2));
    // One that ends while nobody asks fails nobody.
    assert!(ask("__import__('threading').Timer(0.2, os._exit, [7]).start()").is_ok());
    thread::sleep(Duration::from_millis(400));
    assert!(ask("1 + 1").is_ok());
}

/// What tells a program's processes apart, inside and outside: the space that they are numbered in.
fn space(engine: &mut ProcessEngine) -> String {
    ask(engine, "os.readlink('/proc/self/ns/pid')").unwrap()
}

/// The first process of such a space.
fn process_in(space: &str) -> Option<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let theirs = processes.filter(|entry| {
        let link = fs::read_link(entry.path().join("ns/pid")).unwrap_or_default();
        link.to_str() == Some(space)
    });
    theirs.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).min()
}

fn one_that_stands_still_is_replaced() {
    let mut engine = start();
    let space = space(&mut engine);
    kill(Pid::from_raw(process_in(&space).unwrap()), Signal::SIGSTOP).unwrap();
    match ask(&mut engine, "1 + 1") {
        Err(Error::Gone(why)) => assert!(why.contains("stand still"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(ask(&mut engine, "1 + 1").unwrap(), "2");
}

fn one_that_hangs_is_ended_at_the_deadline() {
    let mut engine = start();
    let (start, time) = (Instant::now(), Duration::from_millis(200));
    let late = within(&mut engine, "[0 for _ in iter(int, 1)]", time);
    assert!(matches!(late, Err(Error::Timeout)), "{late:?}");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(ask(&mut engine, "1 + 1").unwrap(), "2");
}

fn how_it_ends_is_told() {
    let mut engine = start();
    for (code, told) in [
        (
            "(print('Traceback: the last words', flush=True), os._exit(3))",
            "exit code 3); it last printed: Traceback: the last words",
        ),
        ("__import__('ctypes').string_at(0)", "SIGSEGV"),
        ("os.close(node.fileno()) or __import__('time').sleep(60)", "closed its socket"),
    ] {
        match ask(&mut engine, code) {
            Err(Error::Gone(why)) => assert!(why.contains(told), "{code}: {why}"),
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(ask(&mut engine, "1 + 1").unwrap(), "2", "after {code}");
    }
}

fn what_it_says_is_checked() {
    for code in [
        "node.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n' * 9)",
        "send(4, number + 1, {'tensors': []})",
        "send(2, number, {'signature': None})",
        "send(4, number, {'tensors': [{'name': 'said', 'datatype': 'BYTES', 'shape': [9], 'bytes': 4}]}, b'\\0' * 4)",
        "node.sendall(struct.pack('<4sB3xIIQ', b'BTG1', 4, 8, number, 1 << 60) + b'{}      ')",
        "send(5, number, {'kind': 'no such', 'message': 'x'})",
    ] {
        // Each a new one: the more often one breaks, the longer it takes to come again.
        let mut engine = start();
        match ask(&mut engine, code) {
            Err(Error::Gone(why)) => assert!(why.contains("it "), "{code}: {why}"),
            other => panic!("{code}: {other:?}"),
        }
        assert_eq!(ask(&mut engine, "1 + 1").unwrap(), "2", "after {code}");
    }
    // A megabyte of words, with a bell in it.
    let why = fails(&mut start(), "exec('raise ValueError(\"\\\\a\" + \"x\" * (1 << 20))')");
    assert!(why.starts_with("ValueError:  x") && why.len() <= 4096, "{}", why.len());
}

fn one_that_does_not_load_says_why() {
    let failed = |first: &str| match hostile(&onnx_host(), first, bounds()) {
        Err(Error::Model(why)) => why,
        Err(other) => panic!("{first}: {other:?}"),
        Ok(_) => panic!("{first}: it loaded"),
    };
    assert!(failed("raise SystemExit('no such module')").contains("no such module"));
    assert!(
        failed("send(5, number, {'kind': 'load', 'message': 'no weights'})").contains("no weights")
    );
    assert!(failed("node.sendall(b'x' * 99)").contains("no frame"));
    let bounds = Bounds { loading: Duration::from_millis(700), ..bounds() };
    match hostile(&onnx_host(), "import time; time.sleep(60)", bounds) {
        Err(Error::Model(why)) => assert!(why.contains("within 0.7 s"), "{why}"),
        other => panic!("{:?}", other.err()),
    }
    let nothing = Host::new("/bin/false".into());
    assert!(matches!(hostile(&nothing, "", self::bounds()), Err(Error::Worker(_))));
}

/// Keeps a version till it is killed.
pub fn host() -> ! {
    let mut engine = start();
    fs::write(std::env::var("TOLD").unwrap(), space(&mut engine)).unwrap();
    loop {
        thread::sleep(Duration::from_secs(60));
    }
}

fn it_dies_with_its_host() {
    let told = tempfile::NamedTempFile::new().unwrap();
    let exe = std::env::current_exe().unwrap();
    let mut host = Command::new(exe).arg("host").env("TOLD", told.path()).spawn().unwrap();
    let space = || fs::read_to_string(told.path()).unwrap();
    eventually("it is up", || space().ends_with(']'));
    let space = space();
    assert!(process_in(&space).is_some());
    host.kill().unwrap();
    host.wait().unwrap();
    eventually("it is gone", || process_in(&space).is_none());
}

/// What is without control groups is told, and whoever is bounded by them lives in one that ends with it.
fn a_group_bounds_all_its_processes() {
    let host = grouped();
    let missing = host.missing();
    let mut engine = hostile(host, "", bounds()).unwrap();
    let process = process_in(&space(&mut engine)).unwrap();
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap();
    let ours = format!("/bottega.{}/", std::process::id());
    let group = groups.lines().find(|line| line.starts_with("0::") && line.contains(&ours));
    if missing.iter().any(|what| what == "control groups") {
        assert_eq!(group, None, "{groups}");
        return;
    }
    let (_, name) = group.unwrap().rsplit_once('/').unwrap();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).unwrap();
    let top = Path::new(mount.split(' ').nth(4).unwrap());
    let found = Command::new("find").arg(top).args(["-path", &format!("*{ours}{name}")]).output();
    let found = String::from_utf8(found.unwrap().stdout).unwrap();
    let folder = Path::new(found.trim_end());
    let lacking = missing.iter().find_map(|what| what.strip_prefix("control groups' "));
    let lacking: Vec<_> = lacking.unwrap_or_default().split(", ").collect();
    for (controller, file, expected) in [
        ("memory", "memory.max", (264 << 20).to_string()),
        ("memory", "memory.oom.group", "1".to_owned()),
        ("cpu", "cpu.max", "100000 100000".to_owned()),
        ("pids", "pids.max", "18".to_owned()),
    ] {
        let limit = fs::read_to_string(folder.join(file)).ok();
        let expected = (!lacking.contains(&controller)).then_some(expected);
        assert_eq!(limit.as_deref().map(str::trim_end), expected.as_deref(), "{file}");
    }
    // What it starts is there too, and it sees nothing of this.
    ask(&mut engine, "os.fork() or __import__('time').sleep(600)").unwrap();
    let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap();
    assert_eq!(processes.lines().count(), 3, "{processes}");
    assert!(fails(&mut engine, "open('/sys/fs/cgroup/cgroup.procs')").contains("No such file"));
    drop(engine);
    eventually("its group is gone", || !folder.exists());
    assert!(folder.parent().unwrap().exists());
}

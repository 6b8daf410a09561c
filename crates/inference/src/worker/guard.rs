//! What a worker may not ask the kernel for.
//!
//! It needs files, memory, threads and its socket. What else a kernel offers is where its faults are found:
//! looking into other processes, mounting, namespaces, packet filters, rings of requests, keys.

use std::{
    collections::BTreeMap,
    env::consts::ARCH,
    io,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus, Scope, path_beneath_rules,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// What we know of Landlock; an older kernel holds to as much of it as it knows.
const LANDLOCK: ABI = ABI::V6;

/// Refused whatever they are asked with.
const REFUSED: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_mknodat,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
];

/// What a new process may not be moved into.
const SPACES: &[i32] = &[
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUTS,
];

/// Whom a worker may talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sockets {
    /// Nobody.
    None,
    /// Processes of this machine that it finds by what it may see.
    Local,
    /// Itself too, over the network that it has to itself.
    ItsOwn,
}

/// Lets only these be read, and only this be written; false where the kernel has no Landlock.
pub(super) fn files(read: &[PathBuf], write: Option<&Path>, sockets: Sockets) -> io::Result<bool> {
    let write = write.into_iter().chain(["/dev/null", "/dev/zero"].map(Path::new));
    let restricted = || -> Result<_, RulesetError> {
        let rules = Ruleset::default().handle_access(AccessFs::from_all(LANDLOCK))?;
        let rules = match sockets {
            Sockets::ItsOwn => rules,
            Sockets::None | Sockets::Local => rules.handle_access(AccessNet::from_all(LANDLOCK))?,
        };
        rules
            .scope(Scope::from_all(LANDLOCK))?
            .create()?
            .add_rules(path_beneath_rules(read, AccessFs::from_read(LANDLOCK)))?
            .add_rules(path_beneath_rules(write, AccessFs::from_all(LANDLOCK)))?
            .restrict_self()
    };
    let status = restricted().map_err(io::Error::other)?;
    Ok(!matches!(status.ruleset, RulesetStatus::NotEnforced))
}

/// Lets the kernel refuse what a worker does not need.
pub(super) fn calls(sockets: Sockets) -> io::Result<()> {
    let program = |filter: Result<BpfProgram, seccompiler::Error>| {
        filter.and_then(|program| apply_filter_all_threads(&program)).map_err(io::Error::other)
    };
    program(refusals(sockets))?;
    // Its flags lie in memory, where no filter sees them: as if it were not there, so that the older call
    // is made instead.
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    program(filter(rules, libc::ENOSYS))
}

fn refusals(sockets: Sockets) -> Result<BpfProgram, seccompiler::Error> {
    let condition = |index, operation, value| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, operation, value)
    };
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let families: &[i32] = match sockets {
        Sockets::None => &[],
        Sockets::Local => &[libc::AF_UNIX],
        Sockets::ItsOwn => &[libc::AF_UNIX, libc::AF_INET, libc::AF_INET6],
    };
    // Refused is what is none of them: all conditions of a rule must hold.
    let others =
        families.iter().map(|family| condition(0, SeccompCmpOp::Ne, family.unsigned_abs().into()));
    let others: Vec<_> = others.collect::<Result<_, _>>()?;
    let refused = if others.is_empty() { Vec::new() } else { vec![SeccompRule::new(others)?] };
    rules.insert(libc::SYS_socket, refused);
    let spaces = SPACES.iter().map(|space| u64::from(space.unsigned_abs()));
    let into_space = |space| {
        condition(0, SeccompCmpOp::MaskedEq(space), space)
            .and_then(|condition| SeccompRule::new(vec![condition]))
    };
    rules.insert(libc::SYS_clone, spaces.map(into_space).collect::<Result<_, _>>()?);
    filter(rules, libc::EPERM)
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    error: i32,
) -> Result<BpfProgram, seccompiler::Error> {
    let refuse = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refuse, ARCH.try_into()?)?;
    Ok(filter.try_into()?)
}

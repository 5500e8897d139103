"""The system-call filter of every guest, made once by libseccomp and handed over as bytes."""

from __future__ import annotations

import errno
import os
import tempfile

from upwhisk.common.errors import ConfinementMissing

REMEDY = "the library libseccomp2 cannot be loaded: install it (apt install libseccomp2)"
NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW* flag that clone(2) knows

# An allow-list: what a kernel adds later is refused until somebody has looked at it.
CALLS = """
accept accept4 access alarm arch_prctl bind brk cachestat capget capset chdir chmod chown clock_getres clock_gettime
clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl
epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr
fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list
get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl ioprio_get kill lchown
lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise membarrier memfd_create
mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mremap mseal msgctl msgget msgrcv msgsnd msync munlock
munlockall munmap name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe
pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 pselect6 pwrite64 pwritev
pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename renameat
renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getaffinity
sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setscheduler sched_yield
seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list set_tid_address setfsgid
setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid
setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair splice stat
statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask
uname unlink unlinkat utime utimensat utimes vfork wait4 waitid waitpid write writev
"""
# Programs ask for these and go on without them.
ABSENT = ("clone3", "io_uring_setup", "io_uring_enter", "io_uring_register")
SOCKETS = (1, 2, 10)  # AF_UNIX, AF_INET, AF_INET6
_NETLINK, _NETLINK_ROUTE = 16, 0
PERSONALITIES = (0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)


def guest_filter() -> bytes:
    """The filter for this machine's architecture, ready for the kernel. Raises `ConfinementMissing`."""
    try:
        import pyseccomp  # loads a C library, which may be missing
    except (ImportError, OSError, RuntimeError):
        raise ConfinementMissing((REMEDY,)) from None
    rules = pyseccomp.SyscallFilter(defaction=pyseccomp.ERRNO(errno.EPERM))
    # A binary tree: the kernel tries every call when it loads a filter, which costs 0.4 ms with a linear one.
    rules.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
    for name in CALLS.split():
        if _known(pyseccomp, name):
            rules.add_rule(pyseccomp.ALLOW, name)
    _add_conditions(pyseccomp, rules)
    for name in ABSENT:
        if _known(pyseccomp, name):
            rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), name)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0, os.SEEK_SET)
        return file.read()


def _known(library: object, name: str) -> bool:
    """A call that this architecture or this release of the library does not have needs no rule."""
    number: int = library.resolve_syscall(library.Arch.NATIVE, name)  # type: ignore[attr-defined]
    return number >= 0


def _add_conditions(library: object, rules: object) -> None:
    allow, argument = library.ALLOW, library.Arg  # type: ignore[attr-defined]
    equal, masked = library.EQ, library.MASKED_EQ  # type: ignore[attr-defined]
    add = rules.add_rule  # type: ignore[attr-defined]
    add(allow, "clone", argument(0, masked, NEW_NAMESPACES, 0))
    for family in SOCKETS:
        add(allow, "socket", argument(0, equal, family))
    add(allow, "socket", argument(0, equal, _NETLINK), argument(2, equal, _NETLINK_ROUTE))
    for value in PERSONALITIES:
        add(allow, "personality", argument(0, masked, 0xFFFFFFFF, value))

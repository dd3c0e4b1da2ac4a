"""Runs in the child between fork and exec: becomes what the server needs, then executes it.

Started as a script (`python -I -S launch.py PARENT SIGNAL ACCOUNT COMMAND…`), so it may import only the standard
library. A script instead of `preexec_fn`, because code between fork and exec is unsafe in a process with threads.
ACCOUNT is `self`, `userns` (root only: a user namespace in which root appears as `nobody`, so that PostgreSQL
agrees to run while every file on disk stays root's) or `setuid` (root where such namespaces are forbidden).
The process id stays the same across exec, so the parent's pid is the server's.
"""

import ctypes
import os
import pwd
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
#: Exit status for "could not enter the user namespace".
REFUSED = 126
#: Exit status for "the parent died before the command was executed".
ORPHANED = 127


def enter_user_namespace() -> None:
    """Map this process's root to `nobody`; ends the process with `REFUSED` where that is forbidden."""
    uid = pwd.getpwnam("nobody").pw_uid  # initdb wants a uid that has an account
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER):
        os._exit(REFUSED)
    try:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} 0 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{uid} 0 1", encoding="ascii")
    except OSError:
        os._exit(REFUSED)


def drop_to_nobody() -> None:
    """Give up root for the `nobody` account."""
    account = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def die_with_parent(parent: int, signum: int) -> None:
    """Ask the kernel for `signum` when the parent's thread ends (Linux; elsewhere only the guardian helps)."""
    if sys.platform == "linux" and signum:
        # After every change of credentials, because such a change clears the request.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(ORPHANED)


def main(arguments: list[str]) -> None:
    """Become the account, tie the life to the parent's, execute the command."""
    parent, signum, account, *command = arguments
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ignored, signal.SIG_DFL)  # a shell's `&` hands down an ignored SIGINT
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if account == "userns":
        enter_user_namespace()
    elif account == "setuid":
        drop_to_nobody()
    die_with_parent(int(parent), int(signum))
    os.execv(command[0], command)  # noqa: S606 - no shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])

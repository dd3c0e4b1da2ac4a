"""PostgreSQL of a data folder: cluster, roles, database.

It uses the binaries only. The owner role (`hoard_owner`, superuser by initdb) runs migrations; the application's
role (`hoard_app`) may log in and nothing more until a migration grants it rows.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from app.embedded.binaries import postgres_bin_dir
from app.embedded.errors import EmbeddedError, StartError
from app.embedded.folder import DataFolder, write_private
from app.embedded.process import (
    Account,
    ProcessSpec,
    evict,
    launch_argv,
    log_tail,
    own_environment,
    processes_in,
)

OWNER: Final = "hoard_owner"
APPLICATION: Final = "hoard_app"
DATABASE: Final = "hoard"

_SERVER_SETTINGS: Final = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",  # socket paths have a length limit, loopback has none
    "shared_buffers=128MB",
    "max_connections=100",
    "synchronous_commit=on",
    "max_wal_size=1GB",
    "log_statement=none",
    "log_min_error_statement=panic",  # statements may carry prompts; the log may not
    "log_error_verbosity=terse",  # nor may the row values of an error's detail
    "log_parameter_max_length=0",
    "log_parameter_max_length_on_error=0",
)
#: Seconds a fast stop may take: its last checkpoint writes out the shared buffers.
_GRACE: Final = 20.0


class Postgres:
    """The PostgreSQL server of one data folder."""

    name = "postgres"
    replaced_by = "HOARD_DATABASE_URL"

    def __init__(self, folder: DataFolder) -> None:
        """Bind it to a folder; nothing is started or created yet."""
        self._folder = folder
        self._data = folder.path / "postgres"
        self._port = 0

    def spec(self) -> ProcessSpec:
        """Create the cluster if there is none, and say how to run it."""
        binaries = postgres_bin_dir()
        account = self._account(binaries)
        if not self._data.exists():
            self._create_cluster(binaries, account)
        self._port = self._folder.ports("postgres")["postgres"]
        options = [part for setting in _SERVER_SETTINGS for part in ("-c", setting)]
        return ProcessSpec(
            name=self.name,
            argv=(str(binaries / "postgres"), "-D", str(self._data), "-p", str(self._port), *options),
            cwd=Path("/"),
            log=self._log,
            env=own_environment(),
            stop_signal=signal.SIGINT,  # fast; SIGTERM would wait for every client
            grace=_GRACE,
            account=account,
            tidy=self._clear_remains,
        )

    def ready(self) -> bool:
        """Whether it accepts the owner's connections."""
        import psycopg  # noqa: PLC0415 - loaded while the servers start

        try:
            psycopg.connect(self._url(OWNER, "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def set_up(self) -> None:
        """Create the application's role and the database if they are missing."""
        import psycopg  # noqa: PLC0415 - loaded while the servers start
        from psycopg import sql  # noqa: PLC0415

        with psycopg.connect(self._url(OWNER, "postgres"), autocommit=True) as connection:
            password = sql.Literal(self._folder.secrets.app_password)
            role, database = sql.Identifier(APPLICATION), sql.Identifier(DATABASE)
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [APPLICATION]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(database, sql.Identifier(OWNER))
                )

    def settings(self) -> dict[str, str]:
        """URLs of the application's role and of the owner."""
        return {
            "HOARD_DATABASE_URL": self._url(APPLICATION, DATABASE),
            "HOARD_MIGRATE_URL": self._url(OWNER, DATABASE),
        }

    @property
    def _log(self) -> Path:
        return self._folder.logs / "postgres.log"

    def _url(self, role: str, database: str) -> str:
        secrets = self._folder.secrets
        password = secrets.owner_password if role == OWNER else secrets.app_password
        return f"postgresql://{role}:{password}@127.0.0.1:{self._port}/{database}"

    def _account(self, binaries: Path) -> Account:
        """PostgreSQL refuses to run as root, so root runs it in a user namespace, or as `nobody` where that fails."""
        if os.geteuid() != 0:
            return "self"
        already_nobodys = self._data.exists() and self._data.stat().st_uid != 0
        if not already_nobodys and self._runs(binaries, "userns"):
            return "userns"
        if self._runs(binaries, "setuid"):
            return "setuid"
        raise EmbeddedError(
            "PostgreSQL refuses to run as root, user namespaces are forbidden here, and the account `nobody` cannot "
            f"reach {binaries}; run Hoard as an ordinary user, or put the checkout where every user may read it"
        )

    def _runs(self, binaries: Path, account: Account) -> bool:
        probe = self._tool(account, str(binaries / "postgres"), "--version")
        return self._run(probe).returncode == 0

    def _tool(self, account: Account, *argv: str) -> ProcessSpec:
        return ProcessSpec(
            name=Path(argv[0]).name,
            argv=argv,
            cwd=Path("/"),
            log=self._log,
            env=own_environment(),
            account=account,
        )

    def _run(self, tool: ProcessSpec) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            launch_argv(tool, tied=False),
            cwd=tool.cwd,
            env=dict(tool.env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=120,
        )

    def _create_cluster(self, binaries: Path, account: Account) -> None:
        """Run initdb beside the final place and rename, so that a killed initdb leaves no half cluster."""
        unfinished = self._data.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        password_file = unfinished.with_name("postgres.password")
        write_private(password_file, self._folder.secrets.owner_password.encode())
        if account == "setuid":
            self._hand_over(unfinished, password_file)
        locale = "C.UTF-8" if sys.platform == "linux" else "C"
        try:
            result = self._run(
                self._tool(
                    account,
                    str(binaries / "initdb"),
                    *("-D", str(unfinished), "-U", OWNER, "-A", "scram-sha-256"),
                    *(
                        f"--pwfile={password_file}",
                        "--encoding=UTF8",
                        f"--locale={locale}",
                        "--no-instructions",
                    ),
                )
            )
        finally:
            password_file.unlink()
        if result.returncode != 0:
            self._log.write_bytes(result.stdout + result.stderr)
            raise StartError(f"initdb failed; {self._log} ends with:{log_tail(self._log)}")
        unfinished.rename(self._data)

    def _hand_over(self, *paths: Path) -> None:
        """Give paths to `nobody`, who also must be able to pass through the data folder."""
        account = pwd.getpwnam("nobody")
        self._folder.path.chmod(0o711)
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)

    def _clear_remains(self) -> None:
        """End a server left by a killed run, then remove its pid file.

        PostgreSQL refuses to start when the pid in a stale file meanwhile belongs to any other process of the
        same user, so the file may stay only if a real server of this cluster owns it.
        """
        evict(self._data, "postgres", signal.SIGINT, _GRACE)
        pid_file = self._data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text(encoding="utf-8").splitlines()[0])
            if not (processes_in(self._data, "postgres") or _is_postgres_by_ps(pid)):
                pid_file.unlink()


def _is_postgres_by_ps(pid: int) -> bool:
    """For systems without /proc: whether a process of that number is called postgres."""
    if sys.platform == "linux":
        return False
    command = ["/bin/ps", "-p", str(pid), "-o", "comm="]
    answer = subprocess.run(command, capture_output=True, check=False)
    return b"postgres" in answer.stdout

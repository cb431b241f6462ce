"""A Slurm of two nodes on this machine, as the current user in a temporary folder: real daemons, nothing left behind.

    with Slurm(programs) as slurm:
        job = slurm.submit("slurm/train.sbatch", "config.yaml", options=["--nodes=2"])
        slurm.wait(job, "COMPLETED")

Partitions: ``low`` (the default; jobs of ``high`` preempt its own, after 30 s of grace) and ``high``.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

NODES = ("n1", "n2")
_START_S = 30.0
_STOP_S = 20.0
_KILL_WAIT_S = 10

_CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# A requeued job waits until the credential of its former life has expired.
AuthInfo=socket={folder}/munge.sock,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
ReturnToService=2
JobRequeue=1
KillWait={kill_wait_s}
MinJobAge=3600
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=30 State=UP
PartitionName=high Nodes=ALL PriorityTier=2 State=UP
"""


@dataclass(frozen=True)
class Programs:
    """Paths of the daemons."""

    munged: str
    slurmctld: str
    slurmd: str


def find_programs() -> Programs | None:
    """Where Debian puts them; None where one is missing."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"  # not on everybody's PATH
    found = [shutil.which(name, path=path) for name in ("munged", "slurmctld", "slurmd")]
    if shutil.which("sbatch") is None or None in found:
        return None
    return Programs(*[str(name) for name in found])


class Slurm:
    """``env`` is what commands need to talk to it; also usable for commands of one's own."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        # Not pytest's folder: the name of a socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.env = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf")}
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.run("scancel", "--signal=KILL", "--full", f"--user={os.getuid()}")
        self.run("scancel", f"--user={os.getuid()}")
        self._wait_for(lambda: not self.run("squeue", "-h"), _KILL_WAIT_S + 5, fails=False)
        self._stop()

    def run(self, *command: str) -> str:
        """Run a command of Slurm's and return what it printed."""
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def submit(
        self,
        script: Path,
        *arguments: str,
        folder: Path,
        options: Sequence[str] = (),
        env: dict[str, str] | None = None,
    ) -> str:
        """Submit a batch script from ``folder``; return the number of the job."""
        command = ["sbatch", "--parsable", *options, str(script), *arguments]
        done = subprocess.run(
            command, env=self.env | (env or {}), cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """State in Slurm's long form, such as RUNNING."""
        return self.run("squeue", "-h", "-a", "--states=all", "-j", job, "-o", "%T")

    def fact(self, job: str, name: str) -> str:
        """One field of ``scontrol show job``."""
        fields = self.run("scontrol", "show", "job", job).split()
        return next(field.partition("=")[2] for field in fields if field.startswith(f"{name}="))

    def wait(self, job: str, *states: str, timeout_s: float = 90) -> str:
        """Wait until the job is in one of the states; return which."""
        self._wait_for(lambda: self.state(job) in states, timeout_s, what=f"job {job} to be {' or '.join(states)}")
        return self.state(job)

    def pids(self, job: str) -> dict[str, list[int]]:
        """Processes of a job's first step on each node, the task first."""
        rows = {node: self.run("scontrol", "listpids", f"{job}.0", node).splitlines()[1:] for node in NODES}
        return {node: [int(row.split()[0]) for row in found] for node, found in rows.items()}

    def _start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.folder.chmod(0o755)
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        host = socket.gethostname().partition(".")[0]
        values = {"host": host, "user": _user(), "folder": self.folder, "ports": _free_ports(3)}
        (self.folder / "slurm.conf").write_text(_CONFIG.format(**values, kill_wait_s=_KILL_WAIT_S))
        folder, programs = self.folder, self._programs
        munge = ["--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge.sock"]
        munge += [f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/seed"]
        self._daemon("munged", programs.munged, *munge)
        self._wait_for(lambda: (folder / "munge.sock").exists(), _START_S, what="munged")
        self._daemon("slurmctld", programs.slurmctld, "-D")
        for node in NODES:
            self._daemon(node, programs.slurmd, "-D", "-N", node)
        idle = ["idle"] * len(NODES)
        self._wait_for(lambda: self.run("sinfo", "-h", "-N", "-p", "low", "-o", "%T").split() == idle, _START_S)

    def _daemon(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.out").open("wb") as output:
            self._daemons.append(
                subprocess.Popen(
                    command,
                    env=self.env,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )

    def _stop(self) -> None:
        """Daemons in the order opposite to their start; what does not end is killed."""
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in reversed(self._daemons):
            try:
                daemon.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(daemon.pid, signal.SIGKILL)
                daemon.wait()
        shutil.rmtree(self.folder)

    def _wait_for(
        self, is_true: Callable[[], bool], timeout_s: float, *, what: str = "the nodes to be idle", fails: bool = True
    ) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_true():
            if time.monotonic() > deadline:
                if not fails:
                    return
                logs = sorted(self.folder.glob("*.log")) + sorted(self.folder.glob("*.out"))
                text = "\n".join(f"{path.name}: {path.read_text(errors='replace')[-1500:]}" for path in logs)
                raise TimeoutError(f"waited {timeout_s:.0f} s for {what}\n{self.run('squeue', '-a')}\n{text}")
            time.sleep(0.1)


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _free_ports(count: int) -> list[int]:
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    return ports

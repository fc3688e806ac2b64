"""Run Python commands in forks of a process that has imported all large libraries, which costs them no time.

`run` and `start` take what follows `python` on a command line: `-m MODULE`, `-c CODE` or a script, and its arguments.
There are two servers. The warm one has imported the project and all its libraries. Some libraries read environment
variables when they are imported, so a command with other values of these is forked from the cold one, which has not
imported them. All processes of a test run share both servers; each starts with the first command that it serves.
"""

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from filelock import FileLock

FOLDER = "SCANLINE_COMMANDS"  # the variable that names the folder of the servers' sockets
AT_IMPORT = ("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "KAGGLEHUB_", "PYTHONPATH")  # variables read by an import
COLD = ("torch", "torch._dynamo", "torch.utils.tensorboard", "matplotlib.pyplot", "scipy.stats", "sklearn.metrics")
COLD += ("pyarrow.parquet", "pandas", "jinja2", "yaml", "safetensors.torch", "tokenizers", "setuptools.build_meta")
WARM = ("datasets", "transformers", "accelerate", "evaluate", "kagglehub", "training.publish", "training.train")
WARM += ("evaluation.accuracy", "evaluation.generation", "evaluation.inpainting", "evaluation.writing")
WARM += ("evaluation.sweep", "evaluation.speed", "evaluation.scaling", "evaluation.receptive_field", "evaluation.table")


class Job:
    """A command that runs: its process, and what it wrote so far."""

    def __init__(self, arguments: list[str], connection: socket.socket, folder: tempfile.TemporaryDirectory):
        self.args, self._connection, self._folder = arguments, connection, folder
        self._answers = connection.makefile(encoding="utf-8")
        self.pid = json.loads(self._answers.readline())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> subprocess.CompletedProcess:
        """Wait until the command ends or is stopped by a signal; `returncode` is None of one that is stopped.

        Raises:
            TimeoutError: it runs on.
        """
        self._connection.settimeout(timeout)
        answer = self._answers.readline()
        if not answer:
            raise ChildProcessError(f"the server has lost {self.args}")
        self.returncode = json.loads(answer)
        texts = [Path(self._folder.name, name).read_text(encoding="utf-8") for name in ("stdout", "stderr")]
        return subprocess.CompletedProcess(self.args, self.returncode, *texts)

    def kill(self) -> None:
        """Kill it; without a word where it has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def start(*arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None, stdout: str = "") -> Job:
    """Start a command; `stdout` is a file that takes its output, which is else kept for `Job.wait`."""
    environment = dict(os.environ if env is None else env)
    own = [{k: v for k, v in e.items() if k.startswith(AT_IMPORT)} for e in (environment, os.environ)]
    folder = tempfile.TemporaryDirectory()
    job = {"arguments": list(map(str, arguments)), "environment": environment, "cwd": str(cwd or Path.cwd())}
    job |= {"stdout": stdout or str(Path(folder.name, "stdout")), "stderr": str(Path(folder.name, "stderr"))}
    for name in "stdout", "stderr":
        Path(folder.name, name).touch(mode=0o666)
    connection = connect("warm" if own[0] == own[1] else "cold")
    connection.sendall(json.dumps(job).encode() + b"\n")
    return Job(job["arguments"], connection, folder)


def run(*arguments: str | Path, check: bool = False, timeout: float = 600, **options) -> subprocess.CompletedProcess:
    """Run a command to its end, as `subprocess.run` with captured text does; the options are those of `start`."""
    job = start(*arguments, **options)
    try:
        done = job.wait(timeout)
    except TimeoutError:
        job.kill()
        raise
    if check and done.returncode:
        raise AssertionError(f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def run_pair(*arguments: str | Path, machines: int = 1) -> subprocess.CompletedProcess:
    """Run a command as two processes, of one machine or two, as torchrun does: where one fails both end."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    common = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    common |= {"LOCAL_WORLD_SIZE": str(2 // machines)}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank if machines == 1 else "0"} for rank in "01"]
    jobs = [start(*arguments, env=common | rank) for rank in ranks]
    with ThreadPoolExecutor(2) as pool:
        ends = {pool.submit(job.wait, 600): job for job in jobs}
        for end in as_completed(ends):
            if end.result().returncode:
                jobs[ends[end] is jobs[0]].kill()
    done = [end.result() for end in ends]
    first = next((process.returncode for process in done if process.returncode), 0)
    texts = ["".join(getattr(process, name) for process in done) for name in ("stdout", "stderr")]
    return subprocess.CompletedProcess(arguments, first, *texts)


def connect(name: str) -> socket.socket:
    """Connect to a server of this test run, and start it if it does not run."""
    if FOLDER not in os.environ:
        open_servers()
    folder = Path(os.environ[FOLDER])
    address, connection = str(folder / name), socket.socket(socket.AF_UNIX)
    with FileLock(folder / f"{name}.lock"):
        if not Path(address).exists():
            server = subprocess.Popen([sys.executable, __file__, name, address], cwd="/")
            while not Path(address).exists():
                if server.poll() is not None:
                    raise ChildProcessError(f"the {name} server ended with {server.returncode}")
                time.sleep(0.05)
    connection.connect(address)
    return connection


def open_servers() -> None:
    """Make the folder of the servers' sockets for this process and its children; it goes when this process ends."""
    folder = tempfile.TemporaryDirectory()
    os.environ[FOLDER] = folder.name
    atexit.register(folder.cleanup)  # the servers end when they miss it


def serve(address: str) -> None:
    """Accept commands until the folder of the socket is gone."""
    gc.collect()
    gc.freeze()  # else each fork copies all of it at its first collection
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the forks that answer
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{address}.new")
    listener.listen(64)
    listener.settimeout(1)
    os.rename(f"{address}.new", address)
    while Path(address).exists():
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        if not os.fork():
            connection.setblocking(True)
            answer(connection)
        connection.close()


def answer(connection: socket.socket) -> None:
    """Read a command, do it in a fork, and tell how that ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    job = json.loads(connection.makefile(encoding="utf-8").readline())
    copies, ends = [], []
    for name in "stdout", "stderr":
        file = os.open(job[name], os.O_WRONLY | os.O_APPEND)
        if not stat.S_ISCHR(os.fstat(file).st_mode):  # through a pipe, to which no limit of file sizes applies
            copies.append(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file))
            os.close(file)
            file = copies[-1].stdin.fileno()
        ends.append(file)
    child = os.fork()
    if not child:
        connection.close()
        perform(job, ends)
    for end in ends:
        os.close(end)
    connection.sendall(f"{child}\n".encode())
    stopped = True
    while stopped:
        _, status = os.waitpid(child, os.WUNTRACED)
        stopped = os.WIFSTOPPED(status)
        for copy in () if stopped else copies:
            copy.wait()
        with contextlib.suppress(OSError):  # nobody listens any longer
            connection.sendall(json.dumps(None if stopped else os.waitstatus_to_exitcode(status)).encode() + b"\n")
    os._exit(0)


def perform(job: dict, outputs: list[int]) -> None:
    """Be the process of a command: with its environment, folder and outputs, and Python's own exit codes."""
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environment"])
    for number, file in enumerate([os.open(os.devnull, os.O_RDONLY), *outputs]):
        os.dup2(file, number)
        os.close(file)
    for name in "stdout", "stderr":  # anew: the server's own are of other files
        binary = os.fdopen(getattr(sys, name).fileno(), "wb", closefd=False)
        errors, line_buffering = ("strict", False) if name == "stdout" else ("backslashreplace", True)
        setattr(sys, name, io.TextIOWrapper(binary, "utf-8", errors, line_buffering=line_buffering))
    sys.path[:0] = filter(None, job["environment"].get("PYTHONPATH", "").split(os.pathsep))
    warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)  # that is what a warm server is
    try:
        execute(job["arguments"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):  # a full disk
        threading._shutdown()  # waits for its threads, as Python does at the end
        atexit._run_exitfuncs()
    for stream in sys.stdout, sys.stderr:
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(code)


def execute(arguments: list[str]) -> None:
    """Execute what follows `python` on a command line."""
    kind, *rest = arguments
    if kind == "-m":
        sys.argv[:], sys.path[0:0] = rest, [os.getcwd()]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        sys.argv[:], sys.path[0:0] = ["-c", *rest[1:]], [os.getcwd()]
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv[:], sys.path[0:0] = arguments, [str(Path(kind).resolve().parent)]
        runpy.run_path(kind, run_name="__main__")


if __name__ == "__main__":
    sys.path.pop(0)  # the tests' folder
    for library in COLD + (WARM if sys.argv[1] == "warm" else ()):
        importlib.import_module(library)
    early = {name for name in sys.modules if f"{name.upper()}_".startswith(("HUGGINGFACE_HUB_", "DATASETS_", "KAGGLE"))}
    assert sys.argv[1] == "warm" or not early, f"{early} have read the environment"
    sys.stdout.reconfigure(line_buffering=True)
    serve(sys.argv[2])

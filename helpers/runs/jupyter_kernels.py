"""Kernels that start as copies of one process, which has imported what notebooks need.

Torch, open_clip and the helpers take every kernel many seconds to import. Where processes can be
forked safely, a server imports them once, and each kernel is forked from it.
"""

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path
from threading import Thread
from typing import Any

from jupyter_client.provisioning import LocalProvisioner

CAN_FORK = sys.platform == "linux"  # macOS' own libraries don't survive a fork
IMPORTED = (
    "ipykernel.kernelapp",
    "matplotlib.pyplot",
    "scipy.cluster.hierarchy",
    "scipy.stats",
    "helpers.data.transforms",
    "helpers.figures.interpretation",
    "helpers.head_benchmark.methods",
    "helpers.runs.variants",
    "helpers.runs.derived.patching",
)
PROVISIONER = "JUPYTER_DEFAULT_PROVISIONER_NAME"
"""The environment variable by which Jupyter starts kernels in another way than it is used to."""

PARENT = "--IPKernelApp.parent_handle={}"
NAME = "workbook-fork"
INLINE = "module://matplotlib_inline.backend_inline"


def allow_forks() -> None:
    """Let kernels be forked from now on, where the system can.

    Every fork imports the program's main module, as `multiprocessing` does. A script that would do
    its work again at that must not call this; the command line's may.
    """
    if CAN_FORK:
        os.environ.setdefault(PROVISIONER, NAME)


def prepare() -> None:
    """Let the server begin to import, in a process of its own; later kernels start from it."""
    if os.environ.get(PROVISIONER) == NAME:
        multiprocessing.set_forkserver_preload(list(IMPORTED))
        forkserver.ensure_running()


class ForkedKernel:
    """The process of a kernel; its methods are those of `subprocess.Popen` that Jupyter calls."""

    stdin = stdout = stderr = None

    def __init__(
        self, arguments: Sequence[str], folder: Path | str, environment: Mapping[str, str]
    ):
        context = multiprocessing.get_context("forkserver")
        given = (list(arguments), str(folder), dict(environment))
        # A daemon is ended, and not waited for, where its parent ends early.
        self.process = context.Process(target=_become_kernel, args=given, daemon=True)
        self.process.start()
        self.pid = self.process.pid
        self.terminate, self.kill = self.process.terminate, self.process.kill

    def poll(self) -> int | None:
        """Return the exit status, or None while the kernel runs."""
        return self.process.exitcode

    def wait(self) -> int | None:
        """Wait for its end, and return the exit status."""
        self.process.join()
        return self.poll()

    def send_signal(self, number: int) -> None:
        """Send a signal, if the kernel still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


class ForkedProvisioner(LocalProvisioner):
    """Starts kernels as copies of the server's process; registered in ``pyproject.toml``."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> dict:
        """Start a kernel, with the arguments that follow ``python -m ipykernel_launcher``."""
        prepare()
        self.cwd = kwargs.get("cwd") or Path.cwd()
        self.process = ForkedKernel(cmd[3:], self.cwd, kwargs.get("env") or os.environ)
        self.pid = self.pgid = self.process.pid
        return self.connection_info


def _become_kernel(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    import matplotlib
    from ipykernel import kernelapp

    multiprocessing.current_process().daemon = False  # it may have processes of its own
    os.setsid()  # a group of its own, which is what Jupyter sends signals to
    os.chdir(folder)
    os.environ.update(environment)
    os.environ.pop(PROVISIONER, None)  # kernels that it starts itself are none of the server's
    # Matplotlib, imported already, has not seen the variable that ipykernel sets.
    matplotlib.rcParams["backend"] = os.environ.get("MPLBACKEND", INLINE)
    Thread(target=_end_with_parent, daemon=True).start()
    kernelapp.launch_new_instance(argv=[*arguments, PARENT.format(os.getppid())])


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)

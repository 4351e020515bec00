import signal
import subprocess
import sys

import nbformat
import papermill
import psutil
import pytest

from helpers.runs import jupyter_kernels

pytestmark = pytest.mark.skipif(not jupyter_kernels.CAN_FORK, reason="kernels are not forked here")

ENDLESS = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from helpers.runs.jupyter_kernels import ForkedKernel
kernel = ForkedKernel(["-f", sys.argv[1]], ".", {})
print(kernel.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def forks(monkeypatch):
    monkeypatch.setenv(jupyter_kernels.PROVISIONER, jupyter_kernels.NAME)


def executed(tmp_path, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    path = tmp_path / "executed.ipynb"
    return papermill.execute_notebook(notebook, path, cwd=tmp_path, progress_bar=False)


def test_a_kernel_starts_with_what_notebooks_need(tmp_path, monkeypatch):
    monkeypatch.setenv("ASKED", "1")
    names = ("torch", "open_clip", "albumentations", "helpers.runs.run")
    notebook = executed(
        tmp_path,
        f"import os, sys\n[name in sys.modules for name in {names}], os.environ['ASKED']",
        "os.getcwd(), os.getpid() == os.getsid(0)",
    )
    texts = [cell.outputs[0]["data"]["text/plain"] for cell in notebook.cells]
    assert texts == ["([True, True, True, True], '1')", f"({str(tmp_path)!r}, True)"]


def test_figures_are_shown_as_in_any_kernel(tmp_path):
    (cell,) = executed(tmp_path, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);").cells
    assert [sorted(output["data"]) for output in cell.outputs] == [["image/png", "text/plain"]]


def test_a_cell_that_fails_is_told_and_one_kernel_leaves_nothing_for_the_next(tmp_path):
    executed(tmp_path, "import helpers\nhelpers.mine = 1")
    with pytest.raises(papermill.PapermillExecutionError, match="has no attribute 'mine'"):
        executed(tmp_path, "import helpers\nhelpers.mine")


def test_a_kernel_may_have_processes_of_its_own(tmp_path):
    cell = "import multiprocessing as m\np = m.get_context('fork').Process(target=int)\np.start()"
    executed(tmp_path, f"{cell}\np.join()\nassert p.exitcode == 0")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_kernel_ends_with_the_process_that_started_it(how, tmp_path):
    call = [sys.executable, "-c", ENDLESS, str(tmp_path / "connection.json")]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    with subprocess.Popen(call, **quiet) as parent:
        kernel = psutil.Process(int(parent.stdout.readline()))
        assert kernel.is_running()
        parent.send_signal(how)
        psutil.wait_procs([kernel], timeout=30)
        assert not kernel.is_running()

"""Executes a notebook with the kernel that JUPYTER_PATH offers: execute.py NOTEBOOK RESULT FOLDER CELL_TIMEOUT_S

Runs NOTEBOOK with FOLDER as the kernel's working folder and writes it, executed, to RESULT, whether it went well
or not; what its outputs must be like is judged elsewhere, from the written file.

The Deno kernel may send an output after it has said that it is idle. A browser loses such an output; here the
channel is read for another 150 ms, so that it is seen, and the cell's metadata say how many came late.
"""
import asyncio
import signal
import sys
from pathlib import Path
from queue import Empty

import nbformat
from nbclient import NotebookClient
from nbclient.client import CellExecutionComplete
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

DRAIN_S = 0.15


class DrainingClient(NotebookClient):
    async def _async_poll_output_msg(self, parent_msg_id, cell, cell_index):
        await super()._async_poll_output_msg(parent_msg_id, cell, cell_index)
        late = 0
        while True:
            try:
                msg = await self.kc.iopub_channel.get_msg(timeout=DRAIN_S)
            except Empty:
                break
            if msg["parent_header"].get("msg_id") != parent_msg_id or msg["msg_type"] == "status":
                continue
            late += 1
            try:
                self.process_message(msg, cell, cell_index)
            except CellExecutionComplete:
                pass
        if late:
            cell.metadata["late_outputs"] = late


def execute(source: Path, result: Path, folder: Path, timeout: int) -> None:
    notebook = nbformat.read(source, as_version=4)
    client = DrainingClient(
        notebook,
        timeout=timeout,
        kernel_name="deno",
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute()
    except (CellTimeoutError, DeadKernelError) as problem:
        print(f"{result.name}: {problem}", file=sys.stderr)
    except CellExecutionError:
        pass  # It stands in the cell's outputs.
    finally:
        nbformat.write(notebook, result)


def main() -> None:
    # An orderly end on SIGTERM, so that the kernel is stopped as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    source, result, folder, timeout = sys.argv[1:]
    execute(Path(source), Path(result), Path(folder), int(timeout))


if __name__ == "__main__":
    main()

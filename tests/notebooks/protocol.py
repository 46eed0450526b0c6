"""Speaks to the kernel as an editor does (Visual Studio Code's Jupyter extension): protocol.py FOLDER

Reads the kernelspec that JUPYTER_PATH offers, starts its argv with a connection file of its own, and sends over ZeroMQ
what an editor's notebook view sends. Prints one line for each answer that an editor could not work with.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from queue import Empty

from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.kernelspec import KernelSpecManager

WAIT_S = 60
faults = []


def expect(what, good, seen):
    if not good:
        faults.append(f"{what}: {seen!r}")


def outputs_of(client, code, **options):
    """Runs a cell: its reply, and what came on the iopub channel up to idle and 150 ms beyond."""
    request = client.execute(code, **options)
    return finish(client, request)


def finish(client, request):
    seen, idle, end = [], False, time.monotonic() + WAIT_S
    while time.monotonic() < end:
        try:
            message = client.get_iopub_msg(timeout=0.15 if idle else 1)
        except Empty:
            if idle:
                break
            continue
        if message["parent_header"].get("msg_id") != request:
            continue
        idle = idle or message["content"].get("execution_state") == "idle"
        seen.append((message["msg_type"], message["content"]))
    return reply_to(client, request), seen


def reply_to(client, request):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        reply = client.get_shell_msg(timeout=WAIT_S)
        if reply["parent_header"].get("msg_id") == request:
            return reply["content"]
    raise TimeoutError("no reply")


def of_type(seen, kind):
    return [content for name, content in seen if name == kind]


def text_of(seen):
    return "".join(one["data"].get("text/plain", "") for one in of_type(seen, "execute_result"))


def drive(client, kernel):
    info = reply_to(client, client.kernel_info())
    expect("kernel_info names the language", info["language_info"]["name"] == "typescript", info)
    expect("kernel_info names the protocol", info["protocol_version"].startswith("5."), info)

    reply, seen = outputs_of(client, "const a = 41;\na + 1;")
    expect("execute: the last line is the result", "42" in text_of(seen), seen)
    expect("execute: the reply counts", reply["status"] == "ok" and reply["execution_count"] >= 1, reply)
    states = [one["execution_state"] for one in of_type(seen, "status")]
    expect("execute: busy, then idle", states[:1] == ["busy"] and states[-1:] == ["idle"], states)
    _, seen = outputs_of(client, "const a = 1;\na;")
    expect("execute: a cell may run again", "1" in text_of(seen), seen)

    reply, seen = outputs_of(client, 'throw new Error("on purpose");')
    expect("execute: an error is one", reply["status"] == "error", reply)
    expect("execute: an error is shown", len(of_type(seen, "error")) == 1, seen)
    _, seen = outputs_of(client, "a + 1;")
    expect("execute: the state outlives an error", "2" in text_of(seen), seen)

    complete = reply_to(client, client.complete("JSON.par", 8))
    expect("complete: JSON.parse", any("parse" in one for one in complete["matches"]), complete)
    for code, states in [("1 + 1", {"complete"}), ("const b = (", {"incomplete", "invalid"})]:
        reply = reply_to(client, client.is_complete(code))
        expect(f"is_complete: {code}", reply["status"] in states, reply)
    expect("comm_info is answered", "comms" in reply_to(client, client.comm_info()), "no comms")

    _, seen = outputs_of(client, """
const message = (text: string) => ({ data: { "text/html": text }, metadata: {}, transient: { display_id: "bar" } });
await Deno.jupyter.broadcast("display_data", message("<progress value=1 max=2></progress>"));
await Deno.jupyter.broadcast("update_display_data", message("<progress value=2 max=2></progress>"));
""")
    for kind in ["display_data", "update_display_data"]:
        ids = [one.get("transient", {}).get("display_id") for one in of_type(seen, kind)]
        expect(f"{kind} carries its display_id", ids == ["bar"], seen)

    reply, seen = outputs_of(client, 'import { TextView } from "podium";\nnew TextView("from podium");')
    html = "".join(one["data"].get("text/html", "") for one in of_type(seen, "execute_result"))
    expect("a result of podium shows itself as HTML", "from podium" in html, (reply, seen))

    request = client.execute("await new Promise((resolve) => setTimeout(resolve, 2000));")
    time.sleep(0.5)
    if sys.platform != "win32":
        kernel.send_signal(signal.SIGINT)
    finish(client, request)
    expect("interrupt: the kernel lives", kernel.poll() is None, kernel.poll())
    _, seen = outputs_of(client, "a + 41;")
    expect("interrupt: the state is kept", "42" in text_of(seen), seen)

    client.shutdown()
    try:
        kernel.wait(timeout=20)
    except subprocess.TimeoutExpired:
        faults.append("shutdown: the kernel does not end")


def main(folder):
    spec = KernelSpecManager().get_kernel_spec("deno")
    expect("the kernelspec asks for signals", spec.interrupt_mode == "signal", spec.interrupt_mode)
    with tempfile.TemporaryDirectory() as scratch:
        connection, _ = write_connection_file(str(Path(scratch) / "kernel.json"))
        argv = [part.replace("{connection_file}", connection) for part in spec.argv]
        kernel = subprocess.Popen(argv, cwd=folder, env={**os.environ, **spec.env})
        client = BlockingKernelClient(connection_file=connection)
        try:
            client.load_connection_file()
            client.start_channels()
            client.wait_for_ready(timeout=WAIT_S)
            drive(client, kernel)
        except Exception as problem:  # whatever ends the conversation is a fault, with what came before it
            faults.append(f"{type(problem).__name__}: {problem}")
        finally:
            client.stop_channels()
            kernel.kill()
            kernel.wait()
    print(*faults, sep="\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main(sys.argv[1])

"""Serves a Foundry Local cache by the real 2.x runtime, until SIGTERM or SIGINT.

usage: serve.py CACHE_DIR PORT STATE_DIR
"""
import os
import signal
import sys
import threading

from foundry_local_sdk import Configuration, FoundryLocalManager


def main(cache, port, state):
    FoundryLocalManager.initialize(
        Configuration(
            app_name="podium-test",
            app_data_dir=os.path.join(os.path.abspath(state), "app"),
            model_cache_dir=os.path.abspath(cache),
            logs_dir=os.path.join(os.path.abspath(state), "logs"),
            web=Configuration.WebService(urls=f"http://127.0.0.1:{port}"),
            disable_nonessential_telemetry=True,
        )
    )
    manager = FoundryLocalManager.instance
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    manager.start_web_service()
    print("listening", manager.urls[0], flush=True)
    stop.wait()
    manager.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])

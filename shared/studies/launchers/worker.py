"""A worker process of this machine: jobs come as lines of JSON, outcomes go back as such.

    python -m shared.studies.launchers.worker

It lives as long as its standard input is open, so that none outlives a killed study.
"""

import json
import os
import queue
import sys
import threading
from typing import Any

from shared.errors import Interrupted


def main() -> None:
    """Work on every job that comes; ends with the study, or with Ctrl-C."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else is printed goes to the log
    jobs: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    from shared.studies.work import work

    last = None
    try:
        while True:
            job = jobs.get()
            if last not in (None, job["shape"]):
                _forget_programs()
            last = job["shape"]
            print(json.dumps(work(job["request"]).to_dict()), file=replies, flush=True)
    except (KeyboardInterrupt, Interrupted):
        os._exit(130)  # nobody waits for the thread that listens


def _listen(jobs: queue.SimpleQueue) -> None:
    for line in sys.stdin:
        job: dict[str, Any] = json.loads(line)
        jobs.put(job)
    os._exit(0)


def _forget_programs() -> None:
    """Those of another shape would only take memory."""
    import jax

    jax.clear_caches()


if __name__ == "__main__":
    main()

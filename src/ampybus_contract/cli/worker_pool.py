"""Processes that work side by side, and that end with the one that started them, however it ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from typing import Any

from ampybus_contract.exit_codes import INTERNAL


def worker_pool(jobs: int, start: Callable[..., None], *arguments: Any) -> ProcessPoolExecutor:
    """A pool of ``jobs`` processes; each calls ``start`` with the arguments before its first work."""
    return ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (start, *arguments))


def _begin(start: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start(*arguments)


def _end_with_parent() -> None:
    """A worker of a killed parent would go through all the work that is queued, for nobody."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(INTERNAL)

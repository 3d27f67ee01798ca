"""Where the coroutines of ports in Python run."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

_LOCK = threading.Lock()
_OWN: dict[int, asyncio.AbstractEventLoop] = {}


def settled(answer: Any, loop: asyncio.AbstractEventLoop | None) -> Any:
    """The answer, or what it gives when awaited in the loop that pcdr was called in.

    A call that does not come from a loop has a loop of the package's own, in a thread of its own.
    """
    if not hasattr(answer, "__await__"):
        return answer
    import asyncio

    async def wait() -> Any:
        return await answer

    return asyncio.run_coroutine_threadsafe(wait(), loop or _own()).result()


def _own() -> asyncio.AbstractEventLoop:
    import asyncio

    with _LOCK:
        # By process: threads are not forked.
        loop = _OWN.get(os.getpid())
        if loop is None:
            loop = _OWN[os.getpid()] = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="pcdr-ports", daemon=True).start()
        return loop

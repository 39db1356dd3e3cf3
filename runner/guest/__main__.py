"""Where a guest begins: take the pipe, lock, say ready, hear the script, run it, say how it ended.

    PATH [MEMORY_BYTES]        one guest: fds 0 and 1 are its channel (a container starts this). With MEMORY_BYTES
                               it limits its own address space.
    PATH nursery HOST_PID      a warmed parent, which forks such guests when asked (guest.nursery)

The lock holds before the first byte of the script is read. Up to then a failure is told on stderr with exit code
EXIT_UNLOCKED; after it nothing but the pipe is left.

Not here: what a script may say (dialect) and call (api).
"""

from __future__ import annotations

import os
import random
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from runner.guest import api, dialect, endings, lock, nursery, tracing, warm
from runner.guest.conversation import Conversation, begin
from runner.guest.exits import EXIT_BROKEN, EXIT_MEMORY, EXIT_UNLOCKED
from runner.guest.pipe import Pipe, leave
from runner.guest.wire import PROTOCOL, Finished, Ready, Rejected, Start, decode_host, encode_guest

Conduct = Callable[[Pipe, Start], None]


def main(digest: str) -> NoReturn:
    """Be the guest, or the nursery, that the command line asks for. `digest` is that of the bundle."""
    serve(digest, prepare_lock=lock.prepare, conduct=conduct)


def serve(digest: str, *, prepare_lock: Callable[[], Callable[[], None]], conduct: Conduct) -> NoReturn:
    """As `main`; the parts are parameters, which only another bundle's `__main__.py` can give."""
    try:
        warm.import_lazy_modules()
        engage = prepare_lock()
        live = _life(digest, engage, conduct)
        warm.seal()
        if sys.argv[1:2] == ["nursery"]:
            nursery.serve(int(sys.argv[2]), live)
        live(int(sys.argv[1]) if sys.argv[1:] else None)
    except BaseException:
        os.write(2, f"guest did not start: {traceback.format_exc(limit=-3)}".encode())
    leave(EXIT_UNLOCKED)


def _life(digest: str, engage: Callable[[], None], conduct: Conduct) -> Callable[[int | None], NoReturn]:
    """Return the life of one guest as a function of its memory limit. Everything it needs is made now."""
    ready = encode_guest(Ready(PROTOCOL, digest, f"{sys.version_info[0]}.{sys.version_info[1]}", dialect.VERSION))

    def live(memory_bytes: int | None) -> NoReturn:
        warm.confine(memory_bytes)
        engage()
        try:
            touch()
            pipe = Pipe()
            pipe.say(ready)
            pipe.flush()
            start = decode_host(pipe.hear())
            if isinstance(start, Start):
                conduct(pipe, start)
        except MemoryError:
            leave(EXIT_MEMORY)
        except BaseException:
            leave(EXIT_BROKEN)
        leave(EXIT_BROKEN)

    return live


def touch() -> None:
    """Go the way of a script once, with an empty one, while nobody waits for it.

    A forked guest shares its parent's memory until it writes to it: each of about 700 pages that the first script
    would touch costs a fault of 2 to 4 us then.
    """
    compiled = dialect.compile_script("result = [f'{n}' for n in range(3)]")
    names = dialect.namespace(
        {}, clock=float, randomness=random.Random, fatal=lambda error: leave(EXIT_BROKEN), emit=lambda text: None,
        imports=None,
    )
    if compiled.code is not None:
        exec(compiled.code, names)


def conduct(pipe: Pipe, start: Start) -> None:
    """Compile the script, run it, and end the process with the last word."""
    conversation = Conversation(pipe, start)
    begin(conversation)
    imports = None if start.imports is None else frozenset(start.imports)
    compiled = dialect.compile_script(start.script, imports=imports)
    if compiled.code is None or start.dialect != dialect.VERSION:
        _reject(pipe, start, compiled)
    names = dialect.namespace(
        api.names(start.inputs),
        clock=lambda: conversation.now,
        # Each stream has its own seed, so that drawing from one leaves the others as they are.
        randomness=lambda name: random.Random(f"{start.seed}:{name}"),
        fatal=lambda error: endings.fatal(conversation, error),
        emit=api.emit,
        imports=imports,
    )
    # `NormalDist.samples` draws from the instance of the module.
    random.seed(f"{start.seed}:samples")
    code = compiled.code
    del compiled
    endings.keep_reserve()
    try:
        warm.limit_recursion()
        if start.trace:
            tracing.begin()
        exec(code, names)
        ending = endings.done(conversation, names.get("result"))
    except BaseException as raised:
        error = dialect.meaning_of(raised)
        if isinstance(error, (MemoryError, RecursionError)):
            endings.more_frames()
            endings.fatal(conversation, error)
        ending = _told(conversation, error)
    if start.trace:
        tracing.tell(conversation)
    endings.finish(conversation, ending)


def _told(conversation: Conversation, error: BaseException) -> Finished:
    try:
        return endings.failed(conversation, error)
    except (MemoryError, RecursionError) as worse:
        # The script's own `__str__` may need more than there is.
        endings.more_frames()
        endings.fatal(conversation, worse)


def _reject(pipe: Pipe, start: Start, compiled: dialect.Compiled) -> NoReturn:
    if start.dialect != dialect.VERSION:
        reason = f"this guest has dialect {dialect.VERSION}, the host asked for {start.dialect}"
    else:
        first = next((one for one in compiled.remarks if one.severity == "error"), None)
        reason = f"line {first.line}: {first.message}" if first else "the script does not compile"
    pipe.say(encode_guest(Rejected(reason[:1_000])))
    pipe.flush()
    leave(0)

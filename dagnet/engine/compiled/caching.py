"""Machine code on disk, by content.

Numba keeps all signatures of a function in one index, by the function's own file and line.  Two
processes that compile different signatures at the same time may then give both the same
number, and one loads the other's code; and an edit in another file goes unnoticed.  Here each
signature has a file of its own, named by a digest of all that went into the code.  It begins with a
digest of what it holds: a file that is not whole counts as none, and is written anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

FAST = {"reassoc", "contract", "nsz", "arcp"}  # keeps NaN and infinities
IMPORTS = re.compile(rb"^from (dagnet\.engine\.compiled\.\w+) import", re.MULTILINE)
KERNEL = {"nogil": True, "fastmath": FAST, "error_model": "numpy", "boundscheck": False}
ALLOCATING = {**KERNEL, "forceinline": True}  # else tuples of arrays are handed over on the stack
INNER = {**ALLOCATING, "_nrt": False}  # no counting of who holds an array: a third less to compile
DIGEST_SIZE = hashlib.sha256().digest_size


class ContentCache(FunctionCache):
    """Numba's cache with a file for each signature and content."""

    def __init__(self, function: Callable[..., Any], content: str) -> None:
        super().__init__(function)
        self._content = content

    def _path(self, sig: Any, codegen: Any) -> Path:
        python = sys.implementation.cache_tag, getattr(sys, "abiflags", "")
        made_of = self._content, str(sig), codegen.magic_tuple(), numba.__version__, python
        key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:32]
        return Path(self._cache_path, f"dagnet-{key}.nbc")

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for a signature, or None.

        Numba's own way first imports all that it could compile, and SciPy with it; code that is
        there already needs the runtime alone.
        """
        rtsys.initialize(target_context)
        try:
            file = self._path(sig, target_context.codegen()).read_bytes()
        except OSError:
            return None
        digest, code = file[:DIGEST_SIZE], file[DIGEST_SIZE:]
        if digest != hashlib.sha256(code).digest():
            return None
        return self._impl.rebuild(target_context, pickle.loads(code))  # noqa: S301 - see ARCHITECTURE.md

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code for a signature where there is room for it."""
        if not self._impl.check_cachable(data):
            return
        code = dumps(self._impl.reduce(data))
        with contextlib.suppress(OSError):
            self._impl.locator.ensure_cache_path()
            # Under another name first, and then renamed: nobody reads half a file.
            with self._cache_file._open_for_write(self._path(sig, data.codegen)) as stream:  # noqa: SLF001
                stream.write(hashlib.sha256(code).digest() + code)


@cache
def _digest(module: str) -> str:
    """A digest of a module and of those of its room that it imports: an edit compiles no others anew."""
    digest, open_, seen = hashlib.sha256(), [module], {module}
    while open_:
        source = Path(str(sys.modules[open_.pop()].__file__)).read_bytes()
        digest.update(source)
        for name in map(bytes.decode, IMPORTS.findall(source)):
            if name in sys.modules and name not in seen:
                seen.add(name)
                open_.append(name)
    return digest.hexdigest()


def kernel(function: Callable[..., Any]) -> Any:
    """Compile with the options of all kernels, and keep the machine code.

    Without a place for it, each process compiles.
    """
    compiled = numba.njit(**KERNEL)(function)
    with contextlib.suppress(RuntimeError, OSError):
        content = f"{function.__module__}.{function.__qualname__} {_digest(function.__module__)}"
        compiled._cache = ContentCache(function, content)  # noqa: SLF001 - Numba offers a cache by line only
    return compiled

"""Machine code on disk, by content.

Numba keeps all signatures of a function in one index, by the function's own file and line.  Two
processes that compile different signatures at the same time may then give both the same
number, and one loads the other's code; and an edit in another file goes unnoticed.  Here each
signature has files of its own, named by a digest of all that went into the code.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.runtime import rtsys

__all__ = ["KERNEL", "ContentCache", "kept", "kernel"]

FAST = {"reassoc", "contract", "nsz", "arcp"}  # keeps NaN and infinities
IMPORTS = re.compile(rb"^from (dagnet\.engine\.compiled\.\w+) import", re.MULTILINE)
KERNEL = {"nogil": True, "fastmath": FAST, "error_model": "numpy", "boundscheck": False}


class ContentCache(FunctionCache):
    """Numba's cache with a file for each signature and content."""

    def __init__(self, function: Callable[..., Any], content: str) -> None:
        super().__init__(function)
        self._content = content

    def _file(self, sig: Any) -> IndexDataCacheFile:
        key = hashlib.sha256(f"{self._content} {sig}".encode()).hexdigest()[:32]
        return IndexDataCacheFile(self._cache_path, f"dagnet-{key}", key)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self._content

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for a signature, or None.

        Numba's own way first imports all that it could compile, and SciPy with it; code that is
        there already needs the runtime alone.
        """
        rtsys.initialize(target_context)
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        self._cache_file = self._file(sig)
        return super()._load_overload(sig, target_context)

    def _save_overload(self, sig: Any, data: Any) -> None:
        self._cache_file = self._file(sig)
        super()._save_overload(sig, data)


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


def kept(compiled: Any, function: Callable[..., Any], content: str) -> Any:
    """Let Numba keep the machine code of ``compiled``; without a place for it, each process compiles."""
    with contextlib.suppress(RuntimeError, OSError):
        name = f"{function.__module__}.{function.__qualname__}"
        # Numba offers a cache by file and line only.
        compiled._cache = ContentCache(function, f"{name} {_digest(function.__module__)} {content}")  # noqa: SLF001
    return compiled


def kernel(function: Callable[..., Any]) -> Any:
    """Compile with the options of all kernels, and keep the machine code."""
    return kept(numba.njit(**KERNEL)(function), function, "")

"""Machine code on disk, by content.

Numba keeps all signatures of a function in one index, by the function's own file and line.  Two
processes that compile different signatures at the same time may then give both the same
number, and one loads the other's code; and an edit in another file goes unnoticed.  Here each
signature has a file of its own, named by a digest of all that went into the code.  It begins with a
digest of what it holds: a file that is not whole counts as none, and is written anew.  What formulas
become is kept beside it in the same way, named by a digest of its text in LLVM's language.
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
from types import SimpleNamespace
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.serialize import dumps

FAST = {"reassoc", "contract", "nsz", "arcp"}  # keeps NaN and infinities
IMPORTS = re.compile(rb"^from (dagnet\.engine\.compiled\.\w+) import", re.MULTILINE)
KERNEL = {"nogil": True, "fastmath": FAST, "error_model": "numpy", "boundscheck": False}
KERNEL |= {"no_cfunc_wrapper": True, "_nrt": False}  # nobody counts who holds an array, so none is allocated
DIGEST_SIZE = hashlib.sha256().digest_size
MOST_OBJECTS = 1000
"""Files of formulas that are kept, the newest: one whose constants change is another each time."""


def _read(path: Path) -> bytes | None:
    """What a file holds behind the digest of it; None unless it is whole."""
    try:
        file = path.read_bytes()
    except OSError:
        return None
    digest, content = file[:DIGEST_SIZE], file[DIGEST_SIZE:]
    return content if digest == hashlib.sha256(content).digest() else None


def _write(cache: FunctionCache, path: Path, content: bytes) -> None:
    """Keep it, with its digest, where there is room for it."""
    with contextlib.suppress(OSError):
        cache._impl.locator.ensure_cache_path()  # noqa: SLF001
        # Under another name first, and then renamed: nobody reads half a file.
        with cache._cache_file._open_for_write(path) as stream:  # noqa: SLF001
            stream.write(hashlib.sha256(content).digest() + content)


class _Inlined(JITCodeLibrary):
    """Code that is only ever part of a kernel: there it becomes machine code, and not by itself as well."""

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:  # noqa: ARG002
        return 0

    @property
    def codegen(self) -> Any:
        return SimpleNamespace(set_env=lambda *_: None)


class _Inner(Compiler):
    def define_pipelines(self) -> Any:
        state = self.state
        state.library = _Inlined(state.targetctx.codegen(), state.func_id.func_qualname)
        return super().define_pipelines()


INNER = {**KERNEL, "no_cpython_wrapper": True, "forceinline": True, "pipeline_class": _Inner}
"""Options of what kernels call: always inlined, else tuples of arrays go over the stack."""


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

        Numba's own way first imports all that it could compile, and SciPy with it.
        """
        code = _read(self._path(sig, target_context.codegen()))
        if code is None:
            return None
        return self._impl.rebuild(target_context, pickle.loads(code))  # noqa: S301 - see ARCHITECTURE.md

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the machine code for a signature where there is room for it."""
        if self._impl.check_cachable(data):
            _write(self, self._path(sig, data.codegen), dumps(self._impl.reduce(data)))


def kept_object(content: str, make: Callable[[], bytes]) -> bytes:
    """The object code that ``make()`` gives; ``content`` says all that it depends on."""
    try:
        cache = FunctionCache(kept_object)
    except (RuntimeError, OSError):  # no place for it
        return make()
    key = hashlib.sha256(content.encode()).hexdigest()[:32]
    path = Path(cache._cache_path, f"dagnet-{key}.obj")  # noqa: SLF001
    found = _read(path)
    if found is None:
        found = make()
        _write(cache, path, found)
        with contextlib.suppress(OSError):  # another process may delete the same
            files = sorted(path.parent.glob("dagnet-*.obj"), key=lambda file: file.stat().st_mtime)
            for file in files[:-MOST_OBJECTS]:
                file.unlink()
    return found


@cache
def module_digest(module: str) -> str:
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
        content = f"{function.__module__}.{function.__qualname__} {module_digest(function.__module__)}"
        compiled._cache = ContentCache(function, content)  # noqa: SLF001 - Numba offers a cache by line only
    return compiled

"""From a module in LLVM's language to machine code in memory, for this very processor."""

from __future__ import annotations

from functools import cache
from threading import Lock

from llvmlite import binding, ir

LOCK = Lock()


class Code:
    """Machine code: it lives as long as this object."""

    def __init__(self, engine: binding.ExecutionEngine) -> None:
        self._engine = engine

    def address(self, name: str) -> int:
        """Where the function of that name begins."""
        found = int(self._engine.get_function_address(name))
        if not found:
            raise KeyError(name)
        return found


@cache
def _host() -> tuple[binding.Target, str, str]:
    """The native target, this processor's name and what it can do."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    return target, binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


def compiled(module: ir.Module) -> Code:
    """Translate a module as it stands: code generation optimises, nothing before it does."""
    with LOCK:
        target, cpu, features = _host()
        relocation = "static" if target.name.startswith("x86") else "default"
        machine = target.create_target_machine(cpu, features, opt=3, reloc=relocation, jit=True)
        module.triple = target.triple
        module.data_layout = str(machine.target_data)
        parsed = binding.parse_assembly(str(module))
        parsed.verify()
        engine = binding.create_mcjit_compiler(parsed, machine)
        engine.finalize_object()
        return Code(engine)

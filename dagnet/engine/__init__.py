"""What executes a plan: the readable reference engine and the compiled one."""

from dagnet.engine.pulls import pulls, reading, ways
from dagnet.engine.reference import sums

__all__ = [
    "pulls", "reading", "sums", "ways",
]  # fmt: skip

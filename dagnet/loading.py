"""From a file to the network that was saved there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dagnet.model import Model
from dagnet.network import Network


def load(path: str | Path, *, engine: str = "auto", threads: int | None = None) -> Network:
    """Read a network that :meth:`Network.save` wrote; nothing in the file is run.

    Parameters
    ----------
    path
        The file.
    engine, threads
        As for :class:`Network`; a file does not say them.

    Raises
    ------
    FormatError
        If the file is anything but what was saved, bit for bit, or was written by a newer dagnet.
    PluginError
        If it needs a plugin that is not here; the message says what to install.
    OSError
        If there is no such file, or it may not be read.

    Examples
    --------
    >>> import dagnet, pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp(), "net.dagnet")
    >>> net = dagnet.Network(dagnet.layered([2, 1]), seed=0)
    >>> net.save(path)
    >>> bool((dagnet.load(path).parameters == net.parameters).all())
    True
    """
    from dagnet.storage import load_model  # noqa: PLC0415 - only those who load pay for it

    stored = load_model(path)
    network, dtype = Network.__new__(Network), np.dtype(stored.dtype)
    Model.__init__(network, stored.topology, loss=stored.loss, dtype=dtype, engine=engine, threads=threads)
    network.named = stored.named
    return network

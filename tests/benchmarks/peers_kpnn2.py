"""kpnn2: the graph as an edge list by name, one PackedLinear a layer, as its guide on skip edges has it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .graphs import Missing, Wiring
from .peers_torch import TorchPeer, torch

try:
    import kpnn2
    import pandas as pd
except ImportError:
    kpnn2 = None


class Kpnn2(TorchPeer):
    """Layers by longest path; every hop reads the earlier layers that its edges come from."""

    def __init__(self, wiring: Wiring, X: np.ndarray, y: np.ndarray) -> None:
        if kpnn2 is None:
            raise Missing("kpnn2 is not installed")
        super().__init__(wiring, X, y)
        self.x = self.x.T.contiguous()  # kpnn2 wants rows first
        self.y = self.y.T.contiguous()
        sources, targets = ([f"n{k:08d}" for k in ends] for ends in (wiring.sources, wiring.targets))
        self.spec = kpnn2.parse_layered(pd.DataFrame({"source": sources, "target": targets}))
        self.layers = [kpnn2.PackedLinear.from_hop(hop) for hop in self.spec.hops]
        self.nodes = [np.array([int(name[1:]) for name in layer]) for layer in self.spec.layer_nodes]
        self.hidden, self.edges = [], []
        lookup = {pair: k for k, pair in enumerate(zip(wiring.sources, wiring.targets, strict=True))}
        with torch.no_grad():
            for hop, layer in zip(self.spec.hops, self.layers, strict=True):
                mine = self.nodes[hop.target_layer]
                columns = np.concatenate([self.nodes[k] for k in hop.source_layers])
                pairs = zip(columns[list(hop.source_index)], mine[list(hop.target_index)], strict=True)
                edges = np.array([lookup[pair] for pair in pairs])
                layer.weight.copy_(torch.tensor(wiring.weights[edges]))
                layer.bias.copy_(torch.tensor(wiring.biases[mine]))
                self.edges.append(edges)
                self.hidden.append(int((~wiring.is_output[mine]).sum()))  # outputs are a layer's last
        self.parameters = [p for layer in self.layers for p in (layer.weight, layer.bias)]
        self.ends = [(k, hidden) for k, hidden in enumerate(self.hidden, 1) if hidden < len(self.nodes[k])]

    def take(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y

    def to(self, device: str) -> Any:
        for layer in self.layers:
            layer.to(device)
        return super().to(device)

    def loss(self) -> Any:
        saved = {0: self.x}
        for hop, layer, hidden in zip(self.spec.hops, self.layers, self.hidden, strict=True):
            z = layer(kpnn2.gather_hop_inputs(saved, hop))
            full = hidden == z.shape[1]
            saved[hop.target_layer] = (
                torch.relu(z) if full else torch.cat([torch.relu(z[:, :hidden]), z[:, hidden:]], dim=1)
            )
        outputs = torch.cat([saved[k][:, hidden:] for k, hidden in self.ends], dim=1)
        return ((outputs - self.y) ** 2).sum() / len(self.y)

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        weights, biases = np.zeros(self.wiring.n_edges), np.zeros(self.wiring.n_nodes)
        for layer, edges, nodes in zip(self.layers, self.edges, self.nodes[1:], strict=True):
            weights[edges] = layer.weight.grad.cpu().numpy()
            biases[nodes] = layer.bias.grad.cpu().numpy()
        return weights, biases[self.wiring.n_inputs :]

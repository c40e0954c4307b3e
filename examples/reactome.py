"""Which pathways tell dendritic cells from monocytes, more than by chance?  Reactome, with its controls.

Real data, from wheels: 369 blood cells (Zheng et al., 2017, in ``scanpy``), and Reactome (in ``binn``):

    pip install --no-deps binn scanpy && pip install h5py pandas scikit-learn
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import h5py
import networkx as nx
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

import dagnet

NETWORK = {"activation": "tanh", "loss": "binary_cross_entropy_with_logits"}
FIT = {"epochs": 40, "learning_rate": 0.01, "l2": 0.003, "standardize": True}
KINDS = ("CD14+ Monocyte", "Dendritic")


def shipped(package: str, *path: str) -> Path:
    """A data file of an installed package, which is not imported."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"this example reads data of the package {package}: pip install --no-deps {package}")
    return Path(found.origin).parent.joinpath(*path)


def cells() -> tuple[pd.DataFrame, np.ndarray]:
    """Expression, log(1 + counts), (cells, genes); and 1 for dendritic cells, 0 for monocytes."""
    with h5py.File(shipped("scanpy", "datasets", "10x_pbmc68k_reduced.h5ad")) as file:
        raw, genes = file["raw.X"], file["raw.var"]["index"].astype(str)
        table = np.zeros(tuple(raw.attrs["h5sparse_shape"]))
        rows = np.repeat(np.arange(len(table)), np.diff(raw["indptr"][:]))
        table[rows, raw["indices"][:]] = raw["data"][:]
        kind = file["uns/bulk_labels_categories"][:].astype(str)[file["obs"]["bulk_labels"]]
    chosen = np.isin(kind, KINDS)
    return pd.DataFrame(table[chosen], columns=genes), (kind[chosen] == KINDS[1]).astype(float)


def pathways(genes: list[str]) -> nx.DiGraph:
    """Gene → its lowest pathways → those above → ``dendritic``, by their names.

    A gene is found by its name in UniProt's entry names (CD14_HUMAN); those with another are left out.
    """
    folder = shipped("binn", "data", "downloads")
    entries = pd.read_csv(
        folder / "uniprotkb_human_2025_01_21.tsv", sep="\t", usecols=["Entry", "Entry Name"]
    )
    entry = dict(zip(entries["Entry Name"], entries["Entry"], strict=True))
    gene_of = {entry[f"{gene}_HUMAN"]: gene for gene in genes if f"{gene}_HUMAN" in entry}
    members = pd.read_csv(
        folder / "uniprot_2_reactome_2025_01_14.txt", sep="\t", header=None, usecols=[0, 1, 3]
    )
    members = members[members[1].str.startswith("R-HSA") & members[0].isin(gene_of)]
    above = pd.read_csv(folder / "reactome_pathways_relation_2025_01_14.txt", sep="\t", header=None)
    above = above[above[0].str.startswith("R-HSA")]
    graph = nx.DiGraph(zip(above[1], above[0], strict=True))
    tops = [node for node in graph if not graph.succ[node]]
    graph.add_edges_from((gene_of[who], what) for who, what in zip(members[0], members[1], strict=True))
    graph.add_edges_from((top, "dendritic") for top in tops)
    names = pd.read_csv(folder / "reactome_pathways_names_2025_01_21.txt", sep="\t", header=None)
    names = names[names[0].isin(set(graph))].drop_duplicates(1, keep=False)  # of equal names the numbers stay
    return nx.relabel_nodes(graph, dict(zip(names[0], names[1], strict=True)))


def fields(graph: nx.DiGraph) -> dict[str, list[str]]:
    """Reactome's top-level pathways that have more than twenty of the drawn ones within them."""
    inside = {top: nx.ancestors(graph, top) | {top} for top in graph.pred["dendritic"]}
    drawn = {top: [node for node in found if graph.pred[node]] for top, found in inside.items()}
    return {f"all of {top}": nodes for top, nodes in drawn.items() if len(nodes) > 20}


def cross_validated(graph: nx.DiGraph, X: pd.DataFrame, y: np.ndarray) -> dict[str, float]:
    """Mean AUC over five folds: of the drawn network, and of a logistic regression on the same genes."""
    scores: dict[str, list[float]] = {"Reactome, drawn": [], "logistic regression": []}
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(X, y):
        net = dagnet.Network(graph, **NETWORK, seed=0)
        net.fit(X.iloc[train], y[train], seed=0, **FIT)
        center, scale = X.iloc[train].mean(), X.iloc[train].std(ddof=0).replace(0.0, 1.0)
        line = LogisticRegression(max_iter=2000).fit((X.iloc[train] - center) / scale, y[train])
        guesses = net.predict(X.iloc[test])[:, 0], line.decision_function((X.iloc[test] - center) / scale)
        for found, guess in zip(scores.values(), guesses, strict=True):
            found.append(roc_auc_score(y[test], np.asarray(guess)))
    return {name: float(np.mean(found)) for name, found in scores.items()}


def main() -> None:
    table, y = cells()
    graph, _ = dagnet.prepare_graph(pathways(list(table.columns)), table, "dendritic")
    inputs = [node for node in graph if not graph.pred[node]]
    X, pathways_drawn = table[inputs], len(graph) - len(inputs) - 1
    print(f"{len(X)} cells, {len(inputs)} of {table.shape[1]} genes, {pathways_drawn} pathways, ", end="")
    print(f"{len(graph.edges)} edges\n")
    for name, auc in cross_validated(graph, X, y).items():
        print(f"{name:<22} AUC {auc:.3f}")

    groups = fields(graph)
    found = dagnet.importance(graph, X, y, seeds=3, shuffles=99, groups=groups, **NETWORK, **FIT)
    print("\n".join(str(found).splitlines()[-4:]), "\n")
    for name, row in found.groups.to_frame().sort_values("mean", ascending=False).head(8).iterrows():
        print(f"{row['mean']:8.3f}  p {row['p_adjusted']:.3f}  {name}")

    print(f"\n{dagnet.compare_wirings(graph, X, y, seeds=5, **NETWORK, **FIT)}")
    for path in sys.argv[1:]:
        import dagnet_matplotlib  # noqa: PLC0415 - only pictures need it

        dagnet_matplotlib.plot_importance(found, most=15).figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()

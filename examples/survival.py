"""Breast cancer that comes back: a drawn survival network beside Cox's regression, over the same folds.

686 women of the German Breast Cancer Study Group (Schumacher et al., 1994), from the wheel of ``lifelines``:

    pip install --no-deps lifelines && pip install pandas scikit-learn ./plugins/dagnet-glm
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import dagnet_glm
import networkx as nx
import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

import dagnet

if "cox" not in dagnet.losses():  # only on the path, not installed
    dagnet.register(dagnet_glm)


def patients() -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was known at the operation; and months until the cancer came back (event 1), or of follow-up."""
    package = find_spec("lifelines")
    if package is None or package.origin is None:
        raise SystemExit("this example reads data of the package lifelines: pip install --no-deps lifelines")
    raw = pd.read_csv(Path(package.origin).parent / "datasets" / "gbsg2.csv")
    X = pd.DataFrame(
        {
            "age": raw["age"].astype(float),
            "postmenopausal": (raw["menostat"] == "Post").astype(float),
            "size": raw["tsize"].astype(float),
            "grade": raw["tgrade"].map({"I": 1.0, "II": 2.0, "III": 3.0}),
            "log_nodes": np.log(raw["pnodes"]),
            "log_progesterone": np.log1p(raw["progrec"]),
            "log_oestrogen": np.log1p(raw["estrec"]),
            "hormone_therapy": (raw["horTh"] == "yes").astype(float),
        }
    )
    return X, pd.DataFrame({"months": raw["time"] / 30.4375, "event": raw["cens"].astype(float)})


def drawn() -> nx.DiGraph:
    """Three things that an oncologist speaks of; therapy acts on the hazard, and on what the hormones do."""
    parts = {
        "spread": ["size", "grade", "log_nodes"],
        "hormones": ["log_progesterone", "log_oestrogen", "hormone_therapy", "postmenopausal"],
        "host": ["age", "postmenopausal"],
    }
    graph = nx.DiGraph((column, part) for part, columns in parts.items() for column in columns)
    graph.add_edges_from((part, "log_hazard") for part in parts)
    graph.add_edges_from(
        (column, "log_hazard") for column in ("log_nodes", "log_progesterone", "hormone_therapy")
    )
    for part in parts:
        graph.nodes[part].update(activation="tanh", units=2)
    graph.add_node("log_hazard", bias=False)
    return graph


def linear(columns: list[str]) -> nx.DiGraph:
    """Cox's regression."""
    graph = nx.DiGraph((column, "log_hazard") for column in columns)
    graph.add_node("log_hazard", bias=False)
    return graph


def fitted(graph: nx.DiGraph, X: pd.DataFrame, y: pd.DataFrame) -> dagnet.Network:
    """All rows at each step: they are one risk set.  Both get the same small penalty."""
    net = dagnet.Network(graph, loss="cox(ties='efron')", seed=0)
    net.fit(X, y, epochs=60, optimizer="lbfgs", batch_size=len(X), l2=0.003, standardize=True, seed=0)
    return net


def main() -> None:
    X, y = patients()
    print(f"{len(X)} women, {int(y['event'].sum())} relapses\n")
    print(f"{'five folds, five times':<24}{'concordance':>12}{'sd of folds':>13}")
    graphs = {"drawn": drawn(), "Cox, linear": linear(list(X))}
    for title, graph in graphs.items():
        found = []
        for repeat in range(5):
            for train, test in StratifiedKFold(5, shuffle=True, random_state=repeat).split(X, y["event"]):
                net = fitted(graph, X.iloc[train], y.iloc[train])
                found.append(net.score(X.iloc[test], y.iloc[test], "concordance"))
        print(f"{title:<24}{np.mean(found):>12.4f}{np.std(found):>13.4f}")

    print("\nlog hazard ratio of hormone therapy, by do={'hormone_therapy': 1.0} against 0.0")
    low = X["log_progesterone"] < X["log_progesterone"].median()
    for title, graph in graphs.items():
        net = fitted(graph, X, y)
        treated, not_treated = (
            net.forward(X, do={"hormone_therapy": dose})["log_hazard"] for dose in (1.0, 0.0)
        )
        effect = treated - not_treated
        parts = [f"{name} {effect[rows].mean():+.3f}" for name, rows in (("low", low), ("high", ~low))]
        print(f"  {title:<14}{effect.mean():+.3f}   by progesterone receptor: {', '.join(parts)}")


if __name__ == "__main__":
    main()

"""A biologist's afternoon: an ontology as DrugCell has it, gene sets, a data frame, an explanation by name.

Terms are children of terms, genes are children of terms; what decides whether a patient responds is the
expression of KRAS and nothing else.  Each result is found a second time without dagnet.
"""

import tempfile
from pathlib import Path

import dagnet_sklearn
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dagnet

GENES = {
    "repair": ["BRCA1", "BRCA2", "TP53"],
    "signalling": ["KRAS", "EGFR"],
    "apoptosis": ["TP53", "BAX"],
    "unmeasured": ["ABC1"],
}
TERMS = [
    ("response", "repair"),
    ("response", "signalling"),
    ("response", "unmeasured"),
    ("repair", "apoptosis"),
]
MEASURED = ["BRCA1", "BRCA2", "TP53", "KRAS", "EGFR", "BAX"]


def files(folder):
    """The same ontology as three kinds of file."""
    rows = [*TERMS, *((term, gene) for term, genes in GENES.items() for gene in genes)]
    table = folder / "ontology.tsv"
    table.write_text("parent\tchild\n" + "".join(f"{parent}\t{child}\n" for parent, child in rows))
    sets = folder / "sets.gmt"
    sets.write_text(
        "".join("\t".join([term, "https://e.g/" + term, *genes]) + "\n" for term, genes in GENES.items())
    )
    terms = folder / "terms.obo"
    parent = {child: above for above, child in TERMS}
    stanzas = [
        f"[Term]\nid: {term}\nname: the {term}\n" + (f"is_a: {parent[term]}\n" if term in parent else "")
        for term in ["response", *parent]
    ]
    terms.write_text("format-version: 1.2\n\n" + "\n".join(stanzas))
    return table, sets, terms


def patients(rows=300):
    """Expression of genes by patient, with columns that are no genes; and who responded."""
    draw = np.random.default_rng(7)
    frame = pd.DataFrame(
        draw.normal(8.0, 2.0, (rows, len(MEASURED))),
        columns=MEASURED,
        index=[f"P{k:03}" for k in range(rows)],
    )
    response = pd.Series(np.where(frame["KRAS"] > 8.0, "responder", "none"), frame.index, name="response")
    frame.insert(0, "site", draw.choice(["lung", "skin"], rows))
    frame["BAX2"] = 1.0
    return frame[["EGFR", "site", "BAX2", "TP53", "KRAS", "BAX", "BRCA2", "BRCA1"]], response


def main(folder):
    table, sets, terms = files(folder)
    frame, response = patients()

    # ── One graph, from the table; and the same one, put together of gene sets and terms ──
    ontology = dagnet.read_graph(table)
    assert set(ontology.edges) == {*TERMS, *((term, gene) for term in GENES for gene in GENES[term])}
    upward = nx.compose(dagnet.read_graph(sets), dagnet.read_graph(terms))
    assert set(upward.edges) == set(ontology.reverse().edges)

    for gene, number in {"KRAS": 3845, "TP53": 7157}.items():
        ontology.nodes[gene].update(label=f"gene {gene}", entrez=number)
    ontology.edges["signalling", "KRAS"]["evidence"] = "IEA"
    ontology.add_edge("signalling", "response")  # a slip, as they are in such files: a cycle
    columns = [*frame.columns, "response"]
    with pytest.raises(dagnet.CycleError, match=r"signalling.*response"):
        dagnet.prepare_graph(ontology, columns, "response")
    graph, report = dagnet.prepare_graph(ontology, columns, "response", cycles="break")
    print(report)
    expected = ontology.copy()
    expected.remove_edge("signalling", "response")
    expected = expected.reverse()
    expected.remove_nodes_from(["ABC1", "unmeasured"])
    assert set(graph.edges) == set(expected.edges), set(graph.edges) ^ set(expected.edges)
    assert set(report.not_fed) == {"ABC1", "unmeasured"}
    assert set(report.unused) == {"site", "BAX2"}
    assert graph.nodes["KRAS"] == {"label": "gene KRAS", "entrez": 3845}

    # ── A pipeline whose scaler makes arrays: refused, with a mend that works ──
    numbers = frame[MEASURED]

    def model():
        return dagnet_sklearn.DAGClassifier(graph, activation="tanh", l1=0.02, epochs=300, random_state=0)

    with pytest.raises(ValueError, match=r'\.set_output\(transform="pandas"\)'):
        make_pipeline(StandardScaler(), model()).fit(numbers, response)
    scaled = make_pipeline(StandardScaler().set_output(transform="pandas"), model()).fit(numbers, response)
    assert list(scaled.classes_) == ["none", "responder"]
    assert scaled.score(numbers, response) > 0.95

    # ── The frame as it is: text beside the genes, columns and rows in any order ──
    plain = model().fit(frame, response)
    shuffled = np.random.default_rng(1).permutation(len(frame))
    again = model().fit(frame[frame.columns[::-1]], response.iloc[shuffled])
    assert dict(plain.network_.weights) == dict(again.network_.weights)
    assert plain.score(frame, response) == np.mean(plain.predict(frame) == response.to_numpy()) > 0.95

    # ── The truth is found: of each node's edges the one on KRAS's path is the strongest ──
    net = plain.network_
    for parent, child in [("KRAS", "signalling"), ("signalling", "response")]:
        strength = {above: abs(net.weights[above, child]) for above in expected.predecessors(child)}
        assert strength[parent] == max(strength.values()) > 5 * sorted(strength.values())[-2], (
            child,
            strength,
        )
    inputs = frame[list(net.inputs)]
    importance = {}
    for gene in net.inputs:
        mixed = inputs.assign(**{gene: inputs[gene].to_numpy()[shuffled]})
        importance[gene] = float(np.mean((net(mixed) > 0)[:, 0] != (response == "responder")))
    assert max(importance, key=importance.get) == "KRAS", importance

    # ── The explanation by name, against differences of the network's own loss ──
    patient = dict(inputs.loc["P003"])
    truth = float(response["P003"] == "responder")
    rule = net.trace(("KRAS", "signalling"), patient, truth)
    print(rule)
    assert all(name in str(rule) for name in ("KRAS", "signalling", "response"))
    assert rule.n_paths == len(list(nx.all_simple_paths(expected, "signalling", "response")))
    assert abs(rule.value - difference(net, ("KRAS", "signalling"), inputs.loc[["P003"]], [truth])) < 1e-6
    assert "KRAS" in net.formula("signalling")
    assert "EGFR" in net.formula("signalling")

    # ── Kept, and read back ──
    net.save(folder / "response.dagnet")
    loaded = dagnet.load(folder / "response.dagnet")
    assert np.array_equal(loaded.predict(frame), net.predict(frame))
    net.export(folder / "response.graphml")
    kept = dagnet.read_graph(folder / "response.graphml")
    foreign = nx.read_graphml(folder / "response.graphml")
    for there in (kept, loaded.to_networkx()):
        assert there.nodes["KRAS"]["label"] == "gene KRAS"
        assert there.nodes["TP53"]["entrez"] == 7157
        assert there.edges["KRAS", "signalling"]["evidence"] == "IEA"
    back = dagnet.Network(kept)
    assert np.array_equal(back.predict(frame), net.predict(frame))
    assert dict(back.weights) == dict(net.weights)
    assert float(foreign.edges["KRAS", "signalling"]["weight"]) == net.weights["KRAS", "signalling"]


def difference(net, edge, X, y, step=1e-5):
    """∂L/∂w by moving one weight up and down."""
    start, losses = net.weights[edge], []
    for moved in (start + step, start - step):
        net.weights[edge] = moved
        losses.append(net.evaluate(X, y))
    net.weights[edge] = start
    return (losses[0] - losses[1]) / (2 * step)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))

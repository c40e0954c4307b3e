"""Networks to save, and ways to damage what was saved."""

import copy
import hashlib
import json
import struct

import hypothesis.strategies as st
import networkx as nx
import numpy as np

import dagnet

DIGEST = b'\\"sha256\\":\\"'

# -- names and networks ------------------------------------------------------------------

surrogates = st.text(st.characters(), max_size=4)  # lone surrogates among them
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(2**200), 2**200)
    | st.floats()
    | st.sampled_from([-0.0, 2.0**63, -(2**63), 2**63 - 1, 2**63, float("nan"), "", "\ud800", b""])
    | surrogates
    | st.binary(max_size=4)
)
names = st.recursive(
    scalars.filter(lambda name: name is not None),
    lambda inner: st.lists(st.none() | inner, max_size=3).map(tuple),
    max_leaves=5,
)
specs = st.sampled_from(
    [
        "relu",
        "tanh",
        "sigmoid",
        "identity",
        "elu(alpha=0.3)",
        "elu(alpha=2)",
        "leaky_relu(negative_slope=0.1)",
    ]
)
numbers = st.floats(-5, 5, width=32) | st.just(-0.0)


@st.composite
def networks(draw):
    """Networks with everything that a file must keep."""
    nodes = draw(st.lists(names, min_size=2, max_size=7, unique=True))
    units = [draw(st.sampled_from([1, 1, 1, 2, 3])) for _ in nodes]
    graph = nx.DiGraph()
    order = draw(st.permutations(range(len(nodes))))
    for place in order:
        graph.add_node(nodes[place], units=units[place])
    pairs = [(a, b) for b in range(len(nodes)) for a in range(b)]
    chosen = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=12, unique=True))
    for a, b in chosen:
        attributes = {}
        if draw(st.booleans()):
            attributes["weight"] = draw(numbers)
        if draw(st.sampled_from([True, False, False])):
            attributes["trainable"] = False
        elif draw(st.sampled_from([True, False, False])):
            key = draw(st.sampled_from(["k", (1, b"x"), 2**80]))
            attributes = {"share": (key, units[a], units[b]), "weight": 0.5}
        graph.add_edge(nodes[a], nodes[b], **attributes)
    for name, degree in list(graph.in_degree()):
        node = graph.nodes[name]
        if degree == 0:
            node |= {"center": draw(numbers), "scale": draw(st.sampled_from([1.0, -2.5]))}
        else:
            if draw(st.booleans()):
                node["activation"] = draw(specs)
            node["bias"] = draw(st.sampled_from([True, False, -0.0, 0.25]))
            node["trainable"] = draw(st.booleans())
    return dagnet.Network(
        graph,
        loss=draw(st.sampled_from(["squared_error", "huber(delta=0.5)", "poisson"])),
        dtype=draw(st.sampled_from(["float64", "float32"])),
        seed=draw(st.integers(0, 9)),
        engine="reference",
    )


def typed(value):
    """A value that is equal only to the same type with the same bits."""
    if isinstance(value, (tuple, list)):
        return (type(value), *map(typed, value))
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if type(value) is float:
        return float, struct.pack("d", value)
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        return type(value), array.shape, array.dtype.name, array.tobytes()
    return type(value), value


def facts(net):
    """All that load(save(net)) must have in common with net, comparable by ==."""
    t = net.topology
    arrays = (t.sources, t.targets, t.inputs, t.outputs, t.level, t.units, t.activation_of, t.has_bias)
    arrays += (t.bias_trainable, t.edge_trainable, t.center, t.scale, net.parameters, net.trainable)
    return {
        "nodes": typed(tuple(net.nodes)),
        "keys": typed(t.share_keys),
        "share": None if t.share is None else t.share.tolist(),
        "arrays": [typed(np.ascontiguousarray(array)) for array in arrays],
        "activations": t.activations,
        "loss": net.loss,
        "dtype": net.dtype,
        "weight": t.weight_name,
        "plan": str(net.plan),
    }


def listed(folder):
    """Names in a folder."""
    return [path.name for path in folder.iterdir()]


def small_network():
    """A file of it is about two kilobytes."""
    graph = nx.DiGraph(dagnet={"inputs": ["x", (1, 2.5)]})
    graph.add_node("x", center=1.0, scale=2.0)
    graph.add_node((1, 2.5))
    graph.add_node("h", activation="elu(alpha=0.5)", units=2)
    graph.add_edge("x", "h")
    graph.add_edge((1, 2.5), "h", trainable=False)
    graph.add_edge("h", "y", share="k")
    graph.add_edge("h", True, share="k")
    return dagnet.Network(graph, loss="huber(delta=2.0)", seed=1)


# -- files -------------------------------------------------------------------------------


def parted(data):
    """Header text and tensor bytes of a file."""
    length = int.from_bytes(data[:8], "little")
    return data[8 : 8 + length].decode(), data[8 + length :]


def sealed(header, tensors):
    """A file with a right length and a right digest, whatever else is wrong."""
    raw = header.encode("utf-8", "surrogatepass")
    data = len(raw).to_bytes(8, "little") + raw + tensors
    place = data.find(DIGEST)
    if place < 0:
        return data
    start = place + len(DIGEST)
    zeroed = data[:start] + b"0" * 64 + data[start + 64 :]
    return data[:start] + hashlib.sha256(zeroed).hexdigest().encode() + data[start + 64 :]


def taken_apart(data):
    """Header as an object, the document in it as an object, and the tensor bytes."""
    header, tensors = parted(data)
    entries = json.loads(header)
    return entries, json.loads(entries["__metadata__"]["dagnet"]), tensors


def put_together(entries, document, tensors):
    """The reverse, sealed; JSON as compact as the writer's."""
    entries = copy.deepcopy(entries)
    entries["__metadata__"]["dagnet"] = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return sealed(json.dumps(entries, separators=(",", ":"), ensure_ascii=False), tensors)


JUNK = [None, True, 0, -1, 1, 2, 2**31, 2**63, 10**30, 1.5, "", "x", "0", "relu", [], {}, [[]], ["f", "00"]]
JUNK += [
    ["f", "7ff8000000000001"],
    ["i", "1"],
    ["t", [1]],
    ["s", "ff"],
    ["a", 0, False],
    float("nan"),
    "\ud800",
]


def places(value, path=()):
    """All paths into nested lists and dictionaries."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*path, key))


def _edited(rng, value):
    """One random edit of nested JSON."""
    value = copy.deepcopy(value)
    paths = [path for path in places(value) if path]
    path = paths[rng.integers(len(paths))]
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key, junk = path[-1], copy.deepcopy(JUNK[rng.integers(len(JUNK))])
    old = holder[key]
    kind = rng.integers(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(old, int) and not isinstance(old, bool):
        holder[key] = old + int(rng.integers(-9, 10))
    elif kind == 2 and isinstance(old, list) and old:
        old.insert(int(rng.integers(len(old) + 1)), copy.deepcopy(old[rng.integers(len(old))]))
    elif kind == 3 and isinstance(holder, dict):
        holder[["more", "shape", "0", "units", "weights"][rng.integers(5)]] = junk
    else:
        holder[key] = junk
    return value


def mutated(rng, data):
    """A damaged file: bits, lengths and tails, or the structure, then with a right digest."""
    kind = rng.integers(8)
    if kind == 0:
        place = int(rng.integers(len(data)))
        return data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
    if kind == 1:
        return data[: int(rng.integers(len(data)))]
    if kind == 2:
        return data + rng.bytes(int(rng.integers(1, 40)))
    header, tensors = parted(data)
    if kind == 3:  # anything at all in the header
        place, stop = sorted(rng.integers(len(header), size=2).tolist())
        return sealed(header[:place] + header[stop : stop + 60] + header[place:], tensors)
    if kind == 4:  # the tensors' bytes
        place = int(rng.integers(len(tensors)))
        return sealed(header, tensors[:place] + rng.bytes(int(rng.integers(1, 9))) + tensors[place + 1 :])
    entries, document, tensors = taken_apart(data)
    if kind == 5:
        return put_together(entries, _edited(rng, document), tensors)
    if kind == 6:
        changed = _edited(rng, {key: value for key, value in entries.items() if key != "__metadata__"})
        return put_together({"__metadata__": entries["__metadata__"], **changed}, document, tensors)
    return put_together(entries, _edited(rng, _edited(rng, document)), tensors)

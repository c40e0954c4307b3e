// The payload as typed arrays, and walks over the graph.  It has, array meaning what Python packed:
// title, facts
//     A line of text; a list of [what, value] pairs of text.
// message
//     What must be said about the whole page (that it is a summary, say), or "".
// names
//     (nodes,) labels, all different.
// role, level, column, units, x, y, activation
//     (nodes,) arrays: 0 input, 1 hidden, 2 output, 3 constant, 4 group; longest distance from a
//     parentless node; where it stands; how many units; coordinates, in which radius is a node's size; place
//     in activations, a list of {label, formula, given, points}: a place in formulas, numbers for its arguments
//     after z, one or one a unit each, and where it has no formula 121 values for z from −6 to 6, or null.
// aggregation
//     of each node the place in aggregations, a list of names; −1 for the sum.
// formulas
//     A list of {arguments, ops, result, reason}, each operation [name, reads, value]; of none there is a reason.
// words
//     By node number what else it says, such as its normalization and dropout, as text.
// norms
//     By node number {eps, before, gain, offset}: gain · x + offset, (units,) arrays, of the value, or of z if
//     before; x is centred and divided by √(variance + eps) over the node's units first, unless eps is null.
// bias, center, scale
//     (all units, node after node) arrays, NaN where there is none; the last two may be null.
// edges
//     source, target: (edges,) arrays of node numbers.  weight: one number an edge (of
//     a matrix the root mean square with the sign of the sum); elements: all of them, edge
//     after edge, each in row-major (child units, parent units) order, null where every edge has
//     one or where they are too many.  frozen: 0 or 1.  share: the group of edges that are
//     one weight, −1 alone, or null.  gradient: ∂(mean loss)/∂weight over all rows, or null.
//     bend_ptr, bend_x, bend_y: points that edges pass on their way; direct: long
//     edges run freely.  counted: weights are numbers of edges (in a summary).
// rows
//     Null without data, else total rows of which the first kept are here: z, a
//     and, with targets, delta = ∂(the row's loss)/∂z, arrays (kept, all units); slope =
//     ∂a/∂z, the same shape, NaN where it is a matrix; loss (kept,), mean_loss; pull =
//     ∂(the row's loss)/∂a and target, (kept, output units); share = ∂(aggregation)/∂(w a), (kept,
//     edges), or null; outputs: the units of the outputs; attribution: by the name of an output, at
//     most four, DeepLIFT's contributions to it, (kept, nodes).  As many rows are kept as give at most
//     150,000 numbers for each quantity, at most 64 and at least one.
// history
//     Names of at most four quantities, those of all heads first, and arrays, one number an epoch, or null.

const KINDS = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u1: Uint8Array };
const ROLES = ["input", "hidden", "output", "constant", "group"];

function unpack(array) {
  if (array === null || array === undefined) return null;
  const text = atob(array.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new KINDS[array.kind](bytes.buffer);
}

function grouped(keys, n) {
  // Edges by one of their ends: those of node v are edges[ptr[v]] to edges[ptr[v + 1]].
  const ptr = new Int32Array(n + 1);
  for (const key of keys) ptr[key + 1]++;
  for (let v = 0; v < n; v++) ptr[v + 1] += ptr[v];
  const next = ptr.slice(), edges = new Int32Array(keys.length);
  for (let e = 0; e < keys.length; e++) edges[next[keys[e]]++] = e;
  return { ptr, edges };
}

function readNet() {
  const raw = JSON.parse(document.getElementById("data").textContent);
  const net = { ...raw, n: raw.names.length };
  for (const key of ["role", "level", "column", "units", "x", "y", "activation", "aggregation", "bias", "center", "scale"]) net[key] = unpack(raw[key]);
  for (const key of ["source", "target", "weight", "elements", "frozen", "share", "gradient", "bend_ptr", "bend_x", "bend_y"]) net[key] = unpack(raw.edges[key]);
  net.direct = raw.edges.direct;
  net.counted = raw.edges.counted;
  net.m = net.source.length;
  net.unitStart = new Int32Array(net.n + 1);
  for (let v = 0; v < net.n; v++) net.unitStart[v + 1] = net.unitStart[v] + net.units[v];
  net.nUnits = net.unitStart[net.n];
  net.norms = Object.fromEntries(Object.entries(raw.norms ?? {}).map(([v, norm]) => [v, { ...norm, gain: unpack(norm.gain), offset: unpack(norm.offset) }]));
  net.curves = raw.activations.map((curve) => ({ ...curve, points: unpack(curve.points) }));
  if (raw.rows) {
    net.rows = { total: raw.rows.total, kept: raw.rows.kept, mean_loss: raw.rows.mean_loss };
    net.rows.attribution = Object.entries(raw.rows.attribution).map(([name, array]) => [name, unpack(array)]);
    for (const key of ["z", "a", "slope", "delta", "loss", "pull", "target", "outputs", "share"]) net.rows[key] = unpack(raw.rows[key]);
  }
  net.history = raw.history && Object.entries(raw.history).map(([name, array]) => [name, unpack(array)]);
  net.into = grouped(net.target, net.n);
  net.outOf = grouped(net.source, net.n);
  net.columns = [];
  for (let v = 0; v < net.n; v++) (net.columns[net.column[v]] ??= []).push(v);
  net.levels = [];
  for (let v = 0; v < net.n; v++) (net.levels[net.level[v]] ??= []).push(v);
  net.elementStart = new Int32Array(net.m + 1);
  for (let e = 0; e < net.m; e++) net.elementStart[e + 1] = net.elementStart[e] + net.units[net.source[e]] * net.units[net.target[e]];
  net.gap = new Float64Array(net.n).fill(Infinity); // how far it is to the nearest node of the column
  for (const column of net.columns) {
    column?.sort((a, b) => net.y[a] - net.y[b]);
    column?.forEach((v, i) => {
      if (!i) return;
      const above = column[i - 1], gap = net.y[v] - net.y[above];
      net.gap[v] = gap;
      net.gap[above] = Math.min(net.gap[above], gap);
    });
  }
  return net;
}

const edgesInto = (v) => net.into.edges.subarray(net.into.ptr[v], net.into.ptr[v + 1]);
const edgesOutOf = (v) => net.outOf.edges.subarray(net.outOf.ptr[v], net.outOf.ptr[v + 1]);

function reach(seeds, backwards) {
  // The seeds and all their ancestors, or all their descendants, as a mask.
  const seen = new Uint8Array(net.n), stack = [...seeds];
  for (const v of stack) seen[v] = 1;
  while (stack.length) {
    const v = stack.pop();
    for (const e of backwards ? edgesInto(v) : edgesOutOf(v)) {
      const next = backwards ? net.source[e] : net.target[e];
      if (!seen[next]) { seen[next] = 1; stack.push(next); }
    }
  }
  return seen;
}

function sameWeight(e) {
  if (!net.share || net.share[e] < 0) return [e];
  const found = [];
  for (let other = 0; other < net.m; other++) if (net.share[other] === net.share[e]) found.push(other);
  return found;
}

function lightOf(chosen) {
  // Which nodes and edges answer the question that a click asks; null: no question.
  if (!chosen) return null;
  const edges = new Uint8Array(net.m);
  if (chosen.kind === "node") {
    const up = reach([chosen.id], true), down = reach([chosen.id], false);
    const nodes = up.map((seen, v) => seen | down[v]);
    for (let e = 0; e < net.m; e++) edges[e] = up[net.target[e]] | down[net.source[e]];
    return { nodes, edges, up, down };
  }
  const twins = sameWeight(chosen.id);
  const nodes = reach(twins.map((e) => net.target[e]), false);
  for (let e = 0; e < net.m; e++) edges[e] = nodes[net.source[e]] & nodes[net.target[e]];
  for (const e of twins) edges[e] = 1;
  return { nodes, edges, twins, down: nodes };
}

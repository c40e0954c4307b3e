// The payload as typed arrays, and walks over the graph.

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
  for (const key of ["role", "level", "column", "units", "x", "y", "activation", "aggregation", "function_of", "bias", "center", "scale"]) net[key] = unpack(raw[key]);
  for (const key of ["source", "target", "weight", "elements", "frozen", "share", "gradient", "bend_ptr", "bend_x", "bend_y"]) net[key] = unpack(raw.edges[key]);
  net.direct = raw.edges.direct;
  net.counted = raw.edges.counted;
  net.m = net.source.length;
  net.unitStart = new Int32Array(net.n + 1);
  for (let v = 0; v < net.n; v++) net.unitStart[v + 1] = net.unitStart[v] + net.units[v];
  net.nUnits = net.unitStart[net.n];
  net.curves = raw.activations.map((item) => ({ label: item.label, z: unpack(item.z), a: unpack(item.a) }));
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

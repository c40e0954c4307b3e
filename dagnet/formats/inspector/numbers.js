// Numbers: how they read, and how they become colours and widths.

const CATEGORIES = {
  light: ["#cdd2d9", "#3fae8f", "#f2d94e", "#cf94bb", "#8fcbee", "#f0b95b", "#a7a2e0", "#b9c26a"],
  dark: ["#6d7784", "#2fbf95", "#e8d35a", "#d791bd", "#6fbdee", "#eeb04a", "#a49df0", "#b4c05e"],
};

function show(x, digits = 5) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  if (!Number.isFinite(x)) return x > 0 ? "∞" : "−∞";
  if (x === 0) return "0";
  const size = Math.abs(x);
  let text = size >= 1e6 || size < 1e-4 ? x.toExponential(Math.max(0, digits - 2)) : x.toPrecision(digits);
  if (text.includes(".")) text = text.replace(/\.?0+(e|$)/, "$1");
  return text.replace("e+", "e").replace(/-/g, "−");
}

const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many ?? one + "s"}`;

function ofNode(quantity, v) {
  // z, a, δ or slope of a node for the chosen row; of several units their mean.
  const done = state.done, all = done ? done[quantity] : net.rows?.[quantity];
  if (!all) return NaN;
  const base = done ? 0 : state.row * net.nUnits;
  let sum = 0;
  for (let u = net.unitStart[v]; u < net.unitStart[v + 1]; u++) sum += all[base + u];
  return sum / net.units[v];
}

const ofUnit = (quantity, u) => (state.done ? state.done[quantity]?.[u] ?? NaN : net.rows?.[quantity] ? net.rows[quantity][state.row * net.nUnits + u] : NaN);

// What a node contributes to the chosen output, in the chosen row as it is.
const attributed = (v) => (state.done ? NaN : net.rows?.attribution[state.of]?.[1][state.row * net.n + v] ?? NaN);

function share(e) {
  // The derivative of the child's aggregation by the edge's term in the chosen row: 1 where it is a sum.
  if (net.aggregation[net.target[e]] < 0) return 1;
  return net.rows?.share && !state.done ? net.rows.share[state.row * net.m + e] : NaN;
}

function rowGradient(e) {
  // ∂(the row's loss)/∂w of an edge between one-unit nodes, of matrices the root mean square.
  if (!net.rows?.delta) return NaN;
  const s = net.source[e], t = net.target[e];
  if (net.units[s] === 1 && net.units[t] === 1) return ofUnit("delta", net.unitStart[t]) * share(e) * ofUnit("a", net.unitStart[s]);
  let squares = 0, sum = 0;
  for (let i = net.unitStart[t]; i < net.unitStart[t + 1]; i++)
    for (let j = net.unitStart[s]; j < net.unitStart[s + 1]; j++) {
      const term = ofUnit("delta", i) * share(e) * ofUnit("a", j);
      squares += term * term; sum += term;
    }
  return Math.sign(sum) * Math.sqrt(squares / (net.units[s] * net.units[t]));
}

function largest(values) {
  let most = 0;
  for (const x of values) { const size = Math.abs(x); if (size > most && Number.isFinite(size)) most = size; }
  return most;
}

function mix(a, b, t) {
  const read = (c) => [1, 3, 5].map((i) => parseInt(c.slice(i, i + 2), 16));
  const [p, q] = [read(a), read(b)];
  return "#" + p.map((x, i) => Math.round(x + (q[i] - x) * t).toString(16).padStart(2, "0")).join("");
}

function makeRamp(colours) {
  // 129 steps from negative over the middle to positive.
  const ramp = [];
  for (let i = -64; i <= 64; i++) ramp.push(mix(colours.mid, i < 0 ? colours.negative : colours.positive, Math.abs(i) / 64));
  return ramp;
}

function rampColour(x, most) {
  if (!Number.isFinite(x) || !most) return x ? theme.zero : theme.mid;
  const t = Math.sign(x) * Math.sqrt(Math.min(1, Math.abs(x) / most));
  return theme.ramp[Math.round(64 + 64 * t)];
}

function nodeColours() {
  // One fill a node for the mode, the row and the theme.
  const fills = new Array(net.n);
  if (state.colour === "activation") {
    for (let v = 0; v < net.n; v++) fills[v] = net.role[v] === 0 || net.role[v] === 4 ? theme.node : theme.categories[kindOf(net.activation[v])];
    return { fills, most: 0 };
  }
  const values = new Float64Array(net.n), read = { value: (v) => ofNode("a", v), gradient: (v) => ofNode("delta", v), attribution: attributed }[state.colour];
  for (let v = 0; v < net.n; v++) values[v] = read(v);
  const most = largest(values);
  for (let v = 0; v < net.n; v++) fills[v] = rampColour(values[v], most);
  return { fills, most };
}

function kindOf(activation) {
  // Identity is grey, the others have colours in the order in which they occur.
  if (net.curves[activation]?.label === "identity") return 0;
  const used = (net.usedActivations ??= [...new Set([...net.activation].filter((a, v) => net.role[v] !== 0 && net.curves[a]?.label !== "identity"))]);
  return 1 + (Math.max(0, used.indexOf(activation)) % (theme.categories.length - 1));
}

function edgeStrengths() {
  // What the width shows, one number an edge, with its sign.
  if (state.width === "weight") return net.weight;
  const values = new Float64Array(net.m);
  for (let e = 0; e < net.m; e++) values[e] = rowGradient(e);
  return values;
}

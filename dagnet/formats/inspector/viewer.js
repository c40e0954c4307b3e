// The page's state, and how it begins.

const canvas = document.getElementById("canvas"), context = canvas.getContext("2d");
const timings = {};
const net = readNet();
timings.read = performance.now();
const view = { x: 0, y: 0, k: 1 }, size = { w: 1, h: 1 }, limits = { least: 0.01, most: 400 };
const frame = { canvas: document.createElement("canvas"), view: null };
const state = { row: 0, colour: "activation", width: "weight", threshold: 0, drawn: 0, edgesOf: null, of: 0, given: new Map(), done: null, unit: 0 };
let theme = null, style = null, light = null, chosen = null, found = new Set(), grid = null, job = null, pending = null, rest = 0;
const routes = makeRoutes();
timings.routes = performance.now();

function choose(what, centre = false) {
  chosen = what;
  state.unit = 0;
  state.edgesOf = null;
  light = lightOf(what);
  if (light) light.count = light.edges.reduce((sum, x) => sum + x, 1);
  if (light) light.few = light.nodes.reduce((sum, x) => sum + x, 0) <= 80;
  fillPanel();
  if (what && centre) show1(what);
  speak();
  redraw();
}

function show1(what) {
  // Bring what was chosen into view, if it is not.
  const v = what.kind === "node" ? [what.id] : [net.source[what.id], net.target[what.id]];
  const x = v.reduce((s, i) => s + net.x[i], 0) / v.length, y = v.reduce((s, i) => s + net.y[i], 0) / v.length, [px, py] = toPage(x, y);
  if (net.radius * view.k < 3) view.k = Math.min(limits.most, 7 / net.radius);
  else if (px > 60 && py > 60 && px < size.w - 60 && py < size.h - 60) return;
  view.x = size.w / 2 - x * view.k; view.y = size.h / 2 - y * view.k;
}

function speak() {
  const said = document.getElementById("spoken");
  if (!chosen) said.textContent = "nothing is chosen";
  else if (chosen.kind === "node") said.textContent = [...nodeTip(chosen.id), `${edgesInto(chosen.id).length} parents, ${edgesOutOf(chosen.id).length} children`].join(", ");
  else said.textContent = [...edgeTip(chosen.id), `in the parent chain of ${litNodes().length} nodes`].join(", ");
}

function litNodes() {
  const lit = [];
  if (light) for (let v = 0; v < net.n; v++) if (light.nodes[v]) lit.push(v);
  return lit;
}

function fit() {
  const box = bounds(), pad = 40, [before, after] = sideLabels();
  const wide = box.right - box.left + 3 * net.radius || 1, high = box.bottom - box.top + 3 * net.radius || 1;
  const below = document.getElementById("legend").offsetHeight + 26, above = document.getElementById("message").offsetHeight;
  view.k = Math.min((size.w - 2 * pad - before - after) / wide, (size.h - pad - below - above) / high, 27 / net.radius);
  view.k = Math.max(view.k, 1e-3);
  limits.least = view.k / 4; limits.most = Math.max(60 / net.radius, view.k * 4);
  view.x = (size.w + before - after) / 2 - ((box.left + box.right) / 2) * view.k;
  view.y = (size.h - below + above + pad * 0.5) / 2 - ((box.top + box.bottom) / 2) * view.k;
  state.fitted = { ...view };
  redraw();
}

// Whether the hand has not moved the picture since it was fitted: it may be fitted again.
const isFitted = () => ["x", "y", "k"].every((key) => view[key] === state.fitted?.[key]);

function sideLabels() {
  // Room for the names left of the first and right of the last column.
  context.font = `12px ${SANS}`;
  const widest = (column) => (column ?? []).slice(0, 80).reduce((most, v) => Math.max(most, context.measureText(shortName(v)).width), 0);
  return [net.columns[0], net.columns.at(-1)].map((column) => (column && column.length > 120 ? 0 : Math.min(190, Math.max(0, widest(column) - 24))));
}

function resize(first) {
  const box = canvas.parentElement.getBoundingClientRect(), ratio = window.devicePixelRatio || 1, before = { ...size };
  size.w = box.width; size.h = box.height;
  canvas.width = Math.max(1, Math.round(box.width * ratio)); canvas.height = Math.max(1, Math.round(box.height * ratio));
  frame.view = null;
  if (first) return;
  if (isFitted()) return fit();
  view.x += (size.w - before.w) / 2; view.y += (size.h - before.h) / 2;
  redraw();
}

function setRow(row) {
  if (!net.rows) return;
  state.row = Math.max(0, Math.min(net.rows.kept - 1, Math.round(row) || 0));
  document.getElementById("row").value = state.row + 1;
  applyDo(); restyle(); fillPanel(); redraw();
}

function setThreshold(value) {
  state.threshold = value;
  restyle();
  document.getElementById("threshold-text").textContent = value ? `≥ ${show(thresholdOf(value, style.top), 3)} · ${style.shown.toLocaleString("en")}` : "all edges";
  redraw();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  readTheme(); restyle(); fillPanel(); redraw();
}

function setUp() {
  const preferred = window.matchMedia("(prefers-color-scheme: dark)");
  document.documentElement.dataset.theme = preferred.matches ? "dark" : "light";
  preferred.addEventListener("change", () => setTheme(preferred.matches ? "dark" : "light"));
  readTheme();
  document.getElementById("title").textContent = net.title;
  if (net.message) { const box = document.getElementById("message"); box.textContent = net.message; box.hidden = false; }
  const rows = net.rows, gradients = Boolean(rows?.delta);
  document.getElementById("row-box").hidden = !rows;
  document.querySelector("#colour [data-value=value]").disabled = !rows;
  const of = document.getElementById("of"), outputs = rows?.attribution ?? [];
  of.append(...outputs.map(([name], i) => element("option", { value: i }, `to ${cutText(name, 30)}`)));
  of.hidden = true;
  of.addEventListener("change", () => { state.of = Number(of.value); restyle(); redraw(); });
  document.querySelector("#colour [data-value=attribution]").disabled = !outputs.length;
  for (const id of ["colour", "width"]) document.querySelector(`#${id} [data-value=gradient]`).disabled = !gradients;
  if (rows) { document.getElementById("row").max = rows.kept; document.getElementById("row-count").textContent = `of ${rows.kept}`; }
  restyle();
}

function bind() {
  bindPointer(); bindKeys(); bindSearch();
  const by = (id, kind, action) => document.getElementById(id).addEventListener(kind, action);
  window.dagnet.colour = bindSegments("colour", (value) => { state.colour = value; document.getElementById("of").hidden = value !== "attribution" || net.rows.attribution.length < 2; restyle(); if (isFitted()) fit(); redraw(); });
  window.dagnet.width = bindSegments("width", (value) => { state.width = value; setThreshold(state.threshold); });
  window.dagnet.colour(state.colour); window.dagnet.width(state.width);
  by("threshold", "input", (event) => setThreshold(Number(event.target.value)));
  by("row", "change", (event) => setRow(event.target.value - 1));
  by("row-before", "click", () => setRow(state.row - 1)); by("row-after", "click", () => setRow(state.row + 1));
  by("theme", "click", () => setTheme(theme.dark ? "light" : "dark"));
  by("zoom-in", "click", () => zoomMiddle(1.3)); by("zoom-out", "click", () => zoomMiddle(1 / 1.3));
  by("fit", "click", fit); by("help", "click", toggleKeys);
  new ResizeObserver(() => resize(false)).observe(canvas.parentElement);
}

// What tests (and the console) may ask.
window.dagnet = {
  timings, state, view,
  names: () => net.names,
  labelled: () => labelled.map((v) => net.names[v]),
  lit: () => litNodes().map((v) => net.names[v]),
  litEdges: () => (light ? Array.from(light.edges.keys()).filter((e) => light.edges[e]).map((e) => [net.names[net.source[e]], net.names[net.target[e]]]) : []),
  chosen: () => chosen && (chosen.kind === "node" ? net.names[chosen.id] : [net.names[net.source[chosen.id]], net.names[net.target[chosen.id]]]),
  shown: () => style.shown,
  busy: () => Boolean(job || pending),
  at: (name) => { const v = net.names.indexOf(name), box = canvas.getBoundingClientRect(), [x, y] = toPage(net.x[v], net.y[v]); return [x + box.left, y + box.top]; },
  middle: (a, b) => { const e = edgeBetween(a, b), box = canvas.getBoundingClientRect(), q = 8 * routes.ptr[e], [x, y] = toPage(...pieceAt(q, 0.5)); return [x + box.left, y + box.top]; },
  select: (name) => choose({ kind: "node", id: net.names.indexOf(name) }),
  selectEdge: (a, b) => choose({ kind: "edge", id: edgeBetween(a, b) }),
  clear: () => choose(null),
  do: (name, value, unit) => setDo(net.names.indexOf(name), value, unit ?? 0),
  why: (name) => why(net.names.indexOf(name)),
  value: (name) => { const v = net.names.indexOf(name); return Array.from({ length: net.units[v] }, (_, k) => ofUnit("a", net.unitStart[v] + k)); },
  attribution: (name) => attributed(net.names.indexOf(name)),
};

function edgeBetween(a, b) {
  const s = net.names.indexOf(a), t = net.names.indexOf(b);
  return Array.from(net.source.keys()).find((e) => net.source[e] === s && net.target[e] === t);
}

setUp();
resize(true);
fit();
bind();
fillPanel();
timings.ready = performance.now();

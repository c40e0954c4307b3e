// Names and numbers in the picture, only where there is room, the important first.

const SANS = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", sans-serif';
const MOST_LABELS = 420;
let labelled = []; // nodes whose names can be read now
const cutText = (text, longest) => (text.length > longest ? text.slice(0, longest - 1) + "…" : text), shortName = (v, longest = 40) => cutText(net.names[v], longest);

const isAsked = (v) => isChosen(v) || (chosen?.kind === "edge" && (net.source[chosen.id] === v || net.target[chosen.id] === v));

function ranked(visible) {
  const weight = (v) => (isAsked(v) ? 1e6 : 0) + (found.has(v) ? 1e5 : 0) + (light && light.nodes[v] ? 1e4 : 0) + (net.role[v] === 1 ? 0 : 500)
    + net.into.ptr[v + 1] - net.into.ptr[v] + net.outOf.ptr[v + 1] - net.outOf.ptr[v];
  return visible.map((v) => [weight(v), v]).sort((a, b) => b[0] - a[0]).slice(0, 4 * MOST_LABELS).map((pair) => pair[1]);
}

function paintLabels(to, visible) {
  const r = net.radius * view.k, px = Math.max(9.5, Math.min(14, r * 0.85));
  const taken = new Taken();
  to.font = `${px}px ${SANS}`;
  to.lineJoin = "round";
  to.textBaseline = "middle";
  if (r >= 2.4) for (const v of visible) { const [x, y] = toPage(net.x[v], net.y[v]); taken.add(x - r, y - r, x + r, y + r); }
  labelled = [];
  for (const v of ranked(visible)) {
    if (labelled.length === MOST_LABELS) break;
    const dim = light && !light.nodes[v] && !isEnd(v);
    if (r < 4.5 && net.gap[v] * view.k < px + 1 && !isAsked(v) && !found.has(v) && !(light?.few && !dim)) continue;
    if (paintLabel(to, v, r, px, taken, dim)) labelled.push(v);
  }
  if (style.shown <= 60 && r > 10) paintNumbers(to, taken);
}

function paintLabel(to, v, r, px, taken, dim) {
  const [x, y] = toPage(net.x[v], net.y[v]), text = shortName(v), width = to.measureText(text).width;
  to.globalAlpha = dim ? 0.35 : 1;
  if (px <= r && width <= r * (net.role[v] === 0 || net.role[v] === 4 ? 1.55 : 1.7)) {
    to.textAlign = "center";
    to.fillStyle = inkOn(style.fills[v]);
    to.fillText(text, x, y + 0.5);
    to.globalAlpha = 1;
    return true;
  }
  const last = net.column[v] === net.columns.length - 1, first = net.column[v] === 0 && !last;
  const rim = r + (isAsked(v) ? 6 : 2); // room for a chosen node's ring
  const below = [x - width / 2, y + rim, x + width / 2, y + rim + px + 3], before = [x - r - width - 6, y - px / 2, x - r - 5, y + px / 2];
  const after = [x + r + 5, y - px / 2, x + r + 6 + width, y + px / 2];
  const boxes = first ? [before, below] : last ? [after, below] : [below, after];
  const box = boxes.find((one) => !taken.meets(...one)) ?? (isAsked(v) ? boxes[0] : null);
  if (box) {
    taken.add(...box);
    to.textAlign = "left";
    to.lineWidth = 3.5; to.strokeStyle = theme.halo; to.fillStyle = theme.ink;
    to.strokeText(text, box[0], (box[1] + box[3]) / 2);
    to.fillText(text, box[0], (box[1] + box[3]) / 2);
  }
  to.globalAlpha = 1;
  return Boolean(box);
}

function paintNumbers(to, taken) {
  // Weights (or gradients) beside their lines while they are few.
  to.font = `11px ${SANS}`;
  to.textAlign = "center";
  for (const batch of style.batches)
    for (const e of batch.edges) {
      const dim = light && !light.edges[e], text = net.counted ? style.values[e].toLocaleString("en") : show(style.values[e], 3);
      const half = to.measureText(text).width / 2 + 2;
      const spots = [0.36, 0.44, 0.28, 0.56, 0.66].map((t) => toPage(...pieceAt(8 * routes.ptr[e], t)));
      const free = spots.find(([px, py]) => !taken.meets(px - half, py - 7, px + half, py + 7));
      if (!free) continue;
      const [x, y] = free;
      taken.add(x - half, y - 7, x + half, y + 7);
      to.globalAlpha = dim ? 0.25 : 1;
      to.fillStyle = theme.halo;
      to.fillRect(x - half, y - 7, 2 * half, 14);
      to.fillStyle = batch.sign > 0 ? theme.positive : batch.sign < 0 ? theme.negative : theme.soft;
      to.fillText(text, x, y);
    }
  to.globalAlpha = 1;
}

function inkOn(fill) {
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(fill.slice(i, i + 2), 16));
  return 0.299 * r + 0.587 * g + 0.114 * b > 130 ? "#14181d" : "#ffffff";
}

class Taken {
  // Boxes on the page, in cells, so that a label meets only its neighbours.
  constructor() { this.cells = new Map(); }
  *around(left, top, right, bottom) {
    for (let i = Math.floor(left / 48); i <= Math.floor(right / 48); i++)
      for (let j = Math.floor(top / 48); j <= Math.floor(bottom / 48); j++) yield i * 100003 + j;
  }
  add(...box) {
    for (const key of this.around(...box)) {
      if (!this.cells.has(key)) this.cells.set(key, []);
      this.cells.get(key).push(box);
    }
  }
  meets(left, top, right, bottom) {
    for (const key of this.around(left, top, right, bottom))
      for (const box of this.cells.get(key) ?? []) if (box[0] < right && box[2] > left && box[1] < bottom && box[3] > top) return true;
    return false;
  }
}

function legend() {
  // What shapes, fills and lines mean, for the modes that are on.
  const box = document.getElementById("legend"), entry = (kind, text, css = {}) => {
    const item = element("span"), mark = element("i", { class: kind });
    Object.assign(mark.style, css);
    item.append(mark, text);
    return item;
  };
  const shapes = element("div"), kinds = ["square", "round", "double", "diamond"];
  for (let role = 0; role < 4; role++) if (net.role.includes(role)) shapes.append(entry(kinds[role], ROLES[role]));
  const colours = element("div");
  if (state.colour === "activation") {
    const used = new Set([...net.activation].filter((_, v) => net.role[v] !== 0 && net.role[v] !== 4));
    for (const a of used) if (net.curves[a]) colours.append(entry("dot", cutText(net.curves[a].label, 40), { background: theme.categories[kindOf(a)] }));
  } else {
    const most = show(style.most, 3), stops = [0, 16, 32, 48, 64, 80, 96, 112, 128].map((i) => theme.ramp[i]).join(",");
    const name = { value: "value a", gradient: "δ = ∂loss/∂z", attribution: `contribution to ${cutText(net.rows.attribution[state.of]?.[0] ?? "", 30)}` }[state.colour];
    colours.append(entry("", `${name}, row ${state.row + 1}${state.done ? ` with ${saidDo()}` : ""}:`), `−${most}`, entry("ramp", "", { background: `linear-gradient(90deg,${stops})` }), most);
  }
  const lines = element("div");
  const quantity = net.counted ? "number of edges" : state.width === "weight" ? "weight" : `∂loss/∂weight, row ${state.row + 1}`;
  if (net.counted) lines.append(entry("stroke", quantity, { background: theme.zero }));
  else lines.append(entry("stroke", `positive ${quantity}`, { background: theme.positive }), entry("stroke", "negative", { background: theme.negative }));
  lines.append(`widest ${show(style.top, 3)}`);
  box.replaceChildren(...[shapes, colours, lines].filter((row) => row.childNodes.length));
}

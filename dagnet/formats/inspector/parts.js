// Pieces that the panel is made of.  Names enter the page as text only.

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) if (value !== null && value !== undefined) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function nodeLink(v) {
  const button = element("button", { class: "link", title: shortName(v, 300), dir: "auto" }, shortName(v, 60));
  button.addEventListener("click", () => choose({ kind: "node", id: v }, true));
  return button;
}

function meanLink(v) {
  // Beside one number for a node: of several units it is their mean.
  return net.units[v] > 1 ? element("span", {}, nodeLink(v), ` mean of ${net.units[v]} units`) : nodeLink(v);
}

function edgeLink(e, text) {
  const button = element("button", { class: "link", title: "show this edge" }, text);
  button.addEventListener("click", () => choose({ kind: "edge", id: e }, true));
  return button;
}

function signed(x, digits) {
  return element("span", { class: x > 0 ? "up" : x < 0 ? "down" : "" }, show(x, digits));
}

const breakable = (value) => (typeof value === "string" ? value.replace(/_/g, "_\u200b") : value);

function facts(pairs, three = false) {
  const list = element("dl", { class: three ? "facts three" : "facts" });
  for (const [what, value] of pairs) list.append(element("div", {}, element("dt", {}, what), element("dd", { class: typeof value === "string" && value.length > 9 ? "long" : "" }, breakable(value))));
  return list;
}

function table(header, rows, most = 12) {
  // Rows beyond the first are shown when asked for.
  const body = element("tbody"), box = element("div");
  const fill = (from, to) => rows.slice(from, to).forEach((cells) => body.append(element("tr", {}, ...cells.map((cell) => element("td", {}, cell)))));
  fill(0, most);
  box.append(element("table", {}, element("thead", {}, element("tr", {}, ...header.map((cell) => element("th", { scope: "col" }, cell)))), body));
  if (rows.length > most) {
    const more = element("button", { class: "more" }, `show ${Math.min(500, rows.length - most)} more`);
    more.addEventListener("click", () => { fill(most, most + 500); more.remove(); });
    box.append(more);
  }
  return box;
}

function cloud(nodes, most = 60) {
  const box = element("div", { class: "cloud" });
  const fill = (part) => part.forEach((v) => box.append(nodeLink(v)));
  fill(nodes.slice(0, most));
  if (nodes.length > most) box.append(element("span", {}, `and ${(nodes.length - most).toLocaleString("en")} more`));
  return box;
}

function curvePlot(curve, z, a) {
  // An activation with the chosen row's point on it.
  const w = 330, h = 120, xs = Array.from({ length: 121 }, (_, i) => (i - 60) / 10), ys = Array.from(curve.points ?? xs.map((x) => activated(curve)(x)));
  const finite = ys.filter(Number.isFinite), low = Math.max(-6, Math.min(0, ...finite)), high = Math.min(6, Math.max(0.5, ...finite)), pad = (high - low) * 0.08;
  const X = (x) => ((x - xs[0]) / (xs[xs.length - 1] - xs[0])) * w;
  const Y = (y) => h - ((Math.max(low, Math.min(high, y)) - low + pad) / (high - low + 2 * pad)) * h;
  const line = ys.map((y, i) => (Number.isFinite(y) ? `${Number.isFinite(ys[i - 1]) ? "L" : "M"}${X(xs[i]).toFixed(1)} ${Y(y).toFixed(1)}` : "")).join("");
  const plot = drawing("svg", { class: "plot", viewBox: `0 -4 ${w} ${h + 20}`, role: "img", "aria-label": `${curve.label}, z ${show(z)}, a ${show(a)}` });
  plot.append(drawing("path", { class: "axis", d: `M0 ${Y(0)}H${w}M${X(0)} 0V${h}` }), drawing("path", { class: "curve", d: line, stroke: "var(--soft)" }));
  if (Number.isFinite(z) && Number.isFinite(a)) {
    const x = X(Math.max(-6, Math.min(6, z)));
    plot.append(drawing("path", { class: "axis", d: `M${x} ${Y(0)}V${Y(a)}H${X(0)}`, "stroke-dasharray": "3 3" }));
    plot.append(drawing("circle", { cx: x, cy: Y(a), r: 4.5, fill: "var(--positive)", stroke: "var(--panel)", "stroke-width": 2 }));
  }
  for (const [x, text, anchor] of [[0, "−6", "start"], [w, "z = 6", "end"]]) plot.append(drawing("text", { x, y: h + 13, "text-anchor": anchor }, text));
  return plot;
}

function historyPlot(history) {
  // The training curve; on a logarithmic scale where the loss falls far.
  const w = 330, h = 150, all = history.flatMap(([, ys]) => Array.from(ys)).filter(Number.isFinite);
  const low = Math.min(...all), high = Math.max(...all), log = low > 0 && high / low > 30;
  const scale = (y) => (log ? Math.log(y) : y), span = scale(high) - scale(low) || 1, epochs = Math.max(...history.map(([, ys]) => ys.length));
  const X = (i) => (epochs > 1 ? (i / (epochs - 1)) * w : w / 2), Y = (y) => h - ((scale(y) - scale(low)) / span) * (h - 8) - 4;
  const plot = drawing("svg", { class: "plot", viewBox: `0 -6 ${w} ${h + 22 + 16 * Math.ceil(history.length / 2)}`, role: "img", "aria-label": `training curve over ${epochs} epochs` });
  plot.append(drawing("path", { class: "axis", d: `M0 ${h}H${w}M0 0V${h}` }));
  const colours = ["var(--positive)", "var(--negative)", "var(--soft)", "var(--faint)"];
  history.forEach(([name, ys], k) => {
    const step = Math.max(1, Math.floor(ys.length / 600)), points = [];
    for (let i = 0; i < ys.length; i += step) if (Number.isFinite(ys[i])) points.push(`${X(i).toFixed(1)} ${Y(ys[i]).toFixed(1)}`);
    plot.append(drawing("path", { class: "curve", d: "M" + points.join("L"), stroke: colours[k % 4] }));
    const x = (k % 2) * 165, y = h + 30 + 16 * Math.floor(k / 2), label = name.replace(/_/g, " ");
    plot.append(drawing("text", { x: x + 8, y }, `${cutText(label, 20)} ${show(ys[ys.length - 1], 4)}`));
    plot.append(drawing("path", { d: `M${x} ${y - 4}h5`, stroke: colours[k % 4], "stroke-width": 3 }));
  });
  plot.append(drawing("text", { x: 4, y: 4 }, show(high, 3) + (log ? " (log scale)" : "")), drawing("text", { x: 4, y: h - 4 }, show(low, 3)), drawing("text", { x: w, y: h + 13, "text-anchor": "end" }, `epoch ${epochs}`));
  return plot;
}

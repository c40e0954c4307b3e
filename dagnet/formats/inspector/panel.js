// The side panel: the network, a node, or an edge with its chain rule.

function fillPanel(stay = false) {
  const panel = document.getElementById("panel"), top = stay ? panel.scrollTop : 0;
  panel.replaceChildren(...(!chosen ? aboutNetwork() : chosen.kind === "node" ? aboutNode(chosen.id) : aboutEdge(chosen.id)));
  panel.scrollTop = top;
}

const heading = (text) => element("h3", {}, text);
const edgeName = (e) => `${shortName(net.source[e], 24)} → ${shortName(net.target[e], 24)}`;

function aboutNetwork() {
  const parts = [element("h2", {}, net.title), facts(net.facts, true)];
  if (net.rows?.mean_loss != null) parts.push(element("p", {}, `Mean loss over ${count(net.rows.total, "row")}: ${show(net.rows.mean_loss, 6)}`));
  if (net.rows && net.rows.kept < net.rows.total) parts.push(element("p", {}, `The first ${net.rows.kept} of ${net.rows.total.toLocaleString("en")} rows are on this page; gradients of edges are means over all of them.`));
  if (net.history?.length) parts.push(heading("Training"), historyPlot(net.history));
  if (net.counted) return parts;
  parts.push(heading("Largest weights"), strongest(net.weight, "weight"));
  if (net.gradient) parts.push(heading("Steepest gradients, all rows"), strongest(net.gradient, "∂loss/∂w"));
  if (!net.rows) parts.push(element("p", {}, "No rows of data are in this page; export with X and y to see values and gradients."));
  return parts;
}

function strongest(values, name) {
  const order = Array.from(values.keys()).sort((a, b) => Math.abs(values[b]) - Math.abs(values[a])).slice(0, 8);
  return table(["edge", name], order.map((e) => [edgeLink(e, edgeName(e)), signed(values[e])]));
}

function title(text) {
  const back = element("button", { class: "back" }, "‹ the network");
  back.addEventListener("click", () => choose(null));
  return [back, element("h2", { dir: "auto" }, text)];
}

const chips = (...texts) => element("div", { class: "chips" }, ...texts.filter(Boolean).map((text) => element("span", {}, text)));

function aboutNode(v) {
  const into = Array.from(edgesInto(v)), out = Array.from(edgesOutOf(v)), label = net.curves[net.activation[v]]?.label;
  const activation = net.role[v] === 0 || net.role[v] === 4 ? "" : label, units = net.units[v];
  const parts = [...title(net.names[v]), chips(ROLES[net.role[v]], activation, aggregation(v), `level ${net.level[v]}`, units > 1 && `${units} units`, net.words?.[v])];
  if (net.role[v] === 4) return [...parts, element("p", {}, net.notes?.[v] ?? ""), ...flows(into, out)];
  parts.push(formula(v, into, activation));
  const lit = light.up.reduce((sum, x) => sum + x, 0) - 1, fed = light.down.reduce((sum, x) => sum + x, 0) - 1;
  parts.push(element("p", {}, `${count(lit, "node is", "nodes are")} behind it, it feeds ${count(fed, "node")}.`));
  if (net.rows) parts.push(heading(`Row ${state.row + 1}${state.done ? ` with ${saidDo()}` : ""}`), units === 1 ? nodeNumbers(v) : unitTable(v));
  parts.push(...doPart(v));
  if (activation && units === 1 && (net.curves[net.activation[v]].points || canCalculate(net.curves[net.activation[v]]))) parts.push(heading(activation), curvePlot(net.curves[net.activation[v]], ofNode("z", v), ofNode("a", v)));
  return [...parts, ...flows(into, out)];
}

function nodeNumbers(v) {
  const pairs = [["z", show(ofNode("z", v))], ["a", show(ofNode("a", v))]], u = net.unitStart[v];
  if (net.center) pairs.push(...(net.role[v] === 0 ? [["datum", show(ofNode("a", v) * net.scale[u] + net.center[u])]] : []));
  if (net.rows.delta) pairs.push(["δ = ∂L/∂z", signed(ofNode("delta", v), 4)]);
  if (!Number.isNaN(attributed(v))) pairs.push([`to ${cutText(net.rows.attribution[state.of][0], 12)}`, signed(attributed(v), 4)]);
  if (net.role[v] !== 0) pairs.push([net.words?.[v]?.includes("norm") ? "∂a/∂z" : "g′(z)", show(ofNode("slope", v))], ["bias", show(net.bias[u])]);
  const place = net.rows.target && outputPlace(u);
  if (place >= 0 && place !== null) pairs.push(["target", show(net.rows.target[state.row * net.rows.outputs.length + place])]);
  return facts(pairs, true);
}

const outputPlace = (u) => net.rows.outputs.indexOf(u);

function unitTable(v) {
  const rows = [];
  for (let u = net.unitStart[v]; u < net.unitStart[v + 1]; u++)
    rows.push([`${u - net.unitStart[v]}`, show(ofUnit("z", u), 4), show(ofUnit("a", u), 4), signed(ofUnit("delta", u), 4), show(net.bias[u], 4)]);
  return table(["unit", "z", "a", "δ", "bias"], rows);
}

const aggregation = (v) => net.aggregations[net.aggregation[v]] ?? "";

function formula(v, into, activation) {
  const box = element("div", { class: "formula", dir: "auto" }, `${shortName(v, 30)} = `), u = net.unitStart[v];
  if (net.role[v] === 0) {
    const scaled = net.center && net.units[v] === 1 && (net.center[u] !== 0 || net.scale[u] !== 1);
    box.append(scaled ? `(datum − ${show(net.center[u])}) / ${show(net.scale[u])}` : "the datum");
    return box;
  }
  const plain = !activation || activation === "identity", biased = net.units[v] === 1 && !Number.isNaN(net.bias[u]);
  const said = /normalization (\w+)(\([^)]*\))?/.exec(net.words?.[v] ?? ""), before = said?.[2]?.includes("before_activation=True");
  if (said && !before) box.append(`${said[1]}(`);
  if (!plain) box.append(`${activation}(`);
  if (before) box.append(`${said[1]}(`);
  const others = aggregation(v);
  if (others) box.append(`${others}(`);
  into.slice(0, 12).forEach((e, i) => {
    const one = net.units[v] === 1 && net.units[net.source[e]] === 1, w = net.weight[e];
    const minus = one && w < 0;
    const sign = others ? (i ? ", " : "") + (minus ? "−" : "") : minus ? (i ? " − " : "−") : i ? " + " : "";
    box.append(sign, one ? element("span", { class: w > 0 ? "up" : w < 0 ? "down" : "" }, show(Math.abs(w), 4)) : `W[${net.units[v]}×${net.units[net.source[e]]}]`, others && !one ? "∘" : "·", shortName(net.source[e], 24));
  });
  if (into.length > 12) box.append(`${others ? "," : " +"} … ${into.length - 12} more`);
  if (others) box.append(")");
  if (biased && (net.bias[u] !== 0 || !into.length)) box.append(into.length ? (net.bias[u] < 0 ? " − " : " + ") : "", show(into.length ? Math.abs(net.bias[u]) : net.bias[u], 4));
  else if (net.units[v] > 1) box.append(" + b");
  box.append(")".repeat(!plain + Boolean(said)));
  return box;
}

function flows(into, out) {
  const parts = [], rows = net.rows, one = (e) => net.units[net.source[e]] === 1 && net.units[net.target[e]] === 1, name = net.counted ? "edges" : "weight";
  const part = (e) => (rows && one(e) ? net.weight[e] * ofNode("a", net.source[e]) : net.weight[e]);
  if (into.length) {
    into.sort((a, b) => Math.abs(part(b)) - Math.abs(part(a)));
    const cells = into.map((e) => [(rows ? meanLink : nodeLink)(net.source[e]), edgeLink(e, signed(net.weight[e], 4)), ...(rows ? [show(ofNode("a", net.source[e]), 4), one(e) ? signed(part(e), 4) : "–"] : [])]);
    parts.push(heading(`Parents (${into.length})`), table(["", name, ...(rows ? ["a", "w·a"] : [])], cells));
  }
  if (out.length) {
    out.sort((a, b) => Math.abs(net.weight[b]) - Math.abs(net.weight[a]));
    const cells = out.map((e) => [(rows?.delta ? meanLink : nodeLink)(net.target[e]), edgeLink(e, signed(net.weight[e], 4)), ...(rows?.delta ? [signed(ofNode("delta", net.target[e]), 4), one(e) ? signed(net.weight[e] * share(e) * ofNode("delta", net.target[e]), 4) : "–"] : [])]);
    parts.push(heading(`Feeds (${out.length})`), table(["", name, ...(rows?.delta ? ["δ", "w·δ"] : [])], cells));
  }
  return parts;
}

function aboutEdge(e) {
  const s = net.source[e], t = net.target[e], twins = light.twins;
  const parts = [...title(`${shortName(s)} → ${shortName(t)}`)];
  if (net.counted) return [...parts, facts([["edges", net.weight[e].toLocaleString("en")]])];
  const matrix = net.units[s] > 1 || net.units[t] > 1;
  parts.push(chips("weight", net.frozen?.[e] && "frozen", twins.length > 1 && `shared by ${twins.length} edges`, matrix && `${net.units[t]} × ${net.units[s]}`));
  const pairs = [[matrix ? "weight (rms)" : "weight", signed(net.weight[e], 7)]];
  if (net.gradient) pairs.push(["∂loss/∂w, all rows", signed(net.gradient[e], 6)]);
  parts.push(facts(pairs), element("div", { class: "chips" }, nodeLink(s), " → ", nodeLink(t)));
  if (net.rows?.delta && !state.done) parts.push(heading(`The chain rule, row ${state.row + 1}`), ...chainRule(e, matrix));
  const nodes = [];
  for (let v = 0; v < net.n; v++) if (light.nodes[v]) nodes.push(v);
  nodes.sort((a, b) => net.level[a] - net.level[b] || net.y[a] - net.y[b]);
  return [...parts, heading(`In the parent chain of ${count(nodes.length, "node")}`), cloud(nodes)];
}

function chainRule(e, matrix) {
  const s = net.source[e], t = net.target[e], delta = ofNode("delta", t), a = ofNode("a", s), parts = [];
  const rule = element("div", { class: "formula" });
  if (matrix) rule.append(`∂L/∂W = δ(${shortName(t, 24)}) · a(${shortName(s, 24)})ᵀ`, element("br"), "root mean square ", signed(rowGradient(e)));
  else {
    const others = aggregation(t), between = others ? ` · ∂${others}` : "", by = others ? [" · ", signed(share(e))] : [];
    rule.append(`∂L/∂w = δ(${shortName(t, 24)})${between} · a(${shortName(s, 24)})`, element("br"), "= ", signed(delta), ...by, " · ", signed(a), " = ", signed(rowGradient(e), 6));
  }
  parts.push(rule);
  if (light.twins.length > 1) {
    const sum = light.twins.reduce((total, twin) => total + rowGradient(twin), 0);
    parts.push(element("p", {}, `One weight on ${light.twins.length} edges: their terms add up to ${show(sum, 6)}.`));
  }
  return net.units[t] === 1 ? [...parts, ...deltaParts(t, delta)] : parts;
}

function deltaParts(t, delta) {
  // Where the child's δ comes from: g′(z) times what its children and the loss send back.
  const slope = ofNode("slope", t), place = outputPlace(net.unitStart[t]), out = Array.from(edgesOutOf(t)), rows = [];
  const pull = place < 0 ? 0 : net.rows.pull[state.row * net.rows.outputs.length + place];
  let total = pull;
  if (place >= 0) rows.push(["the loss", "", "", signed(pull, 4)]);
  for (const e of out) {
    const child = net.target[e], one = net.units[child] === 1, term = one ? net.weight[e] * share(e) * ofNode("delta", child) : NaN;
    total += term;
    rows.push([meanLink(child), edgeLink(e, signed(net.weight[e], 4)), signed(ofNode("delta", child), 4), signed(term, 4)]);
  }
  rows.sort((a, b) => (a[0] === "the loss" ? -1 : b[0] === "the loss" ? 1 : 0));
  const rule = element("div", { class: "formula" }, `δ(${shortName(t, 24)}) = g′(z) · ∂L/∂a`, element("br"), "= ", show(slope), " · ", signed(total), " = ", signed(delta, 6));
  return [rule, element("p", {}, "∂L/∂a is what comes back:"), table(["from", "w", "δ", "w·δ"], rows)];
}

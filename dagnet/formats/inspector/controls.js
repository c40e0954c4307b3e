// Hands and keys.

function bindPointer() {
  const held = new Map();
  let before = null, moved = 0;
  const centre = () => { const all = [...held.values()]; return [all.reduce((s, p) => s + p[0], 0) / all.length, all.reduce((s, p) => s + p[1], 0) / all.length]; };
  const spread = () => { const [a, b] = [...held.values()]; return b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0; };
  const place = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    before = { at: centre(), spread: spread() };
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return hover(place(event));
    held.set(event.pointerId, place(event));
    const at = centre(), wide = spread();
    moved += Math.abs(at[0] - before.at[0]) + Math.abs(at[1] - before.at[1]);
    view.x += at[0] - before.at[0]; view.y += at[1] - before.at[1];
    if (before.spread && wide) zoomAt(at, wide / before.spread);
    before = { at, spread: wide };
    if (moved > 4) { canvas.classList.add("moving"); hideTip(); redraw(true); }
  });
  const release = (event) => {
    const at = held.get(event.pointerId);
    held.delete(event.pointerId);
    if (held.size) { before = { at: centre(), spread: spread() }; return; }
    canvas.classList.remove("moving");
    if (at && moved <= 4 && event.type === "pointerup") choose(find(...at));
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoomAt(place(event), Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0016)));
    redraw(true);
  }, { passive: false });
}

function zoomAt([px, py], factor) {
  const k = Math.max(limits.least, Math.min(limits.most, view.k * factor)), ratio = k / view.k;
  view.x = px - (px - view.x) * ratio; view.y = py - (py - view.y) * ratio; view.k = k;
  hideTip();
}

function hover([px, py]) {
  const under = find(px, py), tip = document.getElementById("tip");
  canvas.classList.toggle("over", Boolean(under));
  if (!under) return hideTip();
  const lines = under.kind === "node" ? nodeTip(under.id) : edgeTip(under.id);
  tip.replaceChildren(element("b", { dir: "auto" }, lines[0]), ...lines.slice(1).map((line) => element("small", {}, line)));
  tip.hidden = false;
  const left = px + 16 + tip.offsetWidth > size.w ? px - tip.offsetWidth - 12 : px + 16;
  tip.style.left = `${Math.max(4, left)}px`; tip.style.top = `${Math.min(size.h - tip.offsetHeight - 4, py + 14)}px`;
}

function hideTip() { document.getElementById("tip").hidden = true; }

function nodeTip(v) {
  const label = net.role[v] === 0 || net.role[v] === 4 ? "" : net.curves[net.activation[v]]?.label ?? "";
  const lines = [shortName(v, 120), [ROLES[net.role[v]], label, net.role[v] === 4 ? net.notes?.[v] : `level ${net.level[v]}`].filter(Boolean).join(" · ")];
  if (net.rows) lines.push(`row ${state.row + 1}${state.done ? `, ${saidDo()}` : ""}: a ${show(ofNode("a", v))}${net.rows.delta && !state.done ? `, δ ${show(ofNode("delta", v))}` : ""}`);
  return lines;
}

function edgeTip(e) {
  const lines = [edgeName(e), net.counted ? count(net.weight[e], "edge") : `weight ${show(net.weight[e], 6)}`];
  if (net.gradient) lines.push(`∂loss/∂w ${show(net.gradient[e])}`);
  return lines;
}

function bindKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape") return typing ? canvas.focus() : choose(null);
    if (typing) return;
    const action = { "/": () => { const input = document.getElementById("search"); input.focus(); input.select(); }, f: () => fit(), 0: () => fit(), "+": () => zoomMiddle(1.3), "=": () => zoomMiddle(1.3), "-": () => zoomMiddle(1 / 1.3), "[": () => setRow(state.row - 1), "]": () => setRow(state.row + 1), "?": toggleKeys, e: () => nextEdge(1), E: () => nextEdge(-1) }[event.key];
    if (action) { event.preventDefault(); return action(); }
    if (event.key.startsWith("Arrow") && !event.target.closest("#panel, [role=radiogroup]")) { event.preventDefault(); arrow(event.key.slice(5), event.shiftKey); }
    if (event.key === "Enter" && event.target === canvas && !chosen && net.n) choose({ kind: "node", id: net.columns.find(Boolean)[0] }, true);
  });
}

function zoomMiddle(factor) { zoomAt([size.w / 2, size.h / 2], factor); redraw(true); }

function arrow(side, shift) {
  // Without a chosen node, or with Shift, the picture moves; else the choice does.
  const step = { Left: [60, 0], Right: [-60, 0], Up: [0, 60], Down: [0, -60] }[side];
  if (!chosen || shift) { view.x += step[0]; view.y += step[1]; return redraw(true); }
  if (chosen.kind === "edge") {
    const v = side === "Left" || side === "Up" ? net.source[chosen.id] : net.target[chosen.id];
    return choose({ kind: "node", id: v }, true);
  }
  const v = chosen.id, strongest = (edges) => edges.reduce((best, e) => (best < 0 || Math.abs(net.weight[e]) > Math.abs(net.weight[best]) ? e : best), -1);
  if (side === "Left" || side === "Right") {
    const e = strongest(side === "Left" ? edgesInto(v) : edgesOutOf(v));
    return e < 0 ? undefined : choose({ kind: "node", id: side === "Left" ? net.source[e] : net.target[e] }, true);
  }
  const column = net.columns[net.column[v]], next = column[column.indexOf(v) + (side === "Up" ? -1 : 1)];
  if (next !== undefined) choose({ kind: "node", id: next }, true);
}

function nextEdge(step) {
  if (!chosen) return;
  const v = chosen.kind === "node" ? chosen.id : state.edgesOf ?? net.target[chosen.id];
  const edges = [...edgesInto(v), ...edgesOutOf(v)];
  if (!edges.length) return;
  const at = chosen.kind === "edge" ? edges.indexOf(chosen.id) : step > 0 ? -1 : 0;
  choose({ kind: "edge", id: edges[(at + step + edges.length) % edges.length] }, true);
  state.edgesOf = v;
}

function toggleKeys() {
  const keys = document.getElementById("keys"), button = document.getElementById("help");
  keys.hidden = !keys.hidden;
  button.setAttribute("aria-expanded", String(!keys.hidden));
}

function bindSearch() {
  const input = document.getElementById("search"), list = document.getElementById("found");
  let at = -1, matches = [];
  const mark = () => [...list.children].forEach((item, i) => {
    item.setAttribute("aria-selected", String(i === at));
    if (i === at) { input.setAttribute("aria-activedescendant", item.id); item.scrollIntoView({ block: "nearest" }); }
  });
  const close = () => { list.hidden = true; input.setAttribute("aria-expanded", "false"); };
  const take = (v) => { close(); input.value = net.names[v].slice(0, 200); found = new Set(); choose({ kind: "node", id: v }, true); canvas.focus(); };
  input.addEventListener("input", () => {
    matches = search(input.value);
    found = new Set(matches.slice(0, 2000));
    at = matches.length ? 0 : -1;
    const items = matches.slice(0, 30).map((v, i) => {
      const item = element("li", { role: "option", id: `found-${i}`, dir: "auto" }, shortName(v, 60), element("small", {}, ROLES[net.role[v]]));
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(v); });
      return item;
    });
    if (input.value && !items.length) items.push(element("li", { class: "none" }, "no node has this in its name"));
    list.replaceChildren(...items);
    list.hidden = !input.value;
    input.setAttribute("aria-expanded", String(!list.hidden));
    mark(); redraw();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); at = Math.max(0, Math.min(Math.min(30, matches.length) - 1, at + (event.key === "ArrowDown" ? 1 : -1))); mark(); }
    if (event.key === "Enter" && matches[at] !== undefined) take(matches[at]);
    if (event.key === "Escape") { input.value = ""; found = new Set(); close(); redraw(); }
  });
  input.addEventListener("blur", close);
}

function search(text) {
  // Names that begin with the text before those that have it elsewhere.
  const wanted = text.toLowerCase();
  if (!wanted) return [];
  const hits = [];
  for (let v = 0; v < net.n; v++) { const place = net.names[v].toLowerCase().indexOf(wanted); if (place >= 0) hits.push([place > 0 ? 1 : 0, net.names[v].length, v]); }
  return hits.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]).map((hit) => hit[2]);
}

function bindSegments(id, set) {
  const buttons = [...document.querySelectorAll(`#${id} button`)];
  const select = (button) => {
    if (button.disabled) return;
    for (const other of buttons) { other.setAttribute("aria-checked", String(other === button)); other.tabIndex = other === button ? 0 : -1; }
    set(button.dataset.value);
  };
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => select(button));
    button.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = buttons[(i + step + buttons.length) % buttons.length];
      next.focus(); select(next);
    });
  });
  return (value) => select(buttons.find((button) => button.dataset.value === value));
}

// The picture.  Small networks are drawn afresh in every frame; of large ones a finished frame is
// moved along while the hand moves, and a new one grows piece by piece once it rests.

const WIDTHS = 5, LIVE_EDGES = 5000, STROKE = 160, SLICE = 14;

function readTheme() {
  const css = getComputedStyle(document.documentElement), colour = (name) => css.getPropertyValue("--" + name).trim();
  theme = {};
  for (const name of ["paper", "ink", "soft", "faint", "line", "positive", "negative", "zero", "node", "halo", "mid", "ring"]) theme[name] = colour(name);
  theme.dark = document.documentElement.dataset.theme === "dark";
  theme.categories = CATEGORIES[theme.dark ? "dark" : "light"];
  theme.ramp = makeRamp(theme);
}

function restyle() {
  // After a change of row, mode, threshold or theme: fills, widths and the order of edges.
  const { fills, most } = nodeColours();
  const values = edgeStrengths(), top = largest(values);
  style = { fills, most, values, top, hidden: new Uint8Array(net.m), batches: [], shown: 0 };
  const least = thresholdOf(state.threshold, top), sets = new Map();
  for (let e = 0; e < net.m; e++) {
    const size = Math.abs(values[e]) || 0;
    if (size < least) { style.hidden[e] = 1; continue; }
    const step = top ? Math.min(WIDTHS - 1, Math.floor((WIDTHS * size) / top)) : 0;
    const sign = net.counted || !values[e] ? 0 : values[e] > 0 ? 1 : -1, key = step * 3 + sign + 1;
    if (!sets.has(key)) sets.set(key, []);
    sets.get(key).push(e);
    style.shown++;
  }
  for (const [key, edges] of [...sets].sort((a, b) => a[0] - b[0]))
    style.batches.push({ step: Math.floor(key / 3), sign: (key % 3) - 1, edges: Int32Array.from(edges) });
  legend();
}

const thresholdOf = (slider, top) => (slider ? top * (slider / 1000) ** 2 : 0);
const isShown = (e) => !style.hidden[e];

function redraw(moving = false) {
  // One picture soon; moving: the hand is still on it.
  job = null;
  if (!pending) requestAnimationFrame(frameDue);
  pending = { moving: moving && style.shown > LIVE_EDGES && frame.view !== null };
}

function frameDue() {
  const { moving } = pending;
  pending = null;
  if (moving) {
    blit();
    clearTimeout(rest);
    rest = setTimeout(() => redraw(), 90);
  } else job = paint();
  work();
}

function work() {
  // Go on with the picture for a while; a big one takes several turns.
  if (!job) return;
  const start = performance.now();
  const current = job;
  while (performance.now() - start < SLICE) if (current.next().done) { job = null; break; }
  if (job === current) requestAnimationFrame(() => job === current && work());
}

function blit() {
  const ratio = canvas.width / size.w || 1, scale = view.k / frame.view.k;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = theme.paper;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(frame.canvas, (view.x - frame.view.x * scale) * ratio, (view.y - frame.view.y * scale) * ratio, frame.canvas.width * scale, frame.canvas.height * scale);
}

function* paint() {
  const began = performance.now(), ratio = window.devicePixelRatio || 1;
  frame.canvas.width = canvas.width; frame.canvas.height = canvas.height;
  const to = frame.canvas.getContext("2d");
  to.fillStyle = theme.paper;
  to.fillRect(0, 0, canvas.width, canvas.height);
  to.setTransform(ratio * view.k, 0, 0, ratio * view.k, ratio * view.x, ratio * view.y);
  const [left, top] = toWorld(0, 0), [right, bottom] = toWorld(size.w, size.h), box = { left, top, right, bottom };
  yield* paintEdges(to, box);
  const visible = paintNodes(to, box);
  to.setTransform(ratio, 0, 0, ratio, 0, 0);
  paintLabels(to, visible);
  frame.view = { ...view };
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.drawImage(frame.canvas, 0, 0);
  timings.frame = performance.now() - began;
  if (!timings.first) { timings.first = performance.now(); }
  state.drawn++;
}

function* paintEdges(to, box) {
  const room = Math.min(1, Math.max(0.35, (net.radius * view.k) / 8));
  const alpha = Math.max(0.05, Math.min(0.85, 14 / Math.sqrt(inside(box) + 1)));
  to.lineCap = "butt";
  for (const lit of light ? [0, 1] : [-1]) {
    if (lit === 0 && style.shown > 3 * LIVE_EDGES) continue;
    for (const batch of style.batches) {
      const width = (0.55 + (batch.step * 3.1) / WIDTHS) * room + (lit === 1 ? 0.5 : 0);
      to.strokeStyle = lit === 0 ? theme.line : batch.sign > 0 ? theme.positive : batch.sign < 0 ? theme.negative : theme.zero;
      to.globalAlpha = lit === 0 ? 0.55 : lit === 1 ? Math.max(alpha, Math.min(0.95, 45 / Math.sqrt(light.count))) : Math.min(0.95, alpha * (0.7 + 0.5 * batch.step));
      to.lineWidth = width / view.k;
      yield* strokes(to, batch.edges, box, lit);
    }
  }
  to.globalAlpha = 1;
  const everywhere = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity };
  if (chosen?.kind === "edge") yield* paintChosen(to, everywhere);
  else if (chosen && !light.few) yield* paintNear(to, everywhere);
  if (style.shown <= 400 && net.radius * view.k > 6) paintHeads(to, box);
}

function inside(box) {
  let seen = 0;
  const { boxes } = routes;
  for (let i = 0; i < 4 * net.m; i += 4) if (boxes[i] < box.right && boxes[i + 2] > box.left && boxes[i + 1] < box.bottom && boxes[i + 3] > box.top) seen++;
  return Math.min(seen, style.shown);
}

function* strokes(to, edges, box, lit) {
  const { ptr, pieces, straight, boxes } = routes;
  let held = 0;
  to.beginPath();
  for (const e of edges) {
    if (lit >= 0 && (light.edges[e] !== lit)) continue;
    if (boxes[4 * e] > box.right || boxes[4 * e + 2] < box.left || boxes[4 * e + 1] > box.bottom || boxes[4 * e + 3] < box.top) continue;
    let i = 8 * ptr[e];
    to.moveTo(pieces[i], pieces[i + 1]);
    if (straight[e]) to.lineTo(pieces[i + 6], pieces[i + 7]);
    else for (; i < 8 * ptr[e + 1]; i += 8) to.bezierCurveTo(pieces[i + 2], pieces[i + 3], pieces[i + 4], pieces[i + 5], pieces[i + 6], pieces[i + 7]);
    if (++held === STROKE) { to.stroke(); to.beginPath(); held = 0; yield; }
  }
  if (held) to.stroke();
  yield;
}

function* paintNear(to, everywhere) {
  // Among very many lit edges, those of the chosen node itself.
  to.lineWidth = 1.6 / view.k;
  for (const e of [...edgesInto(chosen.id), ...edgesOutOf(chosen.id)].filter(isShown)) {
    to.strokeStyle = net.weight[e] > 0 ? theme.positive : net.weight[e] < 0 ? theme.negative : theme.zero;
    yield* strokes(to, [e], everywhere, -1);
  }
}

function* paintChosen(to, everywhere) {
  // The chosen weight itself, above the others.
  to.strokeStyle = theme.ring;
  to.lineWidth = 5 / view.k;
  yield* strokes(to, light.twins, everywhere, -1);
  for (const e of light.twins) {
    to.strokeStyle = net.weight[e] > 0 ? theme.positive : net.weight[e] < 0 ? theme.negative : theme.zero;
    to.lineWidth = 3 / view.k;
    yield* strokes(to, [e], everywhere, -1);
  }
}

function paintHeads(to, box) {
  const r = net.radius * 1.06, length = Math.min(8 / view.k, net.radius * 0.7);
  for (const batch of style.batches)
    for (const e of batch.edges) {
      const x = net.x[net.target[e]], y = net.y[net.target[e]];
      if (x < box.left - r || x > box.right + r || y < box.top - r || y > box.bottom + r) continue;
      const faint = light && !light.edges[e];
      to.fillStyle = faint ? theme.line : batch.sign > 0 ? theme.positive : batch.sign < 0 ? theme.negative : theme.zero;
      const last = 8 * (routes.ptr[e + 1] - 1), [dx, dy] = ending(last, r);
      const tx = x - dx * r, ty = y - dy * r, bx = tx - dx * length, by = ty - dy * length, half = length * 0.38;
      to.beginPath();
      to.moveTo(tx, ty); to.lineTo(bx - dy * half, by + dx * half); to.lineTo(bx + dy * half, by - dx * half);
      to.fill();
    }
}

function ending(last, r) {
  // The direction in which a curve meets the circle around its end.
  const x = routes.pieces[last + 6], y = routes.pieces[last + 7];
  let low = 0, high = 1;
  for (let i = 0; i < 12; i++) {
    const t = (low + high) / 2, [px, py] = pieceAt(last, t);
    if (Math.hypot(x - px, y - py) > r) low = t; else high = t;
  }
  const [px, py] = pieceAt(last, low), far = Math.hypot(x - px, y - py) || 1;
  return [(x - px) / far, (y - py) / far];
}

function paintNodes(to, box) {
  const r = net.radius, onPage = r * view.k, visible = [];
  const drawn = Math.max(r, 1.3 / view.k);
  to.lineWidth = Math.min(1.5, Math.max(0.5, onPage * 0.12)) / view.k;
  for (const lit of light ? [0, 1] : [-1])
    for (let v = 0; v < net.n; v++) {
      const x = net.x[v], y = net.y[v];
      if ((lit >= 0 && light.nodes[v] !== lit) || x < box.left - r || x > box.right + r || y < box.top - r || y > box.bottom + r) continue;
      visible.push(v);
      const faint = lit === 0 && !isEnd(v);
      to.globalAlpha = faint ? 0.28 : 1;
      to.fillStyle = style.fills[v];
      if (onPage < 2.4) { to.fillRect(x - drawn, y - drawn, 2 * drawn, 2 * drawn); continue; }
      to.strokeStyle = faint ? theme.faint : theme.ink;
      nodeShape(to, v, x, y, drawn);
      if (isChosen(v) || isEnd(v)) ringAround(to, x, y, drawn, isChosen(v) ? 3 : 2);
    }
  to.globalAlpha = 1;
  if (found.size) for (const v of visible) if (found.has(v)) ringAround(to, net.x[v], net.y[v], Math.max(drawn, 4 / view.k), 2.2);
  if (chosen?.kind === "node" && onPage < 2.4) ringAround(to, net.x[chosen.id], net.y[chosen.id], 5 / view.k, 2.5);
  return visible;
}

const isChosen = (v) => chosen?.kind === "node" && chosen.id === v;
const isEnd = (v) => chosen?.kind === "edge" && light.twins.some((e) => net.source[e] === v);

function nodeShape(to, v, x, y, r) {
  const role = net.role[v];
  to.beginPath();
  if (role === 0 || role === 4) to.roundRect(x - r * 0.88, y - r * 0.88, r * 1.76, r * 1.76, r * (role ? 0.5 : 0.22));
  else if (role === 3) { to.moveTo(x - r * 1.15, y); to.lineTo(x, y - r * 1.15); to.lineTo(x + r * 1.15, y); to.lineTo(x, y + r * 1.15); to.closePath(); }
  else to.arc(x, y, r, 0, 7);
  to.fill(); to.stroke();
  if (role === 2) { to.beginPath(); to.arc(x, y, r * 0.8, 0, 7); to.stroke(); }
}

function ringAround(to, x, y, r, width) {
  const before = [to.lineWidth, to.strokeStyle, to.globalAlpha];
  to.globalAlpha = 1;
  to.beginPath(); to.arc(x, y, r * 1.12 + 3 / view.k, 0, 7);
  to.lineWidth = width / view.k; to.strokeStyle = theme.ring; to.stroke();
  [to.lineWidth, to.strokeStyle, to.globalAlpha] = before;
}

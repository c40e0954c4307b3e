// Curves, the way between page and picture, and a grid that finds what lies under the pointer.

const SAMPLES = 8;

function routePoints(e) {
  // Source, bends, target: x and y in turn.
  const s = net.source[e], t = net.target[e], points = [net.x[s], net.y[s]];
  for (let b = net.bend_ptr[e]; b < net.bend_ptr[e + 1]; b++) points.push(net.bend_x[b], net.bend_y[b]);
  points.push(net.x[t], net.y[t]);
  return points;
}

function makeRoutes() {
  // Cubic pieces of all edges as flat numbers: ptr counts pieces, each has 2 + 6 numbers from its start.
  const ptr = new Int32Array(net.m + 1);
  for (let e = 0; e < net.m; e++) ptr[e + 1] = ptr[e] + 1 + net.bend_ptr[e + 1] - net.bend_ptr[e];
  const pieces = new Float32Array(8 * ptr[net.m]), straight = new Uint8Array(net.m);
  for (let e = 0; e < net.m; e++) {
    const p = routePoints(e), last = p.length / 2 - 1;
    straight[e] = last === 1 && (!net.direct || net.column[net.target[e]] - net.column[net.source[e]] === 1) ? 1 : 0;
    const slopes = straight[e] || last > 1 ? monotoneSlopes(p) : null;
    for (let i = 0; i < last; i++) {
      const [x0, y0, x1, y1] = [p[2 * i], p[2 * i + 1], p[2 * i + 2], p[2 * i + 3]];
      const h = (x1 - x0) * (slopes ? 1 / 3 : 0.4);
      pieces.set([x0, y0, x0 + h, y0 + (slopes ? h * slopes[i] : 0), x1 - h, y1 - (slopes ? h * slopes[i + 1] : 0), x1, y1], 8 * (ptr[e] + i));
    }
  }
  return { ptr, pieces, straight, boxes: edgeBoxes(ptr, pieces) };
}

function monotoneSlopes(p) {
  // Harmonic means of neighbouring secants: the curve never swings beyond its points.
  const last = p.length / 2 - 1, secants = [], slopes = [];
  for (let i = 0; i < last; i++) secants.push((p[2 * i + 3] - p[2 * i + 1]) / (p[2 * i + 2] - p[2 * i]));
  slopes[0] = secants[0]; slopes[last] = secants[last - 1];
  for (let i = 1; i < last; i++) {
    const a = secants[i - 1], b = secants[i];
    slopes[i] = a * b > 0 ? (2 * a * b) / (a + b) : 0;
  }
  return slopes;
}

function edgeBoxes(ptr, pieces) {
  const boxes = new Float32Array(4 * net.m);
  for (let e = 0; e < net.m; e++) {
    let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let i = 8 * ptr[e]; i < 8 * ptr[e + 1]; i += 2) {
      left = Math.min(left, pieces[i]); right = Math.max(right, pieces[i]);
      top = Math.min(top, pieces[i + 1]); bottom = Math.max(bottom, pieces[i + 1]);
    }
    boxes.set([left, top, right, bottom], 4 * e);
  }
  return boxes;
}

function pieceAt(i, t) {
  const p = routes.pieces, s = 1 - t, a = s * s * s, b = 3 * s * s * t, c = 3 * s * t * t, d = t * t * t;
  return [a * p[i] + b * p[i + 2] + c * p[i + 4] + d * p[i + 6], a * p[i + 1] + b * p[i + 3] + c * p[i + 5] + d * p[i + 7]];
}

function eachSegment(e, visit) {
  for (let q = routes.ptr[e]; q < routes.ptr[e + 1]; q++) {
    const steps = routes.straight[e] ? 1 : SAMPLES;
    let [x0, y0] = [routes.pieces[8 * q], routes.pieces[8 * q + 1]];
    for (let k = 1; k <= steps; k++) {
      const [x1, y1] = pieceAt(8 * q, k / steps);
      visit(x0, y0, x1, y1);
      [x0, y0] = [x1, y1];
    }
  }
}

function makeGrid() {
  // Which edges and nodes touch each cell: cell c has items[ptr[c]] to items[ptr[c + 1]]; nodes come as ~v.
  const box = bounds(), side = Math.max(1, Math.min(96, Math.ceil(Math.sqrt(net.n + net.m))));
  const wide = (box.right - box.left) / side || 1, high = (box.bottom - box.top) / side || 1;
  const column = (x) => Math.max(0, Math.min(side - 1, Math.floor((x - box.left) / wide)));
  const line = (y) => Math.max(0, Math.min(side - 1, Math.floor((y - box.top) / high)));
  const ptr = new Int32Array(side * side + 1);
  const touch = (visit) => {
    for (let v = 0; v < net.n; v++) visit(line(net.y[v]) * side + column(net.x[v]), ~v);
    for (let e = 0; e < net.m; e++) {
      let before = -1;
      eachSegment(e, (x0, y0, x1, y1) => {
        // Steps of half a cell; what lies between is at most a cell away, where find() looks too.
        const steps = Math.ceil(2 * Math.max(Math.abs(x1 - x0) / wide, Math.abs(y1 - y0) / high)) || 1;
        for (let k = 0; k <= steps; k++) {
          const cell = line(y0 + ((y1 - y0) * k) / steps) * side + column(x0 + ((x1 - x0) * k) / steps);
          if (cell !== before) visit(cell, e);
          before = cell;
        }
      });
    }
  };
  touch((cell) => ptr[cell + 1]++);
  for (let c = 0; c < side * side; c++) ptr[c + 1] += ptr[c];
  const next = ptr.slice(), items = new Int32Array(ptr[side * side]);
  touch((cell, item) => { items[next[cell]++] = item; });
  return { ptr, items, column, line, side };
}

function find(px, py) {
  // The node or edge under a point of the canvas, or null.
  grid ??= makeGrid();
  const [x, y] = toWorld(px, py), k = view.k, reachNode = Math.max(net.radius * 1.1, 7 / k), reachEdge = 6 / k;
  let best = null, nearest = Infinity;
  const away = Math.max(reachNode, reachEdge);
  const last = grid.side - 1, from = (cell) => Math.max(0, cell - 1), to = (cell) => Math.min(last, cell + 1);
  for (let r = from(grid.line(y - away)); r <= to(grid.line(y + away)); r++)
    for (let c = from(grid.column(x - away)); c <= to(grid.column(x + away)); c++)
      for (let i = grid.ptr[r * grid.side + c]; i < grid.ptr[r * grid.side + c + 1]; i++) {
        const item = grid.items[i];
        if (item < 0) {
          const d = Math.hypot(net.x[~item] - x, net.y[~item] - y);
          if (d < reachNode && d - reachNode < nearest) { nearest = d - reachNode; best = { kind: "node", id: ~item }; }
        } else if (nearest > 0 && isShown(item)) {
          const d = distance(item, x, y);
          if (d < reachEdge && d < nearest) { nearest = d; best = { kind: "edge", id: item }; }
        }
      }
  return best;
}

function distance(e, x, y) {
  let least = Infinity;
  eachSegment(e, (x0, y0, x1, y1) => {
    const dx = x1 - x0, dy = y1 - y0, t = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
    least = Math.min(least, Math.hypot(x0 + t * dx - x, y0 + t * dy - y));
  });
  return least;
}

function bounds() {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  const take = (x, y) => {
    box.left = Math.min(box.left, x); box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y); box.bottom = Math.max(box.bottom, y);
  };
  for (let v = 0; v < net.n; v++) take(net.x[v], net.y[v]);
  for (let b = 0; b < net.bend_x.length; b++) take(net.bend_x[b], net.bend_y[b]);
  return net.n ? box : { left: -1, top: -1, right: 1, bottom: 1 };
}

const toWorld = (px, py) => [(px - view.x) / view.k, (py - view.y) / view.k];
const toPage = (x, y) => [x * view.k + view.x, y * view.k + view.y];

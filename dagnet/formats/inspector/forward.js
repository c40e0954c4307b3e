// Interventions: what the network would say if a node had another value.  Only what depends on it is
// calculated again, by the operations of the formulas that Python traced.

const HORNER = (coefficients, x) => coefficients.reduce((total, c) => total * x + c);
const ERF_NEAR = [-7.779460367272012e-10, 1.3710975905183266e-8, -1.620631268457348e-7, 1.6447131426112253e-6, -1.4924712289815019e-5, 0.00012055293576241884, -0.000854832592929161, 0.005223977606117977, -0.026866170643111403, 0.11283791670944185, -0.3761263890318352, 1.1283791670955126];
const ERF_FAR = [-1.77020204145022e-11, 6.517327582624352e-10, -1.0901953155231237e-8, 1.0820662950718875e-7, -6.876531222066907e-7, 2.67250798614481e-6, -3.609374110352148e-6, -2.800131434716247e-5, 0.00023065149353600903, -0.0009199436319404386, 0.002098770044185836, -0.0005840557029103525, -0.018865391634365458, 0.1026376538925768, 0.6366675772796059, 1.128368712528232, 1.0635592146312997e-6];

function erf(x) {
  const y = Math.min(Math.abs(x), 6), size = y > 1 ? 1 - Math.exp(-HORNER(ERF_FAR, y)) : y * HORNER(ERF_NEAR, y * y);
  return x < 0 ? -size : size;
}

const isNegative = (x) => x < 0 || Object.is(x, -0);
const rounded = (x) => { const low = Math.floor(x), rest = x - low; return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1; };
const another = (x, y, choose) => (Number.isNaN(x) ? y : Number.isNaN(y) ? x : choose(x, y));
const remainder = (x, y) => { const r = x % y; return r && r < 0 !== y < 0 ? r + y : r; };

// Each operation of dagnet.formula.operations; what is not here has no slider.
const OPERATIONS = {
  add: (x, y) => x + y, subtract: (x, y) => x - y, multiply: (x, y) => x * y, divide: (x, y) => x / y, power: (x, y) => x ** y,
  pull: (x, y) => (x === 0 || y === 0 ? 0 : x * y), negative: (x) => -x, positive: (x) => x, reciprocal: (x) => 1 / x, square: (x) => x * x,
  maximum: Math.max, minimum: Math.min, fmax: (x, y) => another(x, y, Math.max), fmin: (x, y) => another(x, y, Math.min),
  clip: (x, low, high) => Math.min(Math.max(x, low), high), where: (c, x, y) => (c ? x : y),
  absolute: Math.abs, sqrt: Math.sqrt, cbrt: Math.cbrt, hypot: Math.hypot, exp: Math.exp, exp2: (x) => 2 ** x, expm1: Math.expm1,
  log: Math.log, log2: Math.log2, log10: Math.log10, log1p: Math.log1p,
  logaddexp: (x, y) => Math.max(x, y) + Math.log1p(Math.exp(-(x === y ? 0 : Math.abs(x - y)))),
  logaddexp2: (x, y) => Math.max(x, y) + Math.log1p(2 ** -(x === y ? 0 : Math.abs(x - y))) / Math.LN2,
  sin: Math.sin, cos: Math.cos, tan: Math.tan, arcsin: Math.asin, arccos: Math.acos, arctan: Math.atan, arctan2: Math.atan2,
  sinh: Math.sinh, cosh: Math.cosh, tanh: Math.tanh, arcsinh: Math.asinh, arccosh: Math.acosh, arctanh: Math.atanh,
  sigmoid: (z) => { const t = Math.exp(-Math.abs(z)); return Math.max(t, Math.sign(z)) / (1 + t); }, erf,
  deg2rad: (x) => x * (Math.PI / 180), rad2deg: (x) => x * (180 / Math.PI), copysign: (x, y) => (isNegative(x) === isNegative(y) ? x : -x),
  sign: Math.sign, floor: Math.floor, ceil: Math.ceil, trunc: Math.trunc, rint: rounded, floor_divide: (x, y) => Math.floor(x / y), remainder,
  fmod: (x, y) => x % y, heaviside: (x, y) => (x === 0 ? y : x > 0 ? 1 : x < 0 ? 0 : NaN),
  logical_not: (x) => Number(!x), isnan: (x) => Number(Number.isNaN(x)), isinf: (x) => Number(Math.abs(x) === Infinity), isfinite: (x) => Number(Number.isFinite(x)), signbit: (x) => Number(isNegative(x)),
  equal: (x, y) => Number(x === y), not_equal: (x, y) => Number(x !== y), less: (x, y) => Number(x < y), less_equal: (x, y) => Number(x <= y), greater: (x, y) => Number(x > y), greater_equal: (x, y) => Number(x >= y),
  logical_and: (x, y) => Number(x && y ? 1 : 0), logical_or: (x, y) => Number(x || y ? 1 : 0), logical_xor: (x, y) => Number(!x !== !y),
};

const AGGREGATIONS = {
  sum: (terms) => terms.reduce((total, x) => total + x, 0), mean: (terms) => terms.reduce((total, x) => total + x, 0) / terms.length,
  product: (terms) => terms.reduce((total, x) => total * x, 1), max: (terms) => Math.max(...terms), min: (terms) => Math.min(...terms),
};

const NUMBER = { inf: Infinity, "-inf": -Infinity, nan: NaN };

function compiled(formula) {
  // A function of z and of what the activation knows, from its operations.
  const steps = formula.ops.map(([name, reads, value]) => {
    if (name === "constant") { const number = NUMBER[value] ?? Number(value); return () => number; }
    if (name === "argument") { const place = formula.arguments.indexOf(value); return (_, given) => given[place]; }
    const operation = OPERATIONS[name], [i, j, k] = reads;
    return reads.length === 1 ? (at) => operation(at[i]) : reads.length === 2 ? (at) => operation(at[i], at[j]) : (at) => operation(at[i], at[j], at[k]);
  });
  const at = new Array(steps.length);
  return (...given) => { for (let s = 0; s < steps.length; s++) at[s] = steps[s](at, given); return at[formula.result]; };
}

function activated(curve) {
  // The activation of a node, (z, unit) => a, with what it knows or has learned.
  const function_ = (net.compiled ??= [])[curve.formula] ??= compiled(net.formulas[curve.formula]);
  return (z, unit = 0) => function_(z, ...curve.given.map((each) => each[each.length > 1 ? unit : 0]));
}

const canCalculate = (curve) => net.formulas[curve.formula].ops.length && !lacking(net.formulas[curve.formula]);
const lacking = (formula) => formula.ops.find(([name]) => name !== "constant" && name !== "argument" && !(name in OPERATIONS))?.[0];

function why(v) {
  // The sentence that says why a node has no slider, or "" where it has one.
  if (!net.rows) return "No rows of data are in this page.";
  if (net.words?.[v]?.includes("categories")) return `${shortName(v)} has categories: net.forward(X, do=…) sets them.`;
  const after = reach([v], false);
  for (let u = 0; u < net.n; u++) {
    if (!after[u] || u === v) continue;
    const formula = net.formulas[net.curves[net.activation[u]].formula], aggregation = net.aggregations[net.aggregation[u]] ?? "sum";
    if (!AGGREGATIONS[aggregation]) return `${shortName(u)}, which it feeds, has the aggregation ${aggregation}, which this page does not know.`;
    if (!formula.ops.length) return `${shortName(u)}, which it feeds, has no formula: ${formula.reason}.`;
    if (lacking(formula)) return `${shortName(u)}, which it feeds, calculates ${lacking(formula)}, which this page does not know.`;
    if (!net.elements && edgesInto(u).some((e) => net.elementStart[e + 1] - net.elementStart[e] > 1)) return `The weights of ${shortName(u)}, which it feeds, are too many for this page.`;
  }
  return "";
}

function applyDo() {
  // z and a of all units in the chosen row, where some nodes have the values given; null: none has.
  if (!state.given.size) { state.done = null; return; }
  const base = state.row * net.nUnits, z = Float64Array.from(net.rows.z.subarray(base, base + net.nUnits)), a = Float64Array.from(net.rows.a.subarray(base, base + net.nUnits));
  const after = reach([...state.given.keys()], false);
  for (const level of net.levels)
    for (const v of (level ?? []).filter((v) => after[v])) {
      const given = state.given.get(v) ?? new Map();
      if (given.size < net.units[v] && edgesInto(v).some((e) => after[net.source[e]])) calculate(v, z, a);
      for (const [unit, value] of given) { const u = net.unitStart[v] + unit; a[u] = net.role[v] === 0 && net.center ? (value - net.center[u]) / net.scale[u] : value; if (net.role[v] === 0) z[u] = a[u]; }
    }
  state.done = { z, a };
}

function normalised(norm, x) {
  if (!norm) return x;
  const mean = (values) => values.reduce((sum, y) => sum + y, 0) / values.length, middle = norm.eps === null ? 0 : mean(x);
  const spread = norm.eps === null ? 1 : Math.sqrt(mean(x.map((y) => (y - middle) ** 2)) + norm.eps);
  return x.map((y, unit) => (norm.gain[unit] * (y - middle)) / spread + norm.offset[unit]);
}

function calculate(v, z, a) {
  const aggregate = AGGREGATIONS[net.aggregations[net.aggregation[v]] ?? "sum"], act = activated(net.curves[net.activation[v]]), norm = net.norms[v], first = net.unitStart[v];
  for (let unit = 0; unit < net.units[v]; unit++) {
    const terms = [];
    for (const e of edgesInto(v)) {
      const s = net.source[e], wide = net.units[s];
      for (let k = 0; k < wide; k++) terms.push((net.elements ? net.elements[net.elementStart[e] + unit * wide + k] : net.weight[e]) * a[net.unitStart[s] + k]);
    }
    z[first + unit] = aggregate(terms) + (net.bias[first + unit] || 0);
  }
  const sums = z.slice(first, first + net.units[v]), values = (norm?.before ? normalised(norm, sums) : sums).map(act);
  a.set(norm?.before ? values : normalised(norm, values), first);
}

function setDo(v, value, unit = 0) {
  // A unit of a node has a value, or, null, is as the row has it.
  const given = state.given.get(v) ?? new Map();
  if (value === null) given.delete(unit); else given.set(unit, value);
  if (given.size) state.given.set(v, given); else state.given.delete(v);
  applyDo(); restyle(); redraw();
}

function doPart(v) {
  // What the panel says of interventions: a slider, and what comes of it.
  const reason = why(v), unit = state.unit, u = net.unitStart[v] + unit, name = net.units[v] > 1 ? `${shortName(v)}[${unit}]` : shortName(v), scaled = net.role[v] === 0 && net.center;
  const own = (row) => net.rows.a[row * net.nUnits + u] * (scaled ? net.scale[u] : 1) + (scaled ? net.center[u] : 0);
  if (reason) return [heading("do"), element("input", { type: "range", id: "do", disabled: "", "aria-label": "Value" }), element("p", { id: "do-why" }, reason)];
  const given = state.given.get(v)?.get(unit), set = given ?? own(state.row), all = Array.from({ length: net.rows.kept }, (_, row) => own(row)).filter(Number.isFinite), low = Math.min(0, ...all), high = Math.max(0, ...all), room = (high - low) * 0.5 || 1;
  const slider = element("input", { type: "range", id: "do", min: low - room, max: high + room, step: "any", value: set, "aria-label": `Value of ${name}` });  // shows the nearest that it reaches
  const number = element("input", { type: "number", id: "do-number", step: "any", value: given ?? (Number.isFinite(set) ? set.toPrecision(5) : ""), "aria-label": `Value of ${name} as a number` }), outcome = element("div", { id: "do-outcome" });
  const undo = element("button", { id: "do-undo", class: "more" }, "as the row has it"), tell = () => {
    undo.hidden = !state.given.get(v)?.has(unit);
    outcome.replaceChildren(table(["output", `row ${state.row + 1}`, "with do"], doneOutputs().map(([w, before, after]) => [meanLink(w), show(before), signed(after)])));
  };
  slider.addEventListener("input", () => { number.value = Number(Number(slider.value).toPrecision(5)); setDo(v, Number(number.value), unit); tell(); });
  number.addEventListener("change", () => { if (number.value !== "" && Number.isFinite(Number(number.value))) setDo(v, Number(number.value), unit); fillPanel(true); });
  slider.addEventListener("change", () => fillPanel(true));
  undo.addEventListener("click", () => { setDo(v, null, unit); fillPanel(true); });
  tell();
  return [heading(`do(${cutText(name, 24)} = …)`), ...unitChoice(v), element("div", { class: "do" }, slider, number), undo, outcome];
}

function unitChoice(v) {
  // Which unit of a node the slider sets; its others follow their parents.
  if (net.units[v] === 1) return [];
  const choice = element("select", { id: "do-unit", "aria-label": `Unit of ${shortName(v)}` }, ...Array.from({ length: net.units[v] }, (_, unit) => element("option", { value: unit }, `unit ${unit}`)));
  choice.value = state.unit;
  choice.addEventListener("change", () => { state.unit = Number(choice.value); fillPanel(true); document.getElementById("do-unit").focus(); });
  return [choice];
}

function doneOutputs() {
  // Of each output the value in the row and with what is done, of several units their mean.
  const outputs = [...net.role.keys()].filter((v) => net.role[v] === 2), mean = (from, v, base) => from.subarray(base + net.unitStart[v], base + net.unitStart[v + 1]).reduce((sum, x) => sum + x, 0) / net.units[v];
  return outputs.map((v) => [v, mean(net.rows.a, v, state.row * net.nUnits), state.done ? mean(state.done.a, v, 0) : mean(net.rows.a, v, state.row * net.nUnits)]);
}

const saidDo = () => [...state.given].flatMap(([v, given]) => [...given].map(([unit, value]) => `do(${shortName(v, 24)}${net.units[v] > 1 ? `[${unit}]` : ""} = ${show(value, 4)})`)).join(", ");

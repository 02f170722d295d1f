// Axes, shapes and colours that the charts share. Charts are drawn at the size they have on the screen, in CSS pixels.

/** One axis: from values to positions between `from` and `to`; a logarithmic one needs low > 0. */
function axis(low, high, from, to, logarithmic) {
  const f = logarithmic ? Math.log10 : (v) => v;
  const a = f(low), b = f(high);
  const place = (value) => from + ((f(value) - a) / (b - a)) * (to - from);
  return { low, high, logarithmic, from, to, place };
}

/** The range of values with some room at both ends. */
function roomFor(values, logarithmic, room = 0.05) {
  const [low, high] = extent(values);
  if (logarithmic) {
    if (low === high) return [low / 1.5, high * 1.5];
    const part = (high / low) ** room;
    return [low / part, high * part];
  }
  const part = low === high ? Math.abs(low) * 0.2 || 1 : (high - low) * room;
  return [low - part, high + part];
}

/** Least and largest; a call with a value an argument has too many of them in large sweeps. */
const extent = (values) => values.reduce(([a, b], v) => [v < a ? v : a, v > b ? v : b], [Infinity, -Infinity]);

function spansDecades(values) {
  const [low, high] = extent(values);
  return low > 0 && high / low > 8;
}

/** Grid, ticks and titles of two axes; `show` turns a tick into text. */
function frame(x, y, { width, height, xLabel, yLabel, xShow, yShow, xTicks }) {
  const parts = [];
  for (const t of ticks(y.low, y.high, Math.max(2, Math.round(Math.abs(y.to - y.from) / 50)), y.logarithmic)) {
    const at = y.place(t);
    parts.push(svg("line", { class: "grid", x1: x.from, x2: x.to, y1: at, y2: at }),
      svg("text", { class: "tick", x: x.from - 7, y: at + 4, "text-anchor": "end" }, yShow(t)));
  }
  const marks = xTicks || ticks(x.low, x.high, Math.max(2, Math.round((x.to - x.from) / 80)), x.logarithmic);
  for (const t of marks) {
    const at = x.place(t);
    parts.push(svg("line", { class: "grid", x1: at, x2: at, y1: y.from, y2: y.to }),
      svg("text", { class: "tick", x: at, y: y.from + 17, "text-anchor": "middle" }, xShow(t)));
  }
  parts.push(svg("path", { class: "axis", d: `M${x.from} ${y.to}V${y.from}H${x.to}` }));
  if (xLabel) {
    parts.push(svg("text", { class: "title", x: (x.from + x.to) / 2, y: height - 5, "text-anchor": "middle" },
      cut(xLabel, (x.to - x.from) / 7)));
  }
  if (yLabel) {
    const middle = (y.from + y.to) / 2;
    parts.push(svg("text", { class: "title", transform: `translate(13 ${middle}) rotate(-90)`,
      "text-anchor": "middle" }, yLabel));
  }
  return svg("g", { "aria-hidden": "true" }, parts);
}

/** Text of at most so many characters. */
function cut(text, most) {
  return text.length > most ? `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…` : text;
}

/** Shapes of about equal area, around 0, by radius: told apart without colour. */
const SHAPES = [
  (r) => `M${-r} 0a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0Z`,
  (r) => polygon(r * 1.25, 4, Math.PI / 4),
  (r) => polygon(r * 1.4, 3, -Math.PI / 2),
  (r) => polygon(r * 1.3, 4, 0),
  (r) => polygon(r * 1.4, 3, Math.PI / 2),
  (r) => {
    const a = r * 1.3, b = r * 0.45;
    return `M${-b} ${-a}H${b}V${-b}H${a}V${b}H${b}V${a}H${-b}V${b}H${-a}V${-b}H${-b}Z`;
  },
  (r) => polygon(r * 1.15, 6, 0),
];
function polygon(radius, corners, turn) {
  const points = Array.from({ length: corners }, (_, k) => {
    const angle = turn + (2 * Math.PI * k) / corners;
    return `${(radius * Math.cos(angle)).toFixed(2)} ${(radius * Math.sin(angle)).toFixed(2)}`;
  });
  return `M${points.join("L")}Z`;
}

/** A ramp from blue over grey to gold: it stays in order without colour and for colour-blind readers. */
function ramp(part) {
  const mix = (a, b, share) => `color-mix(in oklab, var(--ramp-${b}) ${(100 * share).toFixed(0)}%, var(--ramp-${a}))`;
  return part < 0.5 ? mix(1, 2, 2 * part) : mix(2, 3, 2 * part - 1);
}

/**
 * How a variable is drawn: { of(point) -> { colour, shape }, entries: [{ text, colour, shape }] }. Up to seven values
 * have a colour and a shape each; more numbers than that a ramp of colours; other values past the seventh share one.
 */
function encoding(points, index) {
  const plain = { colour: "var(--mark-1)", shape: 0 };
  if (index < 0) return { of: () => plain, entries: [] };
  const values = valuesOf(points, index);
  const numeric = values.every((v) => typeof v === "number");
  if (numeric && values.length > SHAPES.length) {
    const low = values[0], high = values[values.length - 1];
    const at = (v) => ({ colour: ramp((v - low) / (high - low)), shape: 0 });
    const few = values.length <= 10 ? values : [0, 0.25, 0.5, 0.75, 1].map((q) => quantile(values, q));
    return { of: (p) => at(p.variables[index]), entries: few.map((v) => ({ text: textOf(v), ...at(v) })) };
  }
  const look = (k) => ({ colour: `var(--mark-${Math.min(k, SHAPES.length - 1) + 1})`, shape: Math.min(k, 6) });
  const place = new Map(values.map((v, k) => [textOf(v), k]));
  const rest = values.length - SHAPES.length;
  const entries = values.slice(0, SHAPES.length).map((v, k) => ({ text: textOf(v), ...look(k) }));
  if (rest > 0) entries[SHAPES.length - 1].text += ` and ${rest} more`;
  return { of: (p) => look(place.get(textOf(p.variables[index]))), entries };
}

/** A sample of a mark for legends. */
function sample(look, radius = 5) {
  return svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", "aria-hidden": "true" },
    svg("path", { class: "mark", d: SHAPES[look.shape](radius), style: `--colour:${look.colour}` }));
}

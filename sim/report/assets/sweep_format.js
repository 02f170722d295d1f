// Numbers as text, ticks of axes, and elements of the page.

const PREFIXES = ["f", "p", "n", "µ", "m", "", "k", "M", "G", "T"];

/** How a metric's values are shown, all in one unit: { factor, unit, text(value) }. The error is shown in per cent. */
function scaleOf(metric, largest) {
  if (metric.unit === "1") return scale(100, "%");
  if (metric.unit === "µm²") return largest >= 1e5 ? scale(1e-6, "mm²") : scale(1, "µm²");
  if (metric.unit === "") return scale(1, "");
  const step = largest > 0 ? Math.floor(Math.log10(largest * (1 + 1e-9)) / 3) : 0;
  const index = Math.max(0, Math.min(PREFIXES.length - 1, step + 5));
  return scale(1000 ** (5 - index), PREFIXES[index] + metric.unit);
}
function scale(factor, unit) {
  const text = (value) => significant(value * factor, factor === 100 ? 4 : 3);
  return { factor, unit, text, full: (value) => (unit ? `${text(value)} ${unit}` : text(value)) };
}

/** A number to so many digits, without an exponent where it is short enough; thousands are spaced. */
function significant(value, digits) {
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -4 || size > 6) return value.toExponential(digits - 1);
  const text = value.toFixed(Math.max(0, digits - 1 - size));
  return Math.abs(value) < 10000 ? text : text.replace(/\B(?=(\d{3})+$)/g, " ");
}

/** A tick: as few digits as it needs. */
function tickText(value) {
  return significant(value, 12).replace(/(\.\d*?)0+(?=$|e)/, "$1").replace(/\.(?=$|e)/, "");
}

/** Round numbers across a range, about `count` of them; of a logarithmic axis 1, 2 and 5 of each decade. */
function ticks(low, high, count, logarithmic) {
  if (logarithmic) {
    const steps = [];
    for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) {
      for (const m of [1, 2, 5]) steps.push(Number(`${m}e${k}`));
    }
    const inside = steps.filter((t) => t >= low * (1 - 1e-9) && t <= high * (1 + 1e-9));
    const decades = inside.filter((t) => /^1e|^1$|^10*$|^0\.0*1$/.test(String(t)));
    if (inside.length > count + 2 && decades.length >= 2) return decades;
    if (inside.length >= 3) return inside;
  }
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.75);
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) {
    out.push(Number((k * step).toPrecision(12)));
  }
  return out;
}

/** An element with attributes and children; children that are no elements become text, never markup. */
function element(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}
function svg(name, attributes, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}
function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined));
  return node;
}

/** A labelled drop-down list of [value, text] pairs. */
function chooser(label, options, chosen, change) {
  const select = element("select", { onchange: () => change(select.value) },
    options.map(([value, text]) => element("option", { value, selected: value === chosen }, text)));
  return element("label", {}, element("span", {}, label), select);
}

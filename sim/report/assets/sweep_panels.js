// Sensitivity of every variable, and learning curves.

/** Finished points by the values of a variable, as numbers on the scale that is drawn. */
function byValue(points, index, metric, logarithmic) {
  const groups = new Map();
  for (const p of points) {
    const value = valueOf(p, metric);
    if (p.left_out !== "" || value === null) continue;
    const key = textOf(p.variables[index]);
    if (!groups.has(key)) groups.set(key, { value: p.variables[index], points: [], numbers: [] });
    groups.get(key).points.push(p);
    groups.get(key).numbers.push(logarithmic ? Math.log10(value) : value);
  }
  return [...groups.values()].sort((a, b) => compareValues(a.value, b.value));
}

/** Many values are put in eight bins of about equal size, so that each has something to compare. */
function binned(groups) {
  if (groups.length <= 12) return groups.map((g) => g.numbers);
  const all = groups.flatMap((g) => g.numbers);
  return Array.from({ length: 8 }, (_, k) => all.slice(Math.round((k * all.length) / 8),
    Math.round(((k + 1) * all.length) / 8)));
}

function drawSensitivity(host, view, metric, select) {
  const values = view.points.filter((p) => p.left_out === "" && valueOf(p, metric) !== null)
    .map((p) => valueOf(p, metric));
  if (!values.length) {
    host.replaceChildren(element("p", { class: "empty" }, "No finished design has this figure."));
    return;
  }
  const logarithmic = spansDecades(values);
  const panels = view.group.variables.map((name, index) => {
    const groups = byValue(view.points, index, metric, logarithmic);
    return { name, index, groups, share: groups.length > 1 ? shareBetween(binned(groups)) : null };
  });
  panels.sort((a, b) => (b.share === null ? -1 : b.share) - (a.share === null ? -1 : a.share));
  const range = roomFor(values, logarithmic);
  const fit = Math.max(1, Math.min(panels.length, 3, Math.floor(host.clientWidth / 300)));
  const columns = fit === 3 && panels.length === 4 ? 2 : fit;
  const width = Math.floor((host.clientWidth - 20 * (columns - 1)) / columns);
  host.style.gridTemplateColumns = `repeat(${columns}, ${width}px)`;
  host.replaceChildren(...panels.map((panel) => element("figure", { class: "panel" },
    element("figcaption", {}, element("strong", {}, panel.name),
      panel.share === null ? " has one value here" : ` explains ${Math.round(100 * panel.share)} % of the variance`
        + (logarithmic ? " of the logarithm" : "")),
    strips(panel, view, metric, range, logarithmic, width, select))));
}

/** A strip of points for each value, their quartiles as a box, and a line through the least of each. */
function strips(panel, view, metric, range, logarithmic, width, select) {
  const height = 230, groups = panel.groups, scale = view.scales[metric];
  const y = axis(...range, height - 42, 10, logarithmic);
  const numeric = groups.length > 12 && groups.every((g) => typeof g.value === "number");
  const x = numeric ? axis(...roomFor(groups.map((g) => g.value), false), 58, width - 6, false)
    : axis(-0.5, groups.length - 0.5, 58, width - 6, false);
  const room = (x.to - x.from) / groups.length;
  const long = Math.max(2, Math.floor(room / 6.6));
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img",
    "aria-label": `${view.metrics.get(metric).label} by ${panel.name}: ` + groups.map((g) => `${textOf(g.value)}: least `
      + `${scale.full(Math.min(...g.points.map((p) => valueOf(p, metric))))}`).join("; ") });
  root.append(frame(x, y, { width, height, xTicks: numeric ? null : groups.map((_, k) => k),
    xShow: numeric ? (t) => String(t) : (k) => cut(textOf(groups[k].value), long), xLabel: panel.name,
    yLabel: scale.unit ? `${view.metrics.get(metric).short} (${scale.unit})` : view.metrics.get(metric).short,
    yShow: (t) => tickText(t * scale.factor) }));
  const least = [], values = groups.reduce((sum, g) => sum + g.points.length, 0);
  groups.forEach((group, k) => {
    const middle = numeric ? x.place(group.value) : x.place(k);
    const sorted = group.points.map((p) => valueOf(p, metric)).sort((a, b) => a - b);
    if (!numeric && sorted.length > 3) root.append(box(sorted, middle, Math.min(34, room * 0.7), y));
    group.points.forEach((p) => {
      const aside = numeric ? 0 : (((p.n * 0.618034) % 1) - 0.5) * Math.min(26, room * 0.5);
      const mark = view.marks.get(p);
      root.append(svg("circle", { class: `dot ${mark}`, cx: (middle + aside).toFixed(1),
        cy: y.place(valueOf(p, metric)).toFixed(1), r: mark === "front" ? 3.8 : values > 60 ? 2.2 : 3.2, "data-n": p.n }));
    });
    least.push(`${middle.toFixed(1)} ${y.place(sorted[0]).toFixed(1)}`);
  });
  const points = new Map(groups.flatMap((g) => g.points.map((p) => [String(p.n), p])));
  root.addEventListener("pointerover", ({ target }) => {
    const p = points.get(target.dataset.n);
    if (p && !target.firstChild) {
      target.append(svg("title", {}, `${p.n}: ${variablesText(view, p)}; ${figureText(view, p, metric)}`));
    }
  });
  root.addEventListener("click", ({ target }) => { if (target.dataset.n) select(points.get(target.dataset.n)); });
  if (!numeric && groups.length > 1) root.append(svg("path", { class: "least", d: `M${least.join("L")}` }));
  return root;
}

function box(sorted, middle, width, y) {
  const at = (part) => y.place(quantile(sorted, part)), left = middle - width / 2;
  return svg("g", { class: "box" },
    svg("rect", { x: left, width, y: at(0.75), height: Math.max(0.5, at(0.25) - at(0.75)) }),
    svg("path", { d: `M${left} ${at(0.5)}h${width}` }));
}

// --- learning curves ----------------------------------------------------------------------------------------------

/** Mean, least and largest over seeds by epoch: [{ epoch, mean, low, high }]. */
function overSeeds(point, what) {
  const rows = new Map();
  for (const curve of point.curves) {
    curve.epoch.forEach((epoch, k) => {
      if (curve[what][k] === null) return;
      if (!rows.has(epoch)) rows.set(epoch, []);
      rows.get(epoch).push(curve[what][k]);
    });
  }
  return [...rows.entries()].sort((a, b) => a[0] - b[0])
    .map(([epoch, v]) => ({ epoch, mean: mean(v), low: Math.min(...v), high: Math.max(...v) }));
}

const DASHES = ["none", "7 3", "2 3", "9 3 2 3", "14 4", "5 2 1 2"];

/** The designs whose curves stand out: the selected one, and some spread along the front. */
function outstanding(view, most) {
  const front = view.points.filter((p) => view.marks.get(p) === "front" && p.curves.length && p !== view.selected)
    .sort((a, b) => valueOf(a, view.x) - valueOf(b, view.x));
  const count = Math.min(most, front.length);
  const chosen = Array.from({ length: count }, (_, k) => front[Math.round((k * (front.length - 1)) / Math.max(1, count - 1))]);
  const selected = view.selected && view.selected.curves.length ? [view.selected] : [];
  return [...selected, ...new Set(chosen)];
}

function drawCurves(host, view, what, select) {
  const all = view.points.map((p) => ({ point: p, rows: overSeeds(p, what) })).filter((c) => c.rows.length > 1);
  if (!all.length) {
    host.replaceChildren(element("p", { class: "empty" }, "No learning curves here."));
    return;
  }
  const width = Math.max(280, host.clientWidth), height = Math.round(Math.min(400, Math.max(280, width * 0.45)));
  const means = all.flatMap((c) => c.rows.map((r) => r.mean)), positive = means.filter((v) => v > 0);
  const values = positive.length ? positive : means;
  const factor = what === "error" ? 100 : 1;
  const logarithmic = spansDecades(values);
  const x = axis(...roomFor(all.flatMap((c) => [c.rows[0].epoch, c.rows[c.rows.length - 1].epoch]), false, 0), 58,
    width - 10, false);
  const y = axis(...roomFor(values, logarithmic, 0.03), height - 44, 10, logarithmic);
  const place = (v) => y.place(Math.min(y.high, Math.max(y.low, v)));
  const line = (rows) => `M${rows.map((r) => `${x.place(r.epoch).toFixed(1)} ${place(r.mean).toFixed(1)}`).join("L")}`;
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img",
    "aria-label": `Learning curves of ${all.length} designs; the list below gives their last values.` });
  const epochs = ticks(x.low, x.high, Math.max(2, Math.round(width / 90)), false).filter(Number.isInteger);
  root.append(frame(x, y, { width, height, xLabel: "epoch", xTicks: epochs, yShow: (t) => tickText(t * factor),
    yLabel: what === "error" ? "test error (%)" : "training loss (nats)", xShow: (t) => String(t) }),
  svg("path", { class: "curves", d: all.map((c) => line(c.rows)).join("") }));
  const legend = element("ul", { class: "legend" });
  outstanding(view, DASHES.length).forEach((point, k) => {
    const rows = overSeeds(point, what), chosen = point === view.selected;
    if (rows.length < 2) return;
    const style = chosen ? "--colour:var(--text)" : `--colour:var(--mark-${(k % 7) + 1})`;
    const dash = chosen ? "none" : DASHES[k % DASHES.length];
    if (chosen) root.append(svg("path", { class: "band", d: band(rows, x, place) }));
    root.append(svg("path", { class: chosen ? "curve chosen" : "curve", d: line(rows), style,
      "stroke-dasharray": dash }));
    legend.append(element("li", {}, svg("svg", { width: 34, height: 12, "aria-hidden": "true" }, svg("path", {
      class: chosen ? "curve chosen" : "curve", d: "M0 6H34", style, "stroke-dasharray": dash })),
    element("span", {}, element("button", { class: "link", onclick: () => select(point) },
      `${point.n}: ${variablesText(view, point)}`),
    ` ${significant(rows[rows.length - 1].mean * factor, 3)}${what === "error" ? " %" : ""}`
      + (chosen ? ", chosen; band: its seeds" : ""))));
  });
  host.replaceChildren(root, legend);
}

function band(rows, x, place) {
  const top = rows.map((r) => `${x.place(r.epoch).toFixed(1)} ${place(r.high).toFixed(1)}`);
  const bottom = [...rows].reverse().map((r) => `${x.place(r.epoch).toFixed(1)} ${place(r.low).toFixed(1)}`);
  return `M${top.join("L")}L${bottom.join("L")}Z`;
}

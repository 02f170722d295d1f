// What is shown, and who draws it when something changes.

const data = JSON.parse(document.getElementById("data").textContent);
const part = (id) => document.getElementById(id);

/** The state for one group of points (a sweep on one data set). */
function viewOf(group) {
  const used = data.metrics.filter((m) => group.points.some((p) => valueOf(p, m.name) !== null));
  const metrics = new Map((used.length ? used : data.metrics.slice(0, 1)).map((m) => [m.name, m]));
  const scales = {};
  for (const m of metrics.values()) {
    scales[m.name] = scaleOf(m, Math.max(0, ...group.points.map((p) => valueOf(p, m.name) || 0)));
  }
  const names = [...metrics.keys()], x = names.find((m) => m !== "error") || "error";
  const view = { group, metrics, scales, x, y: metrics.has("error") ? "error" : names[names.length - 1], colour: -1,
    sensitivity: names[0], curve: "error", increase: 0.5, minimise: x, points: [], marks: new Map(), selected: null,
    filter: { values: new Map(), text: "", only: "" }, sort: { column: 0, up: true }, rows: 100, reselect: () => {} };
  view.sort.column = Math.max(0, columnsOf(view).findIndex((c) => c.title === metrics.get(view.y).short));
  autoLog(view, "x");
  autoLog(view, "y");
  view.colour = firstColour(view);
  return view;
}

function autoLog(view, which) {
  const values = view.group.points.map((p) => valueOf(p, view[which])).filter((v) => v !== null);
  view[which === "x" ? "logX" : "logY"] = values.length > 0 && spansDecades(values);
}

/** The variable that is coloured at first: the one that explains most of the error, among those with a colour a value. */
function firstColour(view) {
  const rows = view.group.variables.map((_, k) => {
    const groups = byValue(view.group.points, k, view.y, view.logY);
    return { k, share: groups.length > 1 && groups.length <= SHAPES.length ? shareBetween(groups.map((g) => g.numbers))
      : -1 };
  });
  return rows.length ? rows.reduce((a, b) => ((b.share || 0) > (a.share || 0) ? b : a)).k : -1;
}

let view = null;

/** Shows a design beside or under the chart; whoever works from the keyboard stays where they are. */
function select(point) {
  const before = document.activeElement, inChart = part("front").contains(before);
  view.selected = point;
  view.reselect();
  drawCurves(part("curves"), view, view.curve, select);
  drawDetails(part("details"), view);
  markRow(part("table"), view);
  announce(`Design ${point.n} is shown`);
  if (!inChart && (!sideBySide() || !document.contains(before))) part("details").querySelector("h2").focus();
}
const sideBySide = () => window.matchMedia("(min-width: 1100px)").matches;

/** On a narrow window the chosen design follows the chart, on a wide one it stands beside everything. */
function arrange() {
  const details = part("details");
  if (sideBySide()) document.body.insertBefore(details, part("live"));
  else part("front").parentElement.after(details);
}

/** The filter first, as the rest shows what it leaves. */
function refilter() {
  view.points = view.group.points.filter((p) => passes(view, p));
  const marks = marksOf(view.points, [view.x, view.y]);
  view.marks = new Map(view.points.map((p, k) => [p, marks[k]]));
  for (const p of view.group.points) if (!view.marks.has(p)) view.marks.set(p, "none");
  view.encoding = encoding(view.group.points.filter((p) => p.status !== "impossible"), view.colour);
  part("count").textContent = view.points.length === view.group.points.length
    ? `${view.points.length} points` : `${view.points.length} of ${view.group.points.length} points`;
  drawAll();
}

function drawAll() {
  drawHead();
  drawFront(part("front"), view, select);
  drawLegend();
  drawBest();
  drawDetails(part("details"), view); // the filter may have changed where the design stands
  drawSensitivity(part("sensitivity"), view, view.sensitivity, select);
  drawCurves(part("curves"), view, view.curve, select);
  const sort = (column) => {
    view.sort = { column, up: view.sort.column === column ? !view.sort.up : true };
    drawTable(part("table"), view, select, sort);
    part("table").querySelectorAll("th button")[column].focus();
  };
  drawTable(part("table"), view, select, sort);
  drawFailures(part("failures"), view, select);
}

function drawHead() {
  const counts = new Map();
  for (const p of view.group.points) counts.set(p.status, (counts.get(p.status) || 0) + 1);
  const seeds = Math.max(0, ...view.group.points.map((p) => p.seeds.length));
  const run = Object.entries(view.group.settings).map(([name, value]) => `${name} ${textOf(value)}`).join(", ");
  part("facts").replaceChildren(
    [...counts].map(([status, count]) => `${count} ${status}`).join(", "), element("br", {}),
    `${run}; up to ${seeds} ${seeds === 1 ? "seed" : "seeds"} a design`);
}

function drawLegend() {
  const look = { colour: "var(--mark-1)", shape: 0 };
  const kind = (mark, text) => element("li", {}, svg("svg", { width: 18, height: 18, viewBox: "-9 -9 18 18",
    "aria-hidden": "true" }, svg("path", { class: `mark ${mark}`, d: SHAPES[0](mark === "front" ? 6 : mark === "near" ? 5
    : 3.6), style: `--colour:${look.colour}` })), text);
  const entries = view.encoding.entries.map((e) => element("li", {}, sample(e), e.text));
  const name = view.colour < 0 ? "" : `${view.group.variables[view.colour]}: `;
  part("legend").replaceChildren(
    element("ul", { class: "legend row" }, kind("front", "on the front"),
      kind("near", "near it: not dominated beyond one standard error"), kind("dominated", "dominated"),
      drawable(view).some((p) => view.marks.get(p) === "none") ? element("li", {}, "×: not finished, not compared") : null,
      element("li", {}, "bars: ± one standard error over seeds")),
    element("ul", { class: "legend row" }, entries.length ? element("li", {}, name) : null, entries));
}

/** The answer to the usual question, by the rule of `lns best`. */
function drawBest() {
  const found = view.minimise === "error" ? null : bestOf(view.group.points, view.increase / 100, view.minimise);
  const host = part("best");
  if (!found) {
    host.replaceChildren(element("p", { class: "empty" }, "No finished design has an error and a cost yet."));
    return;
  }
  const { chosen, reference, qualified, compared } = found, metric = view.metrics.get(view.minimise);
  const button = (p) => element("button", { class: "link", onclick: () => select(p) }, `design ${p.n}`);
  const share = `${significant((100 * valueOf(chosen, view.minimise)) / valueOf(reference, view.minimise), 3)} %`;
  const quoted = (text) => (/^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\"'\"'")}'`);
  const command = `lns best ${quoted(data.store)} --sweep ${quoted(view.group.sweep)} --max-error-increase `
    + `${view.increase}% --minimise ${metric.short} -o best.toml`;
  host.replaceChildren(
    element("p", {}, button(chosen), ` (${variablesText(view, chosen)}): `,
      element("strong", {}, `${figureText(view, chosen, "error")}, ${figureText(view, chosen, view.minimise)}`),
      chosen === reference ? ", the least error of all." : [`, that is ${share} of what the least error takes: `,
        button(reference), `, ${figureText(view, reference, "error")}, ${figureText(view, reference, view.minimise)}.`],
      ` ${qualified} of ${compared} designs are within the allowed error.`),
    element("div", { class: "command" }, element("span", {}, "As a file"), commandText(command),
      copyButton("Copy", command, "Copy the command: as a file")));
}

function drawControls() {
  const options = [...view.metrics.values()].map((m) => [m.name, m.label]);
  const set = (name, then) => (value) => { view[name] = value; then(); };
  const axisOf = (which) => chooser(`${which} axis`, options, view[which], (value) => {
    view[which] = value;
    autoLog(view, which);
    drawControls();
    refilter();
  });
  const log = (name, label) => element("label", { class: "check" }, element("input", { type: "checkbox",
    checked: view[name], onchange: (event) => { view[name] = event.target.checked; drawAll(); } }), label);
  part("axes").replaceChildren(axisOf("x"), log("logX", "log x"), axisOf("y"), log("logY", "log y"),
    chooser("colour and shape", [["-1", "none"], ...view.group.variables.map((name, k) => [String(k), name])],
      String(view.colour), (value) => { view.colour = Number(value); refilter(); }));
  part("sensitivity-controls").replaceChildren(chooser("figure", options, view.sensitivity, set("sensitivity", drawAll)));
  part("curve-controls").replaceChildren(chooser("figure", [["error", "test error"], ["loss", "training loss"]], view.curve,
    set("curve", drawAll)));
  const increase = element("input", { type: "number", min: 0, max: 50, step: 0.1, value: view.increase,
    oninput: () => { if (increase.value !== "" && increase.valueAsNumber >= 0 && increase.valueAsNumber < 100) {
      view.increase = increase.valueAsNumber; drawBest(); } } });
  part("best-controls").hidden = view.minimise === "error";
  part("best-controls").replaceChildren(element("label", {}, element("span", {}, "error allowed above the least (points)"),
    increase), chooser("least", options.filter(([name]) => name !== "error"), view.minimise,
  set("minimise", drawBest)));
}

function start(group) {
  view = viewOf(group);
  part("name").textContent = `Sweep ${titleOf(group)}`;
  drawControls();
  drawFilter(part("filter"), view, refilter);
  refilter();
}

const titleOf = (group) => (data.groups.filter((g) => g.sweep === group.sweep).length > 1
  ? `${group.sweep} on ${group.data}` : group.sweep);
if (data.groups.length > 1) {
  part("sweeps").append(chooser("show the sweep", data.groups.map((g, k) => [String(k), titleOf(g)]), "0",
    (value) => start(data.groups[Number(value)])));
}
arrange();
start(data.groups[0]);
let drawn = document.documentElement.clientWidth;
window.addEventListener("resize", () => requestAnimationFrame(() => {
  if (document.documentElement.clientWidth === drawn) return;
  drawn = document.documentElement.clientWidth;
  arrange();
  drawAll();
}));

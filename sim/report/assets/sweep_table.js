// The filter, the table of designs, and the list of what did not work.

const MARK_SIGNS = { front: "● front", near: "○ near", dominated: "", none: "–" };

/**
 * Whether a point passes the filter: a value of each variable, a status, and words. `#37` and `bits=8` are meant exactly,
 * any other word is looked for in all of the point's text.
 */
function passes(view, point) {
  const { values, text, only } = view.filter;
  for (const [index, value] of values) if (textOf(point.variables[index]) !== value) return false;
  if (only !== "" && point.status !== only) return false;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const exact = [`#${point.n}`, ...view.group.variables.map((name, k) => `${name}=${textOf(point.variables[k])}`)]
    .map((one) => one.toLowerCase());
  const all = [...exact, point.status, point.reason.toLowerCase()].join(" ");
  return words.every((word) => (/^#|=/.test(word) ? exact.includes(word) : all.includes(word)));
}

/** The filter's fields; `change` draws everything again. */
function drawFilter(host, view, change) {
  const { group, filter } = view;
  const set = (index) => (value) => {
    if (value === "") filter.values.delete(index);
    else filter.values.set(index, value.slice(1));
    change();
  };
  const variables = group.variables.map((name, index) => {
    const values = valuesOf(group.points, index);
    if (values.length < 2 || values.length > 60) return null;
    const now = filter.values.has(index) ? `=${filter.values.get(index)}` : "";
    return chooser(name, [["", "any"], ...values.map((v) => [`=${textOf(v)}`, textOf(v)])], now, set(index));
  });
  const statuses = [...new Set(group.points.map((p) => p.status))];
  const text = element("input", { type: "search", value: filter.text, placeholder: "bits=8 kind=log",
    oninput: () => { filter.text = text.value; change(); } });
  host.replaceChildren(...variables.filter(Boolean),
    chooser("status", [["", "any"], ...statuses.map((s) => [s, s])], filter.only, (v) => { filter.only = v; change(); }),
    element("label", {}, element("span", {}, "text"), text),
    element("button", { onclick: () => {
      filter.values.clear(); filter.text = ""; filter.only = "";
      drawFilter(host, view, change);
      change();
    } }, "Clear"));
}

/** What the table shows: { title, cell(point) -> text, key(point) -> number, text or null, number: right-aligned }. */
function columnsOf(view) {
  const figures = [...view.metrics.values()].filter((m) => view.group.points.some((p) => valueOf(p, m.name) !== null));
  const order = { front: 0, near: 1, dominated: 2, none: 3 };
  const columns = [
    { title: "#", cell: (p) => String(p.n), key: (p) => p.n, number: true },
    { title: "front", cell: (p) => MARK_SIGNS[view.marks.get(p)], key: (p) => order[view.marks.get(p)] },
    ...view.group.variables.map((name, k) => ({ title: name, cell: (p) => textOf(p.variables[k]),
      key: (p) => p.variables[k], number: view.group.points.every((p) => typeof p.variables[k] === "number") })),
    ...figures.map((m) => ({ title: m.short, unit: view.scales[m.name].unit, number: true,
      cell: (p) => figureText(view, p, m.name).replace(` ${view.scales[m.name].unit}`, ""),
      key: (p) => valueOf(p, m.name) })),
    { title: "status", cell: (p) => p.status, key: (p) => p.status },
  ];
  if (view.group.points.some((p) => p.mismatches !== null)) {
    columns.push({ title: "Verilog", cell: (p) => (p.mismatches === null ? "–" : p.mismatches
      ? `${p.mismatches} mismatches` : "verified"), key: (p) => p.mismatches });
  }
  return columns;
}

function drawTable(host, view, select, sort) {
  const columns = columnsOf(view), by = columns[view.sort.column] || columns[0];
  const rows = [...view.points].sort((a, b) => {
    const u = by.key(a), v = by.key(b);
    if (u === null || v === null) return (u === null) - (v === null) || a.n - b.n; // unknown ones last, either way
    return compareValues(u, v) * (view.sort.up ? 1 : -1) || a.n - b.n;
  });
  const head = columns.map((column, k) => element("th", { scope: "col", class: column.number ? "number" : null,
    "aria-sort": column === by ? (view.sort.up ? "ascending" : "descending") : "none" },
  element("button", { onclick: () => sort(k) }, column.title, column.unit ? ` (${column.unit})` : "",
    element("span", { class: "arrow", "aria-hidden": "true" }, column !== by ? "" : view.sort.up ? " ▲" : " ▼"))));
  const body = rows.slice(0, view.rows).map((p) => element("tr", { "data-n": p.n, onclick: () => select(p) }, columns.map((column, k) => element(k ? "td" : "th",
    { class: column.number ? "number" : null, scope: k ? null : "row" }, k ? column.cell(p)
      : element("button", { class: "link", "aria-label": `Show design ${p.n}`,
        onclick: (event) => { event.stopPropagation(); select(p); } }, column.cell(p))))));
  const before = host.querySelector(".scroll"), left = before ? before.scrollLeft : 0;
  const scroll = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of designs" },
    element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, body)));
  const more = rows.length > view.rows
    ? element("button", { onclick: () => { view.rows = Infinity; drawTable(host, view, select, sort); } },
      `Show all ${rows.length}`) : null;
  host.replaceChildren(...[scroll, more].filter(Boolean));
  scroll.scrollLeft = left;
  markRow(host, view);
}

function markRow(host, view) {
  host.querySelectorAll("tr.selected").forEach((row) => row.classList.remove("selected"));
  const row = view.selected && host.querySelector(`tr[data-n="${view.selected.n}"]`);
  if (row) row.classList.add("selected");
}

// --- failures -----------------------------------------------------------------------------------------------------

const STATUS_TEXT = { failed: "Failed", timeout: "Out of time", impossible: "Impossible", stopped: "Stopped early",
  partial: "Partly done", waiting: "Waiting" };

/** Points that are not done by status and reason, the most frequent reason first. */
function drawFailures(host, view, select) {
  const parts = Object.keys(STATUS_TEXT).map((status) => {
    const points = view.points.filter((p) => p.status === status);
    if (!points.length) return null;
    const reasons = new Map();
    for (const p of points) reasons.set(p.reason, [...(reasons.get(p.reason) || []), p]);
    const list = [...reasons.entries()].sort((a, b) => b[1].length - a[1].length || a[1][0].n - b[1][0].n);
    return element("details", { open: status === "failed" || status === "timeout" },
      element("summary", {}, `${STATUS_TEXT[status]}: ${points.length}`),
      element("ul", { class: "reasons" }, list.map(([reason, some]) => element("li", {},
        element("code", {}, reason || "no reason is recorded"), element("div", { class: "numbers" },
          some.length > 1 ? `${some.length} points: ` : "point ", some.map((p) => element("button", { class: "link",
            title: variablesText(view, p), "aria-label": `Show point ${p.n}`, onclick: () => select(p) }, String(p.n))))))));
  }).filter(Boolean);
  host.replaceChildren(...(parts.length ? parts : [element("p", { class: "empty" }, "Every point is done.")]));
}

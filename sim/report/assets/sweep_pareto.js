// The chart of the front: two metrics, error bars over seeds, details on hovering, tapping and from the keyboard.

const MARK_TEXT = { front: "on the front", near: "near the front", dominated: "dominated", none: "not compared" };

/** The points that the chart can show. */
function drawable(view) {
  return view.points.filter((p) => valueOf(p, view.x) !== null && valueOf(p, view.y) !== null);
}

/** "bits 8, frac 3". */
function variablesText(view, point) {
  return view.group.variables.map((name, k) => `${name} ${textOf(point.variables[k])}`).join(", ");
}

/** A value with its unit, and its standard error if there is one. */
function figureText(view, point, metric) {
  const value = valueOf(point, metric), error = errorOf(point, metric), scale = view.scales[metric];
  if (value === null) return "–";
  if (error === null) return scale.full(value);
  return `${scale.text(value)} ± ${significant(error * scale.factor, 2)} ${scale.unit}`.trim();
}

function drawFront(host, view, select) {
  const shown = drawable(view);
  if (!shown.length || view.x === view.y) {
    const some = view.group.points.some((p) => valueOf(p, view.x) !== null && valueOf(p, view.y) !== null);
    view.reselect = () => {};
    host.replaceChildren(element("p", { class: "empty" }, view.metrics.size < 2 || !some
      ? "No design has an error and a cost yet. Costs need the metric “cost” in the sweep file."
      : view.x === view.y ? "Choose two different figures for the axes." : "The filter leaves no design with both."));
    return;
  }
  const width = Math.max(280, host.clientWidth), height = Math.round(Math.min(560, Math.max(340, width * 0.62)));
  const limits = (metric) => shown.flatMap((p) => {
    const value = valueOf(p, metric), error = errorOf(p, metric) || 0;
    return value - error > 0 ? [value - error, value, value + error] : [value, value + error];
  });
  const logX = view.logX && shown.every((p) => valueOf(p, view.x) > 0);
  const logY = view.logY && shown.every((p) => valueOf(p, view.y) > 0);
  const x = axis(...roomFor(limits(view.x), logX), 62, width - 14, logX);
  const y = axis(...roomFor(limits(view.y), logY), height - 46, 12, logY);
  const title = (metric) => {
    const one = view.metrics.get(metric), unit = view.scales[metric].unit;
    return unit ? `${one.label} (${unit})` : one.label;
  };
  const show = (metric) => (t) => tickText(t * view.scales[metric].factor);
  const root = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, class: "chart front", tabindex: 0,
    role: "listbox", "aria-label": `${title(view.y)} against ${title(view.x)}, ${shown.length} designs. Arrow keys move `
      + "between designs, page keys along the front, Enter shows a design." });
  root.append(frame(x, y, { width, height, xLabel: title(view.x), yLabel: title(view.y), xShow: show(view.x),
    yShow: show(view.y) }));
  root.append(stairs(view, shown, x, y));
  const places = placePoints(root, view, shown, x, y);
  const labels = svg("g", { class: "labels", "aria-hidden": "true" });
  root.append(labels);
  const tip = element("div", { class: "tip", hidden: true, "aria-hidden": "true" });
  host.replaceChildren(root, tip);
  const relabel = () => labels.replaceChildren(...labelsOf(view, places, x, y));
  relabel();
  view.reselect = interact(root, tip, view, places, select, relabel);
}

/** The line under which no design lies. */
function stairs(view, shown, x, y) {
  const front = shown.filter((p) => view.marks.get(p) === "front")
    .map((p) => [x.place(valueOf(p, view.x)), y.place(valueOf(p, view.y))]).sort((a, b) => a[0] - b[0]);
  if (!front.length) return svg("g", {});
  const steps = front.slice(1).map(([px, py]) => `H${px.toFixed(1)}V${py.toFixed(1)}`).join("");
  return svg("path", { class: "stairs", "aria-hidden": "true",
    d: `M${front[0][0].toFixed(1)} ${y.to}V${front[0][1].toFixed(1)}${steps}H${x.to}` });
}

function placePoints(root, view, shown, x, y) {
  const order = { none: 0, dominated: 1, near: 2, front: 3 };
  const places = shown.map((point) => ({ point, mark: view.marks.get(point), x: x.place(valueOf(point, view.x)),
    y: y.place(valueOf(point, view.y)) }));
  places.sort((a, b) => order[a.mark] - order[b.mark] || a.point.n - b.point.n);
  const bars = svg("g", { "aria-hidden": "true" }), marks = svg("g", { role: "presentation" });
  for (const one of places) {
    const { point, mark } = one;
    for (const [metric, along] of [[view.x, x], [view.y, y]]) {
      const error = errorOf(point, metric), value = valueOf(point, metric);
      if (!error) continue;
      const a = along.place(Math.max(value - error, along.low)), b = along.place(Math.min(value + error, along.high));
      bars.append(svg("path", { class: `bar ${mark}`, d: along === x ? `M${a} ${one.y}H${b}` : `M${one.x} ${a}V${b}` }));
    }
    const look = view.encoding.of(point), radius = { front: 6, near: 5, dominated: 3.6, none: 3.6 }[mark];
    const shape = mark === "none" ? "M-4 -4L4 4M-4 4L4 -4" : SHAPES[look.shape](radius);
    one.node = svg("path", { class: `mark ${mark}`, id: `mark-${point.n}`, d: shape, role: "option",
      transform: `translate(${one.x.toFixed(1)} ${one.y.toFixed(1)})`, style: `--colour:${look.colour}`,
      "aria-selected": String(point === view.selected), "aria-label": `${point.n}: ${variablesText(view, point)}; `
        + `${figureText(view, point, view.y)}, ${figureText(view, point, view.x)}; ${MARK_TEXT[mark]}` });
    marks.append(one.node);
  }
  root.append(bars, marks);
  return places;
}

/** The numbers of the chosen design and of those on the front, where there is room: on the side that has no design. */
function labelsOf(view, places, x, y) {
  const taken = [], texts = [];
  const wanted = places.filter((p) => p.mark === "front" || p.point === view.selected);
  for (const one of wanted.sort((a, b) => (b.point === view.selected) - (a.point === view.selected) || a.x - b.x)) {
    const text = String(one.point.n), w = 8 * text.length, right = Math.max(x.from + w + 2, one.x - 6);
    const below = Math.min(y.from - 3, one.y + 17);
    if (taken.some((t) => right - w - 4 < t.right && t.right - t.w - 4 < right && Math.abs(t.below - below) < 13)) continue;
    taken.push({ right, w, below });
    texts.push(svg("text", { x: right, y: below, "text-anchor": "end" }, text));
  }
  return texts;
}

/** Makes the chart answer; returns what shows that another design was chosen. */
function interact(root, tip, view, places, select, relabel) {
  const chosen = () => places.find((p) => p.point === view.selected) || null;
  let active = chosen();
  const ring = svg("circle", { class: "ring", r: 10, "aria-hidden": "true" });
  root.append(ring);
  const rest = () => { active = chosen(); show(null, false); };
  const show = (one, withTip) => {
    active = one || active;
    tip.hidden = !one || !withTip;
    ring.setAttribute("visibility", active ? "visible" : "hidden");
    if (!active) return;
    ring.setAttribute("cx", active.x);
    ring.setAttribute("cy", active.y);
    root.setAttribute("aria-activedescendant", active.node.id);
    if (!tip.hidden) placeTip(root, tip, view, active);
  };
  const at = (event) => {
    const box = root.getBoundingClientRect();
    return nearest(places, event.clientX - box.left, event.clientY - box.top, 26);
  };
  root.addEventListener("pointermove", (event) => {
    const one = at(event);
    if (one) show(one, true);
    else rest();
    root.classList.toggle("over", one !== null);
  });
  root.addEventListener("pointerleave", rest);
  root.addEventListener("click", (event) => { const one = at(event); if (one) select(one.point); });
  const first = places.filter((p) => p.mark === "front").sort((a, b) => a.x - b.x)[0] || places[0];
  root.addEventListener("focus", () => { if (root.matches(":focus-visible")) show(active || first, true); });
  root.addEventListener("blur", () => { tip.hidden = true; });
  root.addEventListener("keydown", (event) => {
    if ((event.key === "Enter" || event.key === " ") && active) select(active.point);
    else if (event.key === "Escape") tip.hidden = true;
    else if (!moveActive(event.key, places, active, (one) => show(one, true))) return;
    event.preventDefault();
  });
  show(null, false);
  return () => {
    for (const p of places) p.node.setAttribute("aria-selected", String(p.point === view.selected));
    active = chosen();
    show(active, !tip.hidden);
    relabel();
  };
}

/** The place next to a position, or null if none is within reach; the front wins over what lies about as near. */
function nearest(places, x, y, reach) {
  const far = (p) => Math.hypot(p.x - x, p.y - y) - (p.mark === "front" ? 4 : p.mark === "near" ? 2 : 0);
  const best = places.reduce((a, b) => (far(b) <= far(a) ? b : a));
  return far(best) < reach ? best : null;
}

/** Moves to the next place by x (left, right), by y (up, down) or along the front (page keys); true if the key is one. */
function moveActive(key, places, active, move) {
  const keys = { ArrowRight: ["x", 1], ArrowLeft: ["x", -1], ArrowDown: ["y", 1], ArrowUp: ["y", -1],
    PageDown: ["x", 1], PageUp: ["x", -1], Home: ["x", -Infinity], End: ["x", Infinity] };
  if (!(key in keys)) return false;
  const [along, step] = keys[key];
  const list = places.filter((p) => !key.startsWith("Page") || p.mark === "front" || p === active)
    .sort((a, b) => a[along] - b[along] || a.point.n - b.point.n);
  const from = Math.max(0, list.indexOf(active));
  move(list[Math.max(0, Math.min(list.length - 1, from + (active ? step : 0)))]);
  return true;
}

function placeTip(root, tip, view, one) {
  const { point, mark } = one;
  const rows = [view.y, view.x].map((m) => [view.metrics.get(m).short, figureText(view, point, m)]);
  tip.replaceChildren(
    element("strong", {}, `${point.n}: ${point.left_out ? `not compared (${point.left_out})` : MARK_TEXT[mark]}`),
    element("dl", {}, rows.map(([a, b]) => [element("dt", {}, a), element("dd", {}, b)])),
    element("div", {}, variablesText(view, point)),
    element("small", {}, `${point.accuracies.length} ${point.accuracies.length === 1 ? "seed" : "seeds"}`));
  const host = root.parentElement.clientWidth, w = tip.offsetWidth, h = tip.offsetHeight;
  if (host < 600) { // beside a finger there is no room: the corner away from the point
    tip.style.left = `${one.x < host / 2 ? host - w : 0}px`;
    tip.style.top = `${one.y < h + 16 && (one.x < host / 2 ? one.x > host - w - 16 : one.x < w + 16) ? one.y + 16 : 0}px`;
    return;
  }
  tip.style.left = `${Math.max(0, Math.min(host - w, one.x + 16 + w > host ? one.x - 16 - w : one.x + 16))}px`;
  tip.style.top = `${Math.max(0, one.y - h - 12 < 0 ? one.y + 14 : one.y - h - 12)}px`;
}

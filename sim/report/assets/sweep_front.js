// What is computed of a group's points: fronts by the rules of sim/sweep/pareto.py, the best design, statistics.

/** Value and standard error of a point; null where unknown. */
function valueOf(point, metric) {
  if (metric === "error") return point.error;
  const value = point.cost[metric];
  return value === undefined ? null : value;
}
function errorOf(point, metric) {
  return metric === "error" ? point.standard_error : null;
}

const square = (value) => value * value; // and not Math.pow: the same bits as in Python

/** For each point "front", "near", "dominated" or "none" by some metrics, all better when smaller. */
function marksOf(points, metrics) {
  const rows = points.map((point) => ({
    used: point.left_out === "" && metrics.every((m) => valueOf(point, m) !== null),
    values: metrics.map((m) => valueOf(point, m)),
    variances: metrics.map((m) => square(errorOf(point, m) || 0)),
  }));
  return rows.map((p) => {
    if (!p.used) return "none";
    let dominated = false;
    for (const q of rows) {
      if (!q.used || q === p) continue;
      let somewhere = false, clearly = true, nowhere = true;
      for (let k = 0; k < metrics.length && nowhere; k++) {
        const worse = p.values[k] - q.values[k];
        if (worse < 0) nowhere = false;
        if (worse > 0) somewhere = true;
        if (worse * worse < p.variances[k] + q.variances[k]) clearly = false;
      }
      if (nowhere && somewhere) {
        if (clearly) return "dominated";
        dominated = true;
      }
    }
    return dominated ? "near" : "front";
  });
}

/** The least of a metric among points whose error is at most the least error plus `increase`, as `lns best` chooses. */
function bestOf(points, increase, metric) {
  const rows = points.filter((p) => p.left_out === "" && p.design !== null && p.error !== null
    && valueOf(p, metric) !== null);
  if (!rows.length) return null;
  const least = (list, ...keys) => list.reduce((a, b) => {
    for (const key of keys) if (key(a) !== key(b)) return key(a) < key(b) ? a : b;
    return a.n <= b.n ? a : b;
  });
  const error = (p) => p.error, cost = (p) => valueOf(p, metric);
  const reference = least(rows, error, cost);
  const limit = (reference.error + increase) * (1 + 1e-12);
  const inside = rows.filter((p) => p.error <= limit);
  return { chosen: least(inside, cost, error), reference, qualified: inside.length, compared: rows.length };
}

/** A quantile of numbers in order, linear between them. */
function quantile(sorted, part) {
  const at = part * (sorted.length - 1), low = Math.floor(at);
  return low + 1 < sorted.length ? sorted[low] + (at - low) * (sorted[low + 1] - sorted[low]) : sorted[low];
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** Which share of a quantity's variance lies between the groups: 0 to 1, or null if it does not vary. */
function shareBetween(groups) {
  const all = groups.flat();
  if (!all.length) return null;
  const centre = mean(all);
  const total = all.reduce((sum, v) => sum + (v - centre) ** 2, 0);
  const between = groups.reduce((sum, g) => sum + (g.length ? g.length * (mean(g) - centre) ** 2 : 0), 0);
  return total > 0 ? between / total : null;
}

/** A variable's value as text; lists and tables as JSON. */
const textOf = (value) => (value === null ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** The values that a variable takes among points, numbers in order before text in order. */
function valuesOf(points, index) {
  const known = new Map(points.map((p) => [textOf(p.variables[index]), p.variables[index]]));
  return [...known.values()].sort(compareValues);
}
function compareValues(a, b) {
  const numbers = (typeof a === "number") - (typeof b === "number");
  if (numbers) return -numbers;
  if (typeof a === "number") return a - b;
  return textOf(a).localeCompare(textOf(b), "en", { numeric: true });
}

// One design in full: figures, seeds, events, its file, and the commands that repeat it.

function drawDetails(host, view) {
  const p = view.selected;
  if (!p) {
    host.replaceChildren(element("p", { class: "empty" }, "Choose a design in the chart or in the table."));
    return;
  }
  const metrics = [...view.metrics.values()].filter((m) => valueOf(p, m.name) !== null);
  const rows = [
    ...view.group.variables.map((name, k) => [name, textOf(p.variables[k])]),
    ...metrics.map((m) => [m.label, figureText(view, p, m.name)]),
  ];
  if (p.spread !== null) rows.push(["standard deviation over seeds", `${significant(100 * p.spread, 2)} %`]);
  if (p.library) rows.push(["cell library", textOf(p.library)]);
  if (p.mismatches !== null) rows.push(["Verilog", p.mismatches ? `${p.mismatches} mismatches` : "verified, no mismatch"]);
  if (p.seconds) rows.push(["time of its tasks", `${significant(p.seconds, 3)} s`]);
  host.replaceChildren(...[
    element("h2", { tabindex: -1 }, `Design ${p.n}`, " ", element("span", { class: "badge" },
      p.left_out || (view.points.includes(p) ? MARK_TEXT[view.marks.get(p)] : "outside the filter"))),
    p.reason ? element("p", {}, element("code", {}, p.reason)) : null,
    element("dl", { class: "figures" }, rows.map(([a, b]) => [element("dt", {}, a), element("dd", {}, b)])),
    p.accuracies.length ? element("p", {}, "Test error by seed: ", p.accuracies.map((a, k) => `${k ? ", " : ""}`
      + `${significant(100 * (1 - a), 4)} % (${p.seeds[k]})`).join("")) : null,
    eventsOf(p), ...commandsOf(p)].filter(Boolean));
}

/** How many words saturated, underflowed …, by tensor. */
function eventsOf(point) {
  const rows = Object.entries(point.events).map(([kind, counts]) => [kind, Object.entries(counts)
    .map(([event, count]) => `${significant(count, 12)} ${event}`).join(", ")]).filter(([, text]) => text);
  return rows.length ? element("details", {}, element("summary", {}, "Events in training"),
    element("dl", { class: "figures" }, rows.map(([a, b]) => [element("dt", {}, a), element("dd", {}, b)]))) : null;
}

function commandsOf(p) {
  if (p.design === null) return [];
  const file = `point-${p.n}.toml`, { train, build, verify, price } = p.commands;
  // a design's text has no line of EOF: TOML writes line ends in strings as \u000a
  const all = `cat > ${file} <<'EOF'\n${p.design}EOF\n${train}\n${build}\n${verify}\n${price}\n`;
  return [
    element("h3", {}, "Repeat it"),
    element("div", { class: "buttons" }, copyButton("Copy everything", all), saveButton(file, p.design)),
    ...[["Train", train], ["Build", build], ["Verify", verify], ["Price", price]].map(([what, text]) =>
      element("div", { class: "command" }, element("span", {}, what), commandText(text),
        copyButton("Copy", text, `Copy the command: ${what.toLowerCase()}`))),
    element("details", {}, element("summary", {}, file), copyButton("Copy", p.design, "Copy the design file"),
      element("pre", { tabindex: 0 }, p.design)),
  ];
}

/** Commands that break between words only, and not at the hyphens of options. */
function commandText(text) {
  return element("pre", { tabindex: 0 }, text.split(/([ \n])/).map((word) => (/^[ \n]?$/.test(word) ? word
    : element("span", {}, word))));
}

function copyButton(label, text, name) {
  const button = element("button", { "aria-label": name || label, onclick: async () => {
    const done = await copyText(text);
    button.textContent = done ? "Copied" : "Select and copy by hand";
    announce(done ? "Copied" : "Could not copy");
    setTimeout(() => { button.textContent = label; }, 1500);
  } }, label);
  return button;
}

/** To the clipboard; pages opened as files may lack the modern way. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { readonly: true, class: "unseen" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function saveButton(name, text) {
  return element("button", { onclick: () => {
    const address = URL.createObjectURL(new Blob([text], { type: "application/toml" }));
    element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  } }, `Save ${name}`);
}

function announce(text) {
  document.getElementById("live").textContent = text;
}

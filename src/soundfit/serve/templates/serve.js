const form = document.getElementById("form"), answer = document.getElementById("answer");
function bars(why, unit) {
  const table = element("table", undefined, "why"), body = element("tbody");
  const most = Math.max(...why.map((r) => Math.abs(r.effect)), 1e-300);
  why.filter((r) => r.effect !== 0).slice(0, 10).forEach((r) => {
    const row = element("tr"), head = element("th", r.column), meter = element("td"), bar = element("div", undefined, "meter");
    head.scope = "row";
    const fill = element("i", undefined, r.effect < 0 ? "down" : "up");
    fill.style.left = "0"; fill.style.width = `${100 * Math.abs(r.effect) / most}%`;
    bar.append(fill); meter.append(bar);
    row.append(head, meter, element("td", `${r.effect < 0 ? "−" : "+"}${number(Math.abs(r.effect) * unit)}${unit === 100 ? say(" pt") : ""}`));
    body.append(row);
  });
  table.append(body);
  return table;
}
function show(given) {
  const parts = [], classes = given.probabilities !== undefined;
  parts.push(element("output", classes ? String(given.prediction) : number(given.prediction)));
  if (classes) {
    const ranked = Object.entries(given.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 8);
    parts.push(element("p", ranked.map(([name, p]) => `${name} ${(100 * p).toFixed(1)} %`).join(" · "), "what"));
  } else if (given.low !== undefined) {
    parts.push(element("p", say("{low} to {high} holds the true value in {level} of 100 cases like the training rows.", { low: number(given.low), high: number(given.high), level: Math.round(100 * LEVEL) }), "what"));
  }
  const unit = classes ? 100 : 1, word = classes ? say("probability of {class}", { class: given.prediction }) : say("prediction");
  parts.push(element("h3", say("Why")));
  if (given.why.every((r) => r.effect === 0)) {
    parts.push(element("p", say("This is the typical row, with which others are compared; change a value to see what it does."), "what"));
    answer.replaceChildren(...parts);
    return;
  }
  parts.push(bars(given.why, unit));
  const shown = (x) => classes ? `${(100 * x).toFixed(1)} %` : number(x);
  parts.push(element("p", say("From {typical} for a row of typical values to {value}: how far each column moves the {word} (sampled Shapley values). This says what the model does, not what causes what.", { typical: shown(given.typical), value: shown(given.value), word }), "what"));
  answer.replaceChildren(...parts);
}
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  form.querySelectorAll("[aria-invalid]").forEach((field) => field.removeAttribute("aria-invalid"));
  const row = {};
  form.querySelectorAll("[name]").forEach((field) => { row[field.name] = field.value === "" ? null : field.value; });
  try {
    const response = await fetch("/explain", { method: "POST", body: JSON.stringify(row), headers: { "Content-Type": "application/json" } });
    if (response.ok) { show(await response.json()); answer.scrollIntoView({ block: "nearest" }); return; }
    const text = await told(response);
    problem(answer, text);
    const wrong = [...form.querySelectorAll("[name]")].find((field) => text.startsWith(`Column '${field.name}'`));
    if (wrong) { wrong.setAttribute("aria-invalid", "true"); wrong.focus(); }
  } catch { problem(answer, say(SILENT)); }
});
form.addEventListener("reset", (event) => {
  event.preventDefault();
  form.querySelectorAll("[name]").forEach((field) => { field.value = field.dataset.typical; });
});

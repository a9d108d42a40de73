const zone = document.getElementById("zone"), input = document.getElementById("file"), state = document.getElementById("state");
const answers = document.getElementById("answers"), rows = [];
const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
function shown(given) {
  const place = element("div");
  if (given.probabilities === undefined) { place.append(element("output", number(given.prediction))); return place; }
  const ranked = Object.entries(given.probabilities).sort((a, b) => b[1] - a[1]);
  place.append(element("output", `${given.prediction}`), element("span", ` ${(100 * ranked[0][1]).toFixed(1)} %`, "share"));
  const table = element("table", undefined, "why"), body = element("tbody");
  ranked.slice(0, 5).forEach(([name, share]) => {
    const row = element("tr"), head = element("th", name), cell = element("td"), meter = element("div", undefined, "meter"), fill = element("i");
    head.scope = "row";
    fill.style.left = "0"; fill.style.width = `${100 * share}%`;
    meter.append(fill); cell.append(meter);
    row.append(head, cell, element("td", `${(100 * share).toFixed(1)} %`));
    body.append(row);
  });
  table.append(body); place.append(table);
  return place;
}
function offer() {
  if (!rows.length) return;
  const names = [...new Set(rows.flatMap((r) => Object.keys(r.given.probabilities ?? {})))];
  const lines = [["file", "prediction", ...names.map((n) => `probability_${n}`)].map(quoted).join(",")];
  rows.forEach((r) => lines.push([quoted(r.name), quoted(r.given.prediction), ...names.map((n) => r.given.probabilities[n])].join(",")));
  const link = element("a", say("Download predictions.csv"));
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.download = "predictions.csv";
  document.getElementById("download").replaceChildren(link);
}
async function predict(files) {
  const pictures = [...files];
  for (const [i, file] of pictures.entries()) {
    state.textContent = say("Predicting {i} of {n} …", { i: i + 1, n: pictures.length });
    const item = element("li"), image = element("img"), told_ = element("div");
    image.alt = ""; image.src = URL.createObjectURL(file);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src));
    image.addEventListener("error", () => image.remove());
    told_.append(element("p", file.name, "what"));
    item.append(image, told_);
    answers.prepend(item);
    try {
      const response = await fetch("/predict", { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } });
      if (response.ok) { const given = await response.json(); rows.push({ name: file.name, given }); told_.append(shown(given)); }
      else { const place = element("div"); problem(place, await told(response)); told_.append(place); }
    } catch { state.textContent = say(SILENT); return; }
  }
  state.textContent = say("{n} predicted, the newest first.", { n: rows.length });
  offer();
}
input.addEventListener("change", async () => { const files = [...input.files]; input.value = ""; await predict(files); });
for (const name of ["dragover", "dragenter"]) document.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (event.relatedTarget === null) zone.classList.remove("over"); });
document.addEventListener("drop", (event) => { event.preventDefault(); zone.classList.remove("over"); predict(event.dataTransfer.files); });
document.addEventListener("paste", (event) => { if (event.clipboardData.files.length) predict(event.clipboardData.files); });

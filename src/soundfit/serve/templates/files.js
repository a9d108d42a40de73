// The first rows of the answer; our own CSV, whose cells hold quotes only where they must.
function preview(text) {
  const rows = (text.match(/(?:[^\n"]|"(?:[^"]|"")*")+/g) ?? []).slice(0, 11).map((line) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((m) => (m[1] ?? m[2] ?? "").replaceAll('""', '"')));
  const frame = element("div", undefined, "scroll"), table = element("table", undefined, "rows"), head = element("thead"), body = element("tbody");
  const short = (cell) => (cell !== "" && Number.isFinite(Number(cell)) ? number(cell) : cell);
  rows.forEach((cells, i) => {
    const row = element("tr");
    cells.forEach((cell) => { const made = element(i ? "td" : "th", i ? short(cell) : cell); if (!i) made.scope = "col"; row.append(made); });
    (i ? body : head).append(row);
  });
  table.append(head, body); frame.append(table); frame.tabIndex = 0;
  frame.setAttribute("role", "region"); frame.setAttribute("aria-label", say("The first predictions"));
  return frame;
}
document.getElementById("batch").addEventListener("submit", async (event) => {
  event.preventDefault();
  const place = document.getElementById("batch-answer"), file = document.getElementById("file").files[0];
  if (!file) { problem(place, say("Choose a file first.")); return; }
  place.replaceChildren(element("p", say("Predicting …"), "what"));
  try {
    const response = await fetch(FILES, { method: "POST", body: file, headers: { "Content-Type": SENT } });
    if (!response.ok) { problem(place, await told(response)); return; }
    const link = element("a", say("Download predictions.csv"));
    const text = await response.text();
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "predictions.csv";
    const p = element("p");
    p.append(link);
    place.replaceChildren(p, preview(text));
    link.focus();
  } catch { problem(place, say(SILENT)); }
});

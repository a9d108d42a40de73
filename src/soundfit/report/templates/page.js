"use strict";
// Sorts tables by their header buttons, copies commands, opens long tables. The page reads well without it.
document.querySelectorAll("table[data-sortable]").forEach((table) => {
  const body = table.tBodies[0];
  table.querySelectorAll("th .sort").forEach((button) => button.addEventListener("click", () => {
    const head = button.closest("th"), column = head.cellIndex;
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const gap = Number(x) - Number(y);
      return sign * (Number.isNaN(gap) ? x.localeCompare(y) : gap);
    };
    table.querySelectorAll("th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    body.append(...[...body.rows].sort(compare));
  }));
});
document.querySelectorAll(".copy").forEach((button) => button.addEventListener("click", async () => {
  const code = button.previousElementSibling;
  try { await navigator.clipboard.writeText(code.textContent); } catch {
    const range = document.createRange();
    range.selectNodeContents(code);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
  }
  const before = button.textContent;
  button.textContent = button.dataset.done;
  setTimeout(() => { button.textContent = before; }, 1500);
}));
document.querySelectorAll(".more").forEach((button) => button.addEventListener("click", () => {
  document.querySelectorAll(`#${button.getAttribute("aria-controls")} .late`).forEach((row) => { row.hidden = false; });
  button.remove();
}));

"use strict";
const element = (name, text, className) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
};
const number = (x) => Number(x).toLocaleString("en", { maximumSignificantDigits: 5 });
const problem = (place, text) => {
  const p = element("p", text, "problem");
  p.setAttribute("role", "alert");
  place.replaceChildren(p);
};
async function told(response) {
  try { return (await response.json()).detail ?? response.statusText; } catch { return `The server answered ${response.status}.`; }
}

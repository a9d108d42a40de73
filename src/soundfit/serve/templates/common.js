"use strict";
const SILENT = "The server does not answer; is soundfit serve still running?";
const say = (text, values = {}) => (WORDS[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);
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
  try { return (await response.json()).detail ?? response.statusText; } catch { return say("The server answered {status}.", { status: response.status }); }
}

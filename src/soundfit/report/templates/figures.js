"use strict";
// Draws each figure from its data with Observable Plot, in the colours of the page's style sheet.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const ink = { training: "var(--training)", validation: "var(--validation)", test: "var(--test)",
    baseline: "var(--baseline)", chosen: "var(--chosen)", card: "var(--card)", muted: "var(--muted)" };
  const several = ["var(--training)", "var(--validation)", "var(--test)", "var(--baseline)", "#cc79a7", "#56b4e9", "#e69f00", "#a0a000"];
  const big = d3.format("~s");
  const whole = (v) => (Math.abs(v) >= 1e4 ? big(v).replace("G", "B") : d3.format(",~r")(+v.toPrecision(3)));
  const fine = (v) => (v === 0 ? "0" : Math.abs(v) >= 1e4 ? big(v) : Math.abs(v) >= 1e-4 ? d3.format(",~r")(+v.toPrecision(4)) : v.toExponential(1).replace(".0e", "e"));
  const share = d3.format(".1~%");
  const present = (key) => (d) => d[key] !== null && d[key] !== undefined && Number.isFinite(d[key]);
  const wide = (values) => { const [a, b] = d3.extent(values); return a > 0 && b / a > 12; };

  // Ticks of a log scale at 1, 2, 5 × powers of ten, thinned to what fits; even ones where it is short.
  const logTicks = (values, most) => {
    const [a, b] = d3.extent(values);
    const at = (steps) => d3.range(Math.floor(Math.log10(a)), Math.ceil(Math.log10(b)) + 1)
      .flatMap((e) => steps.map((s) => s * 10 ** e)).filter((v) => v >= a * 0.999 && v <= b * 1.001);
    return [[1, 2, 5], [1, 3], [1]].map(at).find((t) => t.length <= most && t.length >= 2) ?? d3.ticks(a, b, Math.min(most, 5));
  };
  const frame = (figure, width, height, rest) => Plot.plot({
    width, height, marginLeft: 50, marginRight: 16, marginTop: 14, marginBottom: 38,
    ariaLabel: `${figure.label}. ${figure.sentence}`, style: { background: "none", fontSize: "12px", color: "inherit" }, ...rest,
  });
  const axes = (d, yFormat, xFormat, xTicks, yTicks = 5) => [
    Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks: yTicks }),
    Plot.axisY({ ticks: yTicks, tickFormat: yFormat, tickSize: 0, label: null, color: ink.muted }),
    Plot.axisX({ ticks: xTicks ?? 5, tickFormat: xFormat, tickSize: 4, label: d.x.label, labelAnchor: "center", labelArrow: "none",
      color: ink.muted }),
  ];
  const yFormat = (d) => (d.y.fraction ? share : fine);
  const errorBars = (points, x) => {
    const known = points.filter((p) => present("se")(p) && p.se > 0);
    return Plot.ruleX(known, { x, y1: (p) => p.validation - p.se, y2: (p) => p.validation + p.se,
      stroke: ink.validation, strokeWidth: 1.6, strokeOpacity: 0.75 });
  };
  const pairOfLines = (points, x, size) => [
    Plot.lineY(points.filter(present("training")), { x, y: "training", stroke: ink.training, strokeWidth: 2, strokeDasharray: "5 4" }),
    Plot.dot(points.filter(present("training")), { x, y: "training", fill: ink.card, stroke: ink.training, strokeWidth: 1.6, r: size }),
    Plot.lineY(points, { x, y: "validation", stroke: ink.validation, strokeWidth: 2.2 }),
    errorBars(points, x),
    Plot.dot(points, { x, y: "validation", fill: ink.validation, r: size }),
  ];
  const ring = (at, x, y) => [
    Plot.ruleX([at], { x, stroke: ink.chosen, strokeOpacity: 0.4, strokeDasharray: "2 3" }),
    Plot.dot([at], { x, y, r: 7.5, stroke: ink.chosen, strokeWidth: 2.2, fill: "none" }),
  ];
  const tip = (points, x, y, title) => Plot.tip(points, Plot.pointerX({ x, y, title, fill: ink.card, stroke: "var(--line)" }));
  const both = (d, format, name) => (p) => [name(p), `${d.words.training}: ${p.training === null ? "–" : format(p.training)}`,
    `${d.words.validation}: ${format(p.validation)}${p.se ? ` ± ${format(p.se)}` : ""}`].join("\n");

  // Room for names beside horizontal marks; longer ones are cut, and whole in the table of numbers.
  const lanes = (names, width, most = 0.36) => {
    const size = (text) => d3.sum(text, (c) => (c.charCodeAt(0) > 0x2e7f ? 12.5 : 6.9));
    const room = Math.min(d3.max(names, size) + 14, width * most);
    const cut = (text) => {
      if (size(text) <= room - 10) return text;
      let end = text.length;
      while (end > 1 && size(text.slice(0, end)) > room - 20) end -= 1;
      return `${text.slice(0, end)}…`;
    };
    return { marginLeft: room, cut };
  };

  const draw = {
    bars(figure, width) {
      const d = figure.data, names = d.bars.map((b) => b.name), place = lanes(names, width);
      return frame(figure, width, names.length * 25 + 52, {
        marginLeft: place.marginLeft, y: { type: "band", domain: names, padding: 0.3, label: null },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: Math.floor(width / 90) }),
          Plot.axisY({ tickSize: 0, color: ink.muted, tickFormat: place.cut }),
          Plot.axisX({ ticks: Math.floor(width / 90), tickFormat: fine, label: d.x.label, labelAnchor: "center", labelArrow: "none", color: ink.muted }),
          Plot.barX(d.bars, { y: "name", x: "x", fill: ink.validation, fillOpacity: 0.55 }),
          Plot.ruleX([0], { stroke: ink.muted }),
          Plot.ruleY(d.bars.filter(present("low")), { y: "name", x1: "low", x2: "high", stroke: ink.chosen, strokeWidth: 1.8 }),
          Plot.tip(d.bars, Plot.pointerY({ y: "name", x: "x", fill: ink.card, stroke: "var(--line)",
            title: (b) => `${b.name}: ${fine(b.x)}${present("low")(b) ? `\n${d.words.interval}: ${fine(b.low)} – ${fine(b.high)}` : ""}` })),
        ],
      });
    },
    effect(figure, width) {
      const d = figure.data, format = yFormat(d), most = d3.max(d.points, (p) => p.rows);
      const points = d.points.map((p, i) => ({ ...p, x: d.even ? i : d.date ? new Date(p.x) : p.x }));
      const bars = points.slice(1).map((p, i) => ({ from: points[i].x, to: p.x, rows: p.rows }));
      const [low, high] = d3.extent([...points.map((p) => p.y), d.mean]), foot = low - (high - low) * 0.2;
      const step = Math.ceil((points.length * 46) / width), named = d3.range(0, points.length, step);
      const place = d.years ? String : whole;
      return frame(figure, width, 225, {
        x: { type: d.date ? "utc" : "linear", insetLeft: 8, insetRight: 8 }, y: { domain: [foot, high], nice: true },
        marks: [...axes(d, format, d.even ? (i) => place(d.points[i].x) : d.date ? undefined : place, d.even ? named : Math.floor(width / 75)),
          ...(d.even ? [] : [Plot.rect(bars, { x1: "from", x2: "to", y1: foot, y2: (b) => foot + (high - low) * 0.16 * Math.sqrt(b.rows / most), fill: ink.baseline, fillOpacity: 0.25, inset: 0.5 })]),
          Plot.ruleY([d.mean], { stroke: ink.baseline, strokeWidth: 1.6, strokeDasharray: "5 4" }),
          Plot.lineY(points, { x: "x", y: "y", stroke: ink.validation, strokeWidth: 2.2 }),
          Plot.dot(points, { x: "x", y: "y", fill: ink.validation, r: 2.6 }),
          tip(points, "x", "y", (p) => `${figure.label} ${p.name}: ${format(p.y)}`)],
      });
    },
    levels(figure, width) {
      const d = figure.data, format = yFormat(d), names = d.points.map((p) => p.name), place = lanes(names, width, 0.4);
      return frame(figure, width, names.length * 23 + 54, {
        marginLeft: place.marginLeft, x: { nice: true, insetLeft: 8, insetRight: 8 }, y: { type: "band", domain: names, padding: 0.2, label: null },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks: Math.floor(width / 90) }),
          Plot.axisY({ tickSize: 0, color: ink.muted, tickFormat: place.cut }),
          Plot.axisX({ ticks: Math.floor(width / 90), tickFormat: format, label: d.x.label, labelAnchor: "center", labelArrow: "none", color: ink.muted }),
          Plot.ruleX([d.mean], { stroke: ink.baseline, strokeWidth: 1.6, strokeDasharray: "5 4" }),
          Plot.ruleY(d.points.filter(present("observed")), { y: "name", x1: "x", x2: "observed", stroke: ink.baseline, strokeOpacity: 0.6 }),
          Plot.dot(d.points.filter(present("observed")), { y: "name", x: "observed", fill: ink.card, stroke: ink.baseline, strokeWidth: 2, r: 4.5 }),
          Plot.dot(d.points, { y: "name", x: "x", fill: ink.validation, stroke: ink.card, r: 5.5 }),
          Plot.tip(d.points, Plot.pointerY({ y: "name", x: "x", fill: ink.card, stroke: "var(--line)",
            title: (p) => `${p.name}: ${format(p.x)}${present("observed")(p) ? `\n${d.words.observed}: ${format(p.observed)}` : ""}\n${p.rows} ${d.words.rows}` })),
        ],
      });
    },
    curve(figure, width) {
      const d = figure.data, format = yFormat(d), xs = d.points.map((p) => p.x);
      const ys = d.points.flatMap((p) => [p.training, p.validation]).filter((v) => v > 0);
      const ticks = d.x.log ? logTicks(xs, Math.floor(width / 62)) : 5;
      const log = wide(ys) && ys.length === 2 * d.points.length;
      return frame(figure, width, 225, {
        x: { type: d.x.log ? "log" : "linear", nice: false, insetLeft: 8, insetRight: 8 },
        y: { type: log ? "log" : "linear", nice: !log },
        marks: [...axes(d, format, whole, ticks, log ? logTicks(ys, 6) : 5), ...pairOfLines(d.points, "x", 3.2),
          ...(d.chosen && d.chosen.y !== null ? ring(d.chosen, "x", "y") : []),
          tip(d.points, "x", "validation", both(d, format, (p) => `${p.name && p.name !== "–" ? p.name + ", " : ""}${whole(p.x)} ${d.x.label}`))],
      });
    },
    path(figure, width) {
      const d = figure.data, format = yFormat(d);
      return frame(figure, width, 225, {
        x: { type: "linear", insetLeft: 12, insetRight: 12 }, y: { nice: true },
        marks: [...axes(d, format, (i) => d.points[i]?.tick ?? "", d.points.map((p) => p.at)), ...pairOfLines(d.points, "at", 3.2),
          tip(d.points, "at", "validation", both(d, format, (p) => `${d.x.label} ${p.tick}`))],
      });
    },
    epochs(figure, width) {
      const d = figure.data, shown = d.mean.filter(present("validation"));
      const ys = d.mean.flatMap((p) => [p.training, p.validation]).filter(Number.isFinite);
      const log = wide(ys);
      const low = d3.min(ys), high = log ? d3.max(ys) : Math.min(d3.max(ys), d3.quantile(ys, 0.97) * 1.5);
      return frame(figure, width, 225, {
        x: { insetLeft: 4, insetRight: 4 }, y: { type: log ? "log" : "linear", domain: log ? [low, high] : [Math.min(low * 0.95, low), high], nice: !log },
        marks: [...axes(d, fine, whole, Math.floor(width / 62), log ? logTicks(ys, 6) : 5),
          Plot.lineY(d.thin.filter(present("y")), { x: "x", y: "y", z: "member", stroke: ink.validation, strokeOpacity: 0.28, strokeWidth: 1, clip: true }),
          Plot.lineY(d.mean.filter(present("training")), { x: "x", y: "training", stroke: ink.training, strokeWidth: 2, strokeDasharray: "5 4", clip: true }),
          Plot.lineY(shown, { x: "x", y: "validation", stroke: ink.validation, strokeWidth: 2.4, clip: true }),
          ...ring(d.best, "x", "y"),
          tip(shown, "x", "validation", both(d, fine, (p) => `${d.x.label} ${p.x}`))],
      });
    },
    folds(figure, width) {
      const d = figure.data, format = yFormat(d), few = d.points.length <= 12;
      return frame(figure, width, 225, {
        x: { type: "linear", domain: [0.4, d.points.length + 0.6] },
        y: { nice: true, zero: false },
        marks: [...axes(d, format, (v) => (Number.isInteger(v) ? v : ""), few ? d.points.map((p) => p.fold) : 8),
          ...(d.se ? [Plot.rect([d], { x1: 0.4, x2: d.points.length + 0.6, y1: d.mean - d.se, y2: d.mean + d.se, fill: ink.validation, fillOpacity: 0.16 })] : []),
          Plot.ruleY([d.mean], { stroke: ink.validation, strokeWidth: 1.6 }),
          ...(d.baseline ? [Plot.ruleY([d.baseline.y], { stroke: ink.baseline, strokeWidth: 1.8, strokeDasharray: "5 4" })] : []),
          Plot.ruleX(d.points.filter(present("other")), { x: "fold", y1: "y", y2: "other", stroke: ink.baseline, strokeOpacity: 0.6 }),
          Plot.dot(d.points.filter(present("other")), { x: "fold", y: "other", fill: ink.card, stroke: ink.baseline, strokeWidth: 2, r: few ? 4.5 : 3 }),
          Plot.dot(d.points, { x: "fold", y: "y", fill: ink.validation, stroke: ink.card, r: few ? 6 : 3.5 }),
          tip(d.points, "fold", "y", (p) => `${d.x.label} ${p.fold}: ${format(p.y)}${present("other")(p) ? `\n${d.other}: ${format(p.other)}` : ""}`)],
      });
    },
    split(figure, width) {
      const d = figure.data, place = lanes(d.lanes, width, 0.34);
      return frame(figure, width, d.lanes.length * 20 + 58, {
        marginLeft: place.marginLeft,
        x: { domain: [0, d.n] }, y: { type: "band", domain: d.lanes, padding: 0.16, label: null },
        marks: [
          Plot.axisY({ tickSize: 0, color: ink.muted, tickFormat: place.cut }),
          Plot.axisX({ ticks: Math.floor(width / 90), tickFormat: whole, label: d.x.label, labelAnchor: "center", labelArrow: "none", color: ink.muted }),
          Plot.barX(d.cells, { y: "lane", x1: "from", x2: "to", insetRight: 0.4, fill: (c) => ink[c.colour], fillOpacity: (c) => 0.1 + 0.9 * c.share }),
        ],
        opacity: { type: "identity" }, color: { type: "identity" },
      });
    },
    scatter(figure, width) {
      const d = figure.data, points = d.points.map(([row, x, y]) => ({ row, x, y }));
      const ends = d3.extent(points.flatMap((p) => [p.x, p.y]));
      const type = d.log ? "log" : "linear", ticks = d.log ? logTicks(ends, Math.floor(width / 70)) : 5;
      return frame(figure, width, Math.min(width * 0.8, 380), {
        marginTop: 30,
        x: { type, domain: ends, nice: !d.log }, y: { type, domain: ends, nice: !d.log },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks }), Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks }),
          Plot.axisY({ ticks, tickFormat: whole, tickSize: 0, label: d.y.label, labelArrow: "none", color: ink.muted }),
          Plot.axisX({ ticks, tickFormat: whole, label: d.x.label, labelAnchor: "center", labelArrow: "none", color: ink.muted }),
          Plot.dot(points, { x: "x", y: "y", r: 2.2, fill: ink.validation, fillOpacity: points.length > 400 ? 0.35 : 0.6 }),
          Plot.line([[ends[0], ends[0]], [ends[1], ends[1]]], { stroke: ink.baseline, strokeWidth: 1.6, strokeDasharray: "5 4" }),
          Plot.tip(points, Plot.pointer({ x: "x", y: "y", fill: ink.card, stroke: "var(--line)",
            title: (p) => `${d.words.row} ${p.row}\n${d.words.true}: ${fine(p.x)}\n${d.words.predicted}: ${fine(p.y)}` })),
        ],
      });
    },
    reliability(figure, width) {
      const d = figure.data;
      const ends = d.unit ? [0, 1] : d3.extent(d.points.flatMap((p) => [p.x, p.low, p.high]));
      const type = d.log ? "log" : "linear", format = d.unit ? d3.format(".0%") : whole;
      const ticks = d.log ? logTicks(ends, Math.floor(width / 70)) : 5, most = d3.max(d.points, (p) => p.n);
      return frame(figure, width, Math.min(width * 0.8, 380), {
        marginTop: 30,
        x: { type, domain: ends, nice: !d.unit && !d.log }, y: { type, domain: ends, nice: !d.unit && !d.log }, r: { type: "identity" },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1, ticks }), Plot.gridY({ stroke: "var(--line)", strokeOpacity: 1, ticks }),
          Plot.axisY({ ticks, tickFormat: format, tickSize: 0, label: d.y.label, labelArrow: "none", color: ink.muted }),
          Plot.axisX({ ticks, tickFormat: format, label: d.x.label, labelAnchor: "center", labelArrow: "none", color: ink.muted }),
          Plot.line([[ends[0], ends[0]], [ends[1], ends[1]]], { stroke: ink.baseline, strokeWidth: 1.6, strokeDasharray: "5 4" }),
          Plot.ruleX(d.points, { x: "x", y1: "low", y2: "high", stroke: ink.validation, strokeWidth: 1.8 }),
          Plot.dot(d.points, { x: "x", y: "y", fill: ink.validation, r: (p) => 3 + 4 * Math.sqrt(p.n / most) }),
          tip(d.points, "x", "y", (p) => `${format(p.x)} → ${format(p.y)}\n${p.n} ${d.words.rows}`),
        ],
      });
    },
    strip(figure, width) {
      const d = figure.data, format = yFormat(d);
      const place = lanes(d.names, width), row = { y: "run" };
      return frame(figure, width, d.names.length * 42 + 58, {
        marginLeft: place.marginLeft, x: { nice: true }, y: { type: "band", domain: d.names, padding: 0.2, label: null },
        marks: [
          Plot.gridX({ stroke: "var(--line)", strokeOpacity: 1 }), Plot.axisY({ tickSize: 0, color: ink.muted, tickFormat: place.cut }),
          Plot.axisX({ ticks: Math.floor(width / 90), tickFormat: format, label: d.x.label, labelAnchor: "center", labelArrow: "none", color: ink.muted }),
          Plot.barX(d.means, { ...row, x1: (m) => m.x - m.se, x2: (m) => m.x + m.se, fill: ink.validation, fillOpacity: 0.22 }),
          Plot.tickX(d.means, { ...row, x: "x", stroke: ink.validation, strokeWidth: 2.4 }),
          Plot.dot(d.points, { ...row, x: "x", fill: ink.validation, stroke: ink.card, r: 5 }),
          Plot.tip(d.points, Plot.pointer({ ...row, x: "x", fill: ink.card, stroke: "var(--line)", title: (p) => `${p.run}\n${d.words.fold} ${p.fold}: ${format(p.x)}` })),
        ],
      });
    },
    lines(figure, width) {
      const d = figure.data, format = yFormat(d), points = d.series.flatMap((s) => s.points.map((p) => ({ ...p, name: s.name, colour: ink[s.colour] })));
      const xs = points.map((p) => p.x), ys = points.map((p) => p.y), names = new Map(d.x.ticks);
      const most = Math.floor(width / 62), counted = xs.every(Number.isInteger); // no half layers, steps or rows
      const ticks = names.size ? [...names.keys()] : d.x.log ? logTicks(xs, most)
        : counted ? d3.ticks(...d3.extent(xs), most).filter(Number.isInteger) : most;
      const yTicks = d.y.log ? logTicks(ys, 7) : 5; // over many decades: every few powers of ten
      const low = Math.floor(Math.log10(d3.min(ys))), high = Math.ceil(Math.log10(d3.max(ys))), step = Math.ceil((high - low) / 6);
      const thinned = d.y.log && high - low > 6 ? d3.range(low, high + 1, step).map((e) => 10 ** e) : yTicks;
      const line = (s, rest) => Plot.lineY(s.points, { x: "x", y: "y", stroke: ink[s.colour], strokeWidth: 2.2, ...rest });
      return frame(figure, width, 290, {
        x: { type: d.x.log ? "log" : "linear", insetLeft: 10, insetRight: 10 },
        y: { type: d.y.log ? "log" : "linear", nice: !d.y.log, ...(thinned === yTicks ? {} : { domain: [10 ** low, 10 ** high] }) },
        marks: [...axes(d, format, names.size ? (v) => names.get(v) ?? "" : whole, ticks, thinned),
          ...d.series.filter((s) => s.mark !== "dot").map((s) => line(s, s.mark === "dash" ? { strokeDasharray: "5 4" } : {})),
          Plot.ruleX(points.filter((p) => p.se > 0 && (!d.y.log || p.y > p.se)), { x: "x", y1: (p) => p.y - p.se, y2: (p) => p.y + p.se, stroke: (p) => p.colour, strokeOpacity: 0.7 }),
          Plot.dot(points.filter((p) => xs.length < 160 || d.series.find((s) => s.name === p.name).mark === "dot"), { x: "x", y: "y", fill: (p) => p.colour, r: 3 }),
          Plot.tip(points, Plot.pointer({ x: "x", y: "y", fill: ink.card, stroke: "var(--line)",
            title: (p) => `${p.name}\n${d.x.label}: ${names.get(p.x) ?? whole(p.x)}\n${d.y.label}: ${format(p.y)}${p.se ? ` ± ${format(p.se)}` : ""}` }))],
        color: { type: "identity" },
      });
    },
    series(figure, width) {
      const d = figure.data;
      return frame(figure, width, 260, {
        x: {}, y: { type: wide(d.points.map((p) => p.y)) ? "log" : "linear" }, color: { domain: d.names, range: several, legend: d.names.length > 1 },
        marks: [...axes(d, fine, whole, Math.floor(width / 62)), Plot.lineY(d.points, { x: "x", y: "y", z: "name", stroke: "name", strokeWidth: 1.8 }),
          tip(d.points, "x", "y", (p) => `${p.name}, ${d.x.label} ${p.x}: ${fine(p.y)}`)],
      });
    },
  };

  const widths = new WeakMap();
  const render = (place) => {
    const figure = figures[place.dataset.figure], width = Math.floor(place.clientWidth);
    if (!figure || !draw[figure.kind] || width < 60 || widths.get(place) === width) return;
    widths.set(place, width);
    const drawn = draw[figure.kind](figure, width);
    const svg = drawn.tagName.toLowerCase() === "svg" ? drawn : drawn.querySelector("svg:last-of-type");
    svg.setAttribute("role", "img");
    svg.querySelectorAll("[aria-label]").forEach((part) => part.removeAttribute("aria-label")); // one image, one name
    place.replaceChildren(drawn);
  };
  const places = [...document.querySelectorAll("[data-figure]")];
  places.forEach(render);
  let waiting = 0;
  new ResizeObserver(() => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => {
    if (!matchMedia("print").matches) places.forEach(render); }); }).observe(document.body);
})();

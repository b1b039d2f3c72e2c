// Small line charts: crisp at any width, read by pointer and by arrow keys.

/** At most five round values that span a range. */
function ticks(low, high, most = 4) {
  if (!(high > low)) return [low];
  const raw = (high - low) / most;
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * size).find((v) => v >= raw - 1e-12);
  const found = [];
  for (let v = Math.ceil(low / step - 1e-9) * step; v <= high + step * 1e-6; v += step) found.push(Math.abs(v) < step * 1e-6 ? 0 : v);
  return found;
}
const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
const rolling = (points, width) => points.map(([x], i) => [x, mean(points.slice(Math.max(0, i - width + 1), i + 1).map((p) => p[1]))]);

/**
 * What is below 1e-9 is the noise of floats, and drawn as 0.
 * series: [{ name, points: [[x, y]], smooth }]; marks: [{ x, y, low, high, name, legend }]; `zero`: the axis begins at 0.
 */
function chart({ title, about, series, marks = [], range, zero, format = short, xLabel, xFormat = short }) {
  series = series.map((one) => ({ ...one, points: one.points.filter(([x, y]) => isNumber(x) && isNumber(y)).map(([x, y]) => [x, Math.abs(y) < 1e-9 ? 0 : y]) })).filter((one) => one.points.length);
  if (!series.length) return null;
  const lines = series.map((one) => ({ ...one, drawn: one.smooth && one.points.length > 12 ? rolling(one.points, 5) : one.points }));
  const xs = [...new Set(series.flatMap((one) => one.points.map((p) => p[0])))].sort((a, b) => a - b);
  const ys = series.flatMap((one) => one.points.map((p) => p[1])).concat(marks.flatMap((m) => [m.low ?? m.y, m.high ?? m.y]));
  let [low, high] = range || [Math.min(...ys), Math.max(...ys)];
  if (!range) {
    if (low > 0 && (zero || low < high * 0.6)) low = 0;
    if (high === low) [low, high] = high > 0 ? [0, high * 1.2] : [low, low + 1];
    const room = Math.max(high - low, Math.abs(high) * 0.02) * 0.08;
    high += room;
    if (low !== 0) low -= room;
  }
  const [first, last] = [Math.min(xs[0], ...marks.map((m) => m.x)), Math.max(xs[xs.length - 1], ...marks.map((m) => m.x))];
  const svg = s("svg", { role: "img", tabindex: "0", height: 150, "aria-label": `${title}: ${series.map((one) => `${one.name || title} from ${format(one.points[0][1])} to ${format(one.points[one.points.length - 1][1])}`).join("; ")}` });
  const head = lines[0].drawn[lines[0].drawn.length - 1][1];
  const box = h("figure", { class: "chart" },
    h("div", { class: "head" }, h("h4", {}, title), h("span", { class: "last" }, format(head))),
    h("div", { class: "about" }, about || " "),
    series.length > 1 || marks.length ? h("div", { class: "legend" },
      series.map((one, i) => h("span", {}, s("svg", { viewBox: "0 0 20 6", "aria-hidden": "true" }, s("line", { class: `line s${i}`, x1: 0, x2: 20, y1: 3, y2: 3 })), one.name)),
      marks.length > 0 && h("span", {}, s("svg", { viewBox: "0 0 20 6", "aria-hidden": "true" }, s("line", { class: "whisker", x1: 4, x2: 16, y1: 3, y2: 3 }), s("circle", { cx: 10, cy: 3, r: 3, class: "dot0" })), marks[0].legend)) : null,
    svg);
  let place;
  const draw = () => {
    const width = Math.max(180, svg.clientWidth || box.clientWidth || 260);
    const left = 12 + 6.4 * Math.max(...ticks(low, high).map((y) => format(y).length));
    const [right, top, bottom] = [8, 8, 22];
    const [w, height] = [width - left - right, 150 - top - bottom];
    const X = (x) => left + (last > first ? ((x - first) / (last - first)) * w : w / 2);
    const Y = (y) => top + (1 - (y - low) / (high - low || 1)) * height;
    place = { X, Y, width };
    svg.setAttribute("viewBox", `0 0 ${width} 150`);
    svg.replaceChildren();
    for (const y of ticks(low, high)) {
      svg.append(s("line", { class: "grid", x1: left, x2: width - right, y1: Y(y), y2: Y(y) }), s("text", { x: left - 6, y: Y(y) + 3.5, "text-anchor": "end" }, format(y)));
    }
    svg.append(s("line", { class: "axis", x1: left, x2: width - right, y1: top + height, y2: top + height }));
    const shown = ticks(first, last, Math.max(2, Math.floor(w / 75)));
    for (const x of shown) {
      svg.append(s("line", { class: "axis", x1: X(x), x2: X(x), y1: top + height, y2: top + height + 3 }), s("text", { x: X(x), y: 150 - 5, "text-anchor": X(x) > width - 24 ? "end" : "middle" }, xFormat(x)));
    }
    const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${X(x).toFixed(1)} ${Y(Math.min(high, Math.max(low, y))).toFixed(1)}`).join("");
    lines.forEach((one, i) => {
      if (one.drawn !== one.points) svg.append(s("path", { class: `line raw s${i}`, d: path(one.points) }));
      svg.append(one.drawn.length > 1 ? s("path", { class: `line s${i}`, d: path(one.drawn) }) : s("circle", { class: `dot${i}`, cx: X(one.drawn[0][0]), cy: Y(one.drawn[0][1]), r: 3 }));
    });
    for (const m of marks) {
      if (isNumber(m.low)) svg.append(s("line", { class: "whisker", x1: X(m.x), x2: X(m.x), y1: Y(m.low), y2: Y(m.high) }));
      svg.append(s("circle", { class: "dot0", cx: X(m.x), cy: Y(m.y), r: 3.5 }, s("title", {}, m.name)));
    }
    cursor = s("g", {});
    svg.append(cursor);
  };
  let cursor, at = null;
  const read = (index, clientX, clientY) => {
    at = Math.max(0, Math.min(xs.length - 1, index));
    const x = xs[at];
    cursor.replaceChildren(s("line", { class: "cursor", x1: place.X(x), x2: place.X(x), y1: 8, y2: 128 }));
    const said = [`${xLabel} ${xFormat(x)}`];
    lines.forEach((one, i) => {
      // Series do not always share their x: the nearest point of each, as far as it reaches.
      const k = one.points.reduce((best, p, j) => (Math.abs(p[0] - x) < Math.abs(one.points[best][0] - x) ? j : best), 0);
      if (x < one.points[0][0] || x > one.points[one.points.length - 1][0]) return;
      cursor.append(s("circle", { class: `dot${i}`, cx: place.X(one.points[k][0]), cy: place.Y(one.drawn[k][1]), r: 3.5 }));
      const smooth = one.drawn === one.points ? "" : ` (mean of 5: ${format(one.drawn[k][1])})`;
      said.push(`${one.name || title}: ${format(one.points[k][1])}${smooth}`);
    });
    for (const m of marks) if (m.x === x) said.push(m.name);
    const area = svg.getBoundingClientRect();
    showTip(said.join("\n"), clientX ?? area.left + place.X(x), clientY ?? area.top + 20);
  };
  const leave = () => { if (cursor) cursor.replaceChildren(); at = null; hideTip(); };
  svg.addEventListener("pointermove", (event) => {
    const x = event.clientX - svg.getBoundingClientRect().left;
    let best = 0;
    xs.forEach((value, i) => { if (Math.abs(place.X(value) - x) < Math.abs(place.X(xs[best]) - x)) best = i; });
    read(best, event.clientX, event.clientY);
  });
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("blur", leave);
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -1e9, End: 1e9 }[event.key];
    if (event.key === "Escape") leave();
    if (!move) return;
    event.preventDefault();
    read(at == null ? (move > 0 ? 0 : xs.length - 1) : at + move);
  });
  new ResizeObserver(draw).observe(svg);
  draw();
  return box;
}

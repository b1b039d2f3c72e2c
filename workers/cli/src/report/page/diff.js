// Differences of two texts: by line, and inside a changed line by word.

/** Steps `[kind, a, b]` (`=`, `-`, `+`) of a shortest edit by longest common subsequence. */
function edits(a, b) {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let [endA, endB] = [a.length, b.length];
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { endA--; endB--; }
  const [n, m] = [endA - start, endB - start];
  const steps = a.slice(0, start).map((x) => ["=", x]);
  // Far apart and long: not worth a table of millions.
  if (n * m > 4e6) {
    steps.push(...a.slice(start, endA).map((x) => ["-", x]), ...b.slice(start, endB).map((x) => ["+", x]));
  } else {
    const long = Array.from({ length: n + 1 }, () => new Uint32Array(m + 1));
    for (let i = n - 1; i >= 0; i--) {
      for (let j = m - 1; j >= 0; j--) {
        long[i][j] = a[start + i] === b[start + j] ? long[i + 1][j + 1] + 1 : Math.max(long[i + 1][j], long[i][j + 1]);
      }
    }
    let [i, j] = [0, 0];
    while (i < n || j < m) {
      if (i < n && j < m && a[start + i] === b[start + j]) { steps.push(["=", a[start + i]]); i++; j++; }
      else if (j >= m || (i < n && long[i + 1][j] >= long[i][j + 1])) steps.push(["-", a[start + i++]]);
      else steps.push(["+", b[start + j++]]);
    }
  }
  return steps.concat(a.slice(endA).map((x) => ["=", x]));
}

/** Two versions of a line, each with what is not in the other marked. */
function wordDiff(before, after) {
  const split = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) || [];
  const steps = edits(split(before), split(after));
  const side = (kind, element) => {
    const out = [];
    for (const [k, text] of steps) {
      if (k === "=") out.push(text);
      else if (k === kind) out.push(h(element, {}, text));
    }
    return out;
  };
  return [side("-", "del"), side("+", "ins")];
}

/** A unified difference with two lines around each change. */
function diffView(before, after) {
  const steps = edits(before.split("\n"), after.split("\n"));
  const rows = [];
  for (let i = 0; i < steps.length;) {
    if (steps[i][0] === "=") { rows.push(["", [steps[i][1]]]); i++; continue; }
    const [cut, add] = [[], []];
    while (i < steps.length && steps[i][0] !== "=") { (steps[i][0] === "-" ? cut : add).push(steps[i][1]); i++; }
    const paired = Math.min(cut.length, add.length);
    const words = Array.from({ length: paired }, (_, k) => wordDiff(cut[k], add[k]));
    cut.forEach((line, k) => rows.push(["cut", k < paired ? words[k][0] : [line]]));
    add.forEach((line, k) => rows.push(["add", k < paired ? words[k][1] : [line]]));
  }
  const near = rows.map((_, i) => rows.slice(Math.max(0, i - 2), i + 3).some(([kind]) => kind));
  const out = [];
  for (let i = 0; i < rows.length;) {
    if (near[i]) { out.push(h("div", { class: "l " + rows[i][0] }, h("span", {}, rows[i][1].length ? rows[i][1] : " "))); i++; continue; }
    const from = i;
    while (i < rows.length && !near[i]) i++;
    out.push(h("div", { class: "gap" }, `${plural(i - from, "line")} the same`));
  }
  return h("div", { class: "diff", tabindex: "0", role: "group", "aria-label": "What changed" }, out);
}

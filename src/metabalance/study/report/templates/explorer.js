"use strict";
for (const root of document.querySelectorAll(".explorer")) {
  const data = JSON.parse(root.querySelector("script").textContent);
  const find = (name) => root.querySelector(`[data-x="${name}"]`);
  const slider = find("slider"), typed = find("typed"), which = find("class");
  let set, last, spoken;

  // An empty field means: as in these data. What makes no sense is marked and ignored.
  const read = (name, fallback, allowed) => {
    const field = find(name), value = field.value.trim() === "" ? fallback : Number(field.value);
    const sound = Number.isFinite(value) && allowed(value);
    field.setAttribute("aria-invalid", String(!sound));
    return sound ? value : fallback;
  };
  const group = (text) => text.replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
  const write = (value, digits) => {
    if (!Number.isFinite(value)) return "undefined";
    const [whole, rest] = (Number.isInteger(value) ? String(value) : value.toFixed(digits)).split(".");
    return (group(whole) + (rest ? "." + rest : "")).replace("-", "\u2212");
  };
  const show = (name, value, text) => {
    const place = find(name);
    place.value = String(value);
    place.textContent = text;
  };
  const share = (value) => (Number.isFinite(value) ? (100 * value).toPrecision(3) + " %" : "undefined");
  // Wilson 1927, 95 %, as metabalance.judge.wilson_interval; written where rows were counted.
  const wilson = (found, of) => {
    if (data.weighted || !(of > 0)) return "";
    const z2 = 1.959963984540054 ** 2, p = found / of, middle = (p + z2 / (2 * of)) / (1 + z2 / of);
    const half = (Math.sqrt(z2) * Math.sqrt((p * (1 - p)) / of + z2 / (4 * of * of))) / (1 + z2 / of);
    const ends = [found === 0 ? 0 : middle - half, found === of ? 1 : middle + half];
    return "[" + ends.map((end) => (100 * end).toFixed(1)).join(", ") + "]";
  };
  const setting = () => {
    const P = set.true[0], N = set.false[0], cost = {};
    for (const name of ["fn", "fp", "tp", "tn"]) cost[name] = read(name, data.cost[name], () => true);
    const base = P / (P + N);
    const prior = read("share", 100 * base, (v) => v > 0 && v < 100) / 100;
    const rows = read("rows", P + N, (v) => v > 0);
    const own = find("share").value.trim() === "" && find("rows").value.trim() === "";
    return {P, N, cost, own, rows, up: own ? 1 : (prior * rows) / P, un: own ? 1 : ((1 - prior) * rows) / N};
  };
  const at = (i, s) => {
    const tp = set.true[i] * s.up, fp = set.false[i] * s.un, fn = s.P * s.up - tp, tn = s.N * s.un - fp, c = s.cost;
    return {tp, fp, fn, tn, cost: fn * c.fn + fp * c.fp + tp * c.tp + tn * c.tn};
  };
  const name = (i) => (i < set.threshold.length ? String(set.threshold[i]) : "above all scores");

  const draw = (s, costs, best, i) => {
    const top = Math.max(...costs), low = Math.min(...costs), end = costs.length - 1;
    const x = (k) => (600 * k / end).toFixed(1), y = (v) => (10 + 100 * (1 - (v - low) / (top - low || 1))).toFixed(1);
    find("line").setAttribute("points", costs.map((v, k) => x(k) + "," + y(v)).join(" "));
    for (const [mark, k] of [["best", best], ["here", i]]) {
      for (const end of ["x1", "x2"]) find(mark).setAttribute(end, x(k));
    }
  };

  const update = () => {
    const s = setting(), i = Number(slider.value), m = at(i, s), called = m.tp + m.fp;
    const costs = set.true.map((_, k) => at(k, s).cost);
    let best = costs.length - 1;
    for (let k = best; k >= 0; k--) if (costs[k] < costs[best]) best = k;
    last = best;
    const precision = m.tp / called, recall = m.tp / (m.tp + m.fn);
    for (const cell of ["tp", "fp", "fn", "tn"]) show("n-" + cell, m[cell], write(m[cell], 1));
    show("threshold", i < set.threshold.length ? set.threshold[i] : "inf", name(i));
    show("alerts", called, write(called, 1));
    show("precision", precision, share(precision));
    show("recall", recall, share(recall));
    show("f1", (2 * m.tp) / (2 * m.tp + m.fp + m.fn), write((2 * m.tp) / (2 * m.tp + m.fp + m.fn), 3));
    show("fpr", m.fp / (m.fp + m.tn), share(m.fp / (m.fp + m.tn)));
    show("cost", m.cost, write(m.cost, 2));
    show("each", m.cost / s.rows, write(m.cost / s.rows, 4));
    find("recall-range").textContent = wilson(set.true[i], s.P);
    find("precision-range").textContent = s.own ? wilson(set.true[i], set.true[i] + set.false[i]) : "";
    show("best-threshold", best < set.threshold.length ? set.threshold[best] : "inf", name(best));
    show("best-cost", costs[best], write(costs[best], 2));
    show("all-cost", costs[0], write(costs[0], 2));
    show("none-cost", costs[costs.length - 1], write(costs[costs.length - 1], 2));
    slider.setAttribute("aria-valuetext", `threshold ${name(i)}, ${write(called, 1)} alerts`);
    draw(s, costs, best, i);
    clearTimeout(spoken);
    // Said once the hand rests, not at every step.
    spoken = setTimeout(() => {
      find("said").textContent = `Threshold ${name(i)}: ${write(called, 1)} alerts, ${write(m.tp, 1)} right, ` +
        `${write(m.fn, 1)} missed, cost ${write(m.cost, 2)}.`;
    }, 300);
  };
  const choose = () => {
    set = data.sets[which ? Number(which.value) : 0];
    slider.max = String(set.threshold.length);
    find("share").placeholder = (100 * set.true[0] / (set.true[0] + set.false[0])).toPrecision(4);
    find("rows").placeholder = String(set.true[0] + set.false[0]);
  };
  const jump = (i) => {
    slider.value = String(i);
    update();
  };

  choose();
  for (const field of root.querySelectorAll("input")) if (field !== typed) field.addEventListener("input", update);
  typed.addEventListener("change", () => {
    const value = Number(typed.value);
    if (typed.value.trim() === "" || Number.isNaN(value)) return;
    const i = set.score.findIndex((score) => score >= value);
    jump(i < 0 ? set.score.length : i);
  });
  find("go").addEventListener("click", () => jump(last));
  if (which) which.addEventListener("change", () => {
    choose();
    update();
    jump(last);
  });
  root.hidden = false;
  jump(data.start);
}

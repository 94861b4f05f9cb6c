// Bars of the last hour.

import { el, svg } from "/page/dom.js";
import { clock, plural } from "/page/format.js";

const KINDS = ["done", "failed", "cancelled"];
const WIDTH = 600;
const HEIGHT = 120;

/** Jobs per minute, stacked. */
export function bars(minutes) {
  const counts = minutes.done.map((_, at) => KINDS.map((kind) => minutes[kind][at]));
  const totals = counts.map((count) => count.reduce((a, b) => a + b, 0));
  const most = Math.max(...totals, 1);
  const step = WIDTH / counts.length;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  counts.forEach((count, at) => {
    let y = HEIGHT;
    const parts = count.map((n, kind) => {
      const height = n > 0 ? Math.max(2, n / most * (HEIGHT - 4)) : 0;
      y -= height;
      return height > 0 && svg("rect", { class: KINDS[kind], x: at * step + 0.75, y, width: step - 1.5, height });
    });
    const told = count.map((n, kind) => `${n} ${KINDS[kind]}`).filter((_, kind) => count[kind] > 0).join(", ") || "nothing";
    drawing.append(svg("g", {}, svg("title", {}, `${clock(minutes.first_ms + at * 60_000)}: ${told}`),
      svg("rect", { class: "hit", x: at * step, y: 0, width: step, height: HEIGHT }), parts));
  });
  const busiest = totals.indexOf(Math.max(...totals));
  const summary = totals.some((n) => n > 0)
    ? `Busiest minute: ${clock(minutes.first_ms + busiest * 60_000)} with ${plural(totals[busiest], "job")}.`
    : "No job ended in the last hour.";
  return el("figure", { class: "bars" },
    el("div", { class: "scale" }, el("span", {}, totals.some((n) => n > 0) ? `${most} a minute` : "\u00a0")),
    drawing,
    el("div", { class: "axis" }, el("span", {}, clock(minutes.first_ms)), el("span", {}, clock(minutes.first_ms + 30 * 60_000)), el("span", {}, "now")),
    el("figcaption", {}, KINDS.map((kind) => el("span", { class: `key ${kind}` }, kind)), el("span", {}, summary)));
}

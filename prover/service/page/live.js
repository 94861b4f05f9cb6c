// Keeps a page as new as the service is, without getting in the way of who uses it.

import { pause } from "/page/api.js";
import { el } from "/page/dom.js";

const EVERY = 2000;
/** What was not drawn anew for so long is, for the times in it. */
const STALE = 20_000;

// While a key or button is down nothing is drawn: what it began on must still be there when it ends.
let down = false;
for (const type of ["pointerdown", "keydown"]) addEventListener(type, () => { down = true; }, true);
for (const type of ["pointerup", "pointercancel", "keyup", "blur"]) addEventListener(type, () => { down = false; }, true);

const selecting = (place) => {
  const selection = getSelection();
  return selection && !selection.isCollapsed && place.contains(selection.anchorNode);
};

/** Draws; the keyboard and what was scrolled stay where they were. */
function keep(place, show) {
  const active = place.contains(document.activeElement) ? document.activeElement.closest("[id], [href], [aria-label]") : null;
  const attribute = active && ["id", "href", "aria-label"].find((name) => active.hasAttribute(name));
  const name = attribute && `[${attribute}="${CSS.escape(active.getAttribute(attribute))}"]`;
  const scrolled = [...place.querySelectorAll(".scroll")].map((box) => [box.getAttribute("aria-label"), box.scrollLeft]);
  show();
  for (const [label, left] of scrolled) {
    const box = left > 0 && place.querySelector(`.scroll[aria-label="${CSS.escape(label)}"]`);
    if (box) box.scrollLeft = left;
  }
  if (active && !document.contains(active)) place.querySelector(name)?.focus({ preventScroll: true });
}

/** Asks with `load` and draws with `show`, now and again and again until `signal`. Returns a function that does it at once. */
export async function live(place, signal, load, show) {
  const lost = el("p", { class: "lost", role: "status" }, "The service does not answer; trying again.");
  let [drawn, at] = [null, 0];
  const same = (value) => JSON.stringify(value, (name, part) => name === "now_ms" ? undefined : part);
  const draw = async (value) => {
    const text = same(value);
    if (text === drawn && Date.now() - at < STALE) return;
    [drawn, at] = [text, Date.now()];
    keep(place, () => show(value));
  };
  const now = async () => draw(await load());
  await now();
  (async () => {
    for (let wait = EVERY; ;) {
      await pause(wait, signal);
      if (signal.aborted) return;
      if (document.hidden || selecting(place)) continue;
      try {
        const value = await load();
        while (down && !signal.aborted) await pause(50, signal);
        if (signal.aborted) return;
        await draw(value);
        lost.remove();
        wait = EVERY;
      } catch {
        if (signal.aborted) return;
        place.prepend(lost);
        wait = Math.min(wait * 2, 15_000);
      }
    }
  })();
  return now;
}

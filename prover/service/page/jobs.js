// All jobs of the tenant, newest first.

import { json } from "/page/api.js";
import { digest, el, empty, fill, problem, state, table } from "/page/dom.js";
import { ago, bytes, seconds, time } from "/page/format.js";
import { live } from "/page/live.js";

const PAGE = 50;

/** Jobs as a table. */
export function jobTable(jobs) {
  return table("Jobs", ["Job", "State", "Model", "Statement", "Ordered", "Took#", "Proof#"], jobs.map((job) => [
    el("a", { href: `#/jobs/${job.id}`, "aria-label": `Job ${job.id}` }, el("code", {}, job.id.slice(-8))),
    state(job.state),
    el("a", { href: `#/models/${job.model}` }, job.model),
    digest(job.statement, "statement digest"),
    el("time", { title: time(job.created_ms) }, ago(job.created_ms)),
    job.finished_ms ? seconds((job.finished_ms - job.created_ms) / 1000) : "–",
    bytes(job.proof_bytes),
  ]));
}

/** Shows the page. */
export async function jobs(place, _, signal) {
  const body = el("div", { class: "stack" });
  const before = [];
  fill(place, el("h1", {}, "Jobs"), body);
  const turn = (change) => async () => {
    change();
    await now().catch((error) => fill(body, problem(error)));
  };
  const load = () => json(`/v1/jobs?limit=${PAGE}${before.length > 0 ? `&before=${before.at(-1)}` : ""}`, { signal });
  const show = ({ jobs, next }) => fill(body,
    jobs.length > 0 ? el("section", { class: "card" }, jobTable(jobs))
      : empty("No job yet", "A job is the proof of one inference. ", el("a", { href: "#/models" }, "Choose a model"),
        " and run it, or send ", el("code", {}, "POST /v2/models/NAME/infer"), "."),
    (before.length > 0 || next) && el("p", { class: "row" },
      before.length > 0 && el("button", { type: "button", "aria-label": "Newer jobs", onclick: turn(() => before.pop()) }, "← Newer"),
      next && el("button", { type: "button", "aria-label": "Older jobs", onclick: turn(() => before.push(next)) }, "Older →")));
  const now = await live(place, signal, load, show);
}

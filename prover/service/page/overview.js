// How it goes: throughput, queue, failures, models.

import { json } from "/page/api.js";
import { bars } from "/page/chart.js";
import { el, empty, fill, problem, table } from "/page/dom.js";
import { ago, bytes, count, plural, seconds } from "/page/format.js";
import { jobTable } from "/page/jobs.js";
import { live } from "/page/live.js";
import { may } from "/page/session.js";

const CAUSES = {
  deadline: "The deadline passed first", workers_lost: "Workers died", memory: "Not enough memory",
  artefact: "A file of the model is damaged", prover: "The prover refused the input",
  rejected: "The proof was not accepted", storage: "The storage failed",
};

const tile = (name, value, ...more) => el("div", { class: "tile" }, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "more" }, more));

function tiles(now) {
  const models = now.models;
  const busy = (models.uploaded ?? 0) + (models.compiling ?? 0);
  const { median, p95 } = now.proof_after_seconds;
  return el("dl", { class: "tiles" },
    tile("Proofs in the last hour", count(now.hour.done), `${count(now.day.done)} in 24 hours`),
    tile("Queue", count(now.queued), now.proving ? `${count(now.proving)} being proven now` : "nothing is being proven"),
    tile("Failed in 24 hours", el("span", { class: now.day.failed > 0 && "bad" }, count(now.day.failed)),
      `${count(now.day.cancelled)} cancelled`),
    tile("Order to proof, median", seconds(median), p95 === null ? "no proof yet" : `95 % within ${seconds(p95)}`),
    tile("Models ready", count(models.ready ?? 0),
      busy ? `${count(busy)} being compiled` : models.failed ? `${count(models.failed)} failed to compile` : "none is being compiled"));
}

function failures(now) {
  const causes = Object.entries(now.day.failures).sort((a, b) => b[1] - a[1]);
  if (causes.length === 0) return null;
  const recent = (now.recent_failures ?? []).slice(0, 5);
  return el("section", { class: "card" }, el("h2", {}, "Failures of the last 24 hours"),
    table("Failures by cause", ["Cause", "Jobs#"], causes.map(([cause, n]) => [CAUSES[cause] ?? cause, count(n)])),
    recent.length > 0 && [el("h3", {}, "Latest"), el("ul", { class: "failures" }, recent.map((failed) => el("li", {},
      el("a", { href: `#/jobs/${failed.job}` }, failed.model), " ",
      el("span", { class: "quiet" }, ago(failed.at_ms)), el("br"), failed.message)))]);
}

function machine(now) {
  const { process } = now;
  if (!process) return null;
  return el("section", { class: "card" }, el("h2", {}, "This process"), el("dl", { class: "facts" }, [
    ["Up for", seconds(process.uptime_seconds)],
    ["Version", now.version],
    ["Memory", bytes(process.resident_bytes)],
    ["Proves", process.proves ? plural(process.workers, "proof", "proofs") + " at a time" : "no, workers do"],
    ["Memory set aside for proofs", `${bytes(process.proof_memory_bytes)} of ${bytes(process.proof_memory_limit_bytes)}`],
    ["Queue is full at", count(now.limits.queued_jobs)],
    ["Entries of the transparency log", count(now.log_entries)],
  ].map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))));
}

function begin(now, jobs) {
  if (jobs.length > 0) return null;
  const ready = (now.models.ready ?? 0) > 0;
  return empty(ready ? "No job yet" : "No model yet",
    ready ? ["Run a model to order the first proof: ", el("a", { href: "#/models" }, "choose one"), "."]
      : may("admin") ? ["Upload a quantised ONNX model to begin: ", el("a", { href: "#/models" }, "to the models"), "."]
        : "Ask whoever runs this service for a model: your key cannot upload one.");
}

/** Shows the page. */
export async function overview(place, _, signal) {
  let all = may("operator") && !may("infer") && !may("admin");
  const body = el("div", { class: "stack" });
  const choice = el("div", { class: "choice", role: "group", "aria-label": "Whose numbers" });
  fill(place, el("div", { class: "heading" }, el("h1", {}, "Overview"), may("operator") && choice), body);
  const load = () => Promise.all([
    json(all ? "/v1/overview/service" : "/v1/overview", { signal }),
    all ? null : json("/v1/jobs?limit=8", { signal }),
  ]);
  const show = ([now, list]) => fill(body,
    now.draining && el("p", { class: "problem" }, "The service is stopping: it takes no new requests."),
    list && begin(now, list.jobs),
    tiles(now),
    el("section", { class: "card" }, el("h2", {}, "Jobs ended, per minute"), bars(now.minutes)),
    list?.jobs.length > 0 && el("section", { class: "card" }, el("h2", {}, "Latest jobs"), jobTable(list.jobs),
      el("p", {}, el("a", { href: "#/jobs" }, "All jobs"))),
    failures(now), machine(now));
  if (may("operator")) {
    const button = (name, value) => {
      const made = el("button", { type: "button", "aria-pressed": String(all === value) }, name);
      made.addEventListener("click", async () => {
        all = value;
        for (const other of choice.children) other.setAttribute("aria-pressed", String(other === made));
        await now().catch((error) => fill(body, problem(error)));
      });
      return made;
    };
    fill(choice, button("This tenant", false), button("Whole service", true));
  }
  const now = await live(place, signal, load, show);
}

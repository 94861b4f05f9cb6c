// One job: how far it is, its statement, its proof.

import { bytes as download, events, json, post } from "/page/api.js";
import { digest, el, facts, fill, problem, say, state } from "/page/dom.js";
import { save } from "/page/files.js";
import { bytes, seconds, time } from "/page/format.js";
import { may } from "/page/session.js";
import { verdictPanel } from "/page/verdict.js";
import { check } from "/page/verify.js";

const FINAL = ["done", "failed", "cancelled"];

const WORDS = {
  queued: () => "Ordered; waits for a worker",
  leased: (event) => `Being proven (attempt ${event.attempt})`,
  retrying: (event) => `Attempt ended, another follows: ${event.failure.message}`,
  done: () => "Proven, and accepted by the verifier",
  failed: (event) => `Failed: ${event.failure.message}`,
  cancelled: () => "Cancelled",
};
const KINDS = { leased: "proving", retrying: "queued" };

/** The history as a list, growing as it happens. */
function history(expected) {
  const list = el("ol", { class: "history" });
  const bar = el("progress", { max: "1", "aria-label": "Progress of the proof, estimated" });
  const estimate = el("p", { class: "hint" });
  const live = el("div", { class: "live", hidden: true }, bar, estimate);
  let began = null;
  let first = null;
  const tick = () => {
    if (began === null || !live.isConnected) return;
    const passed = (Date.now() - began) / 1000;
    // By the time of the trial proof; the end is known only when it is there.
    bar.value = expected ? Math.min(0.97, passed / expected) : 0;
    estimate.textContent = `${seconds(passed)} of about ${seconds(expected)}, by the model's trial proof`;
    setTimeout(tick, 100);
  };
  const add = (event) => {
    first ??= event.at_ms;
    const kind = KINDS[event.kind] ?? event.kind;
    list.append(el("li", { class: kind, "data-event": String(event.id) }, el("span", { class: "what" }, (WORDS[event.kind] ?? (() => event.kind))(event)),
      el("time", { title: time(event.at_ms) }, event.at_ms === first ? time(event.at_ms) : `+ ${seconds((event.at_ms - first) / 1000)}`)));
    began = event.kind === "leased" ? Date.now() : null;
    live.hidden = FINAL.includes(event.kind);
    if (event.kind === "leased") tick();
    else {
      bar.removeAttribute("value");
      estimate.textContent = event.kind === "queued" ? "Waits for its turn." : "";
    }
  };
  return { node: el("div", {}, list, live), add };
}

function statement(job) {
  const plain = /^0+$/.test(job.context);
  return el("section", { class: "card" }, el("h2", {}, "Statement"), el("p", { class: "statement" }, "The model, run on the input of this job, gives the output that was answered."),
    facts(["Statement", digest(job.statement, "statement digest")],
      ["Model", el("a", { href: `#/models/${job.model}` }, job.model), " ", digest(job.model_digest, "model digest")],
      ["Context", plain ? "none (32 zero bytes)" : digest(job.context, "context")]));
}

function proof(job) {
  if (job.state !== "done") return null;
  const outcome = el("div", { class: "stack", "aria-live": "polite" });
  const attempt = (work) => async (event) => {
    const { currentTarget: button } = event;
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      fill(outcome, problem(error));
    }
    button.disabled = false;
  };
  const ofProof = `/v1/jobs/${job.id}/proof`;
  const ofKey = `/v1/models/${encodeURIComponent(job.model)}/vk`;
  const verify = async () => {
    fill(outcome, el("progress", { "aria-label": "Checking" }));
    const [vk, file] = await Promise.all([download(ofKey), download(ofProof)]);
    const panel = await verdictPanel(await check({ vk, proof: file }));
    fill(outcome, panel);
    say(panel.querySelector("h2").textContent);
  };
  return el("section", { class: "card" }, el("h2", {}, "Proof"),
    facts(["Size", bytes(job.proof_bytes)], ["Provable bits", job.security_bits.toFixed(1)],
      ["Proven in", seconds(job.prove_seconds)], ["Checked in", seconds(job.verify_seconds)],
      ["Digest of the file", digest(job.proof_digest, "proof digest")]),
    el("p", { class: "row" },
      el("button", { type: "button", class: "main", onclick: attempt(verify) }, "Check it and show what it says"),
      el("button", { type: "button", onclick: attempt(async () => save(`${job.id}.proof`, await download(ofProof))) }, "Download the proof"),
      el("button", { type: "button", onclick: attempt(async () => save(`${job.model}.vk`, await download(ofKey))) }, "Download the key")),
    outcome);
}

/** Shows the page. */
export async function job(place, id, signal) {
  const path = `/v1/jobs/${encodeURIComponent(id)}`;
  let now = await json(path, { signal });
  const expected = await json(`/v1/models/${encodeURIComponent(now.model)}`, { signal }).then((model) => model.prove_seconds, () => null);
  const [top, rest, lost] = [el("div", { class: "row" }), el("div", { class: "stack" }), el("p", { class: "lost", role: "status", hidden: true }, "The connection is lost; it goes on by itself.")];
  const line = history(expected);
  const outcome = el("div", {});

  const cancel = async () => {
    try {
      now = await post(`${path}/cancel`);
      draw();
    } catch (error) {
      fill(outcome, problem(error));
    }
  };
  function draw() {
    fill(top, state(now.state), el("span", { class: "quiet" }, `ordered ${time(now.created_ms)}, priority ${now.priority}`),
      !FINAL.includes(now.state) && may("infer") && el("button", { type: "button", class: "danger", onclick: cancel }, "Cancel"));
    fill(rest, statement(now), proof(now));
  }

  fill(place, el("p", { class: "back" }, el("a", { href: "#/jobs" }, "← Jobs")),
    el("h1", {}, "Job ", el("code", {}, id.slice(-8))), el("p", {}, digest(id, "job identifier")), top, outcome, lost,
    el("section", { class: "card" }, el("h2", {}, "Progress"), line.node), rest);
  draw();

  const follow = new AbortController();
  signal.addEventListener("abort", () => follow.abort());
  const heard = async (event) => {
    line.add(event);
    const kind = KINDS[event.kind] ?? event.kind;
    if (FINAL.includes(event.kind)) follow.abort();
    if (now.state === kind) return;
    // The record comes before its event is told.
    now = await json(path, { signal }).catch(() => now);
    draw();
    say(`The job is ${now.state}`);
  };
  events(`${path}/events`, heard, (alive) => { lost.hidden = alive; }, follow.signal)
    .catch((error) => { if (!signal.aborted) fill(outcome, problem(error)); });
}

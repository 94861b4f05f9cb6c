// One model: what the compiler made of it, its key, and running it.

import { bytes as download, json, post } from "/page/api.js";
import { digest, el, facts, fill, problem, say, state, table } from "/page/dom.js";
import { save } from "/page/files.js";
import { bytes, compact, count, seconds, shape, time } from "/page/format.js";
import { live } from "/page/live.js";
import { ports } from "/page/models.js";
import { runForm } from "/page/run.js";
import { caller, may } from "/page/session.js";

// Most rows of operators shown before one asks for all.
const ROWS = 60;

function report(report) {
  const rows = report.rows;
  const most = Math.max(1, ...rows.map((row) => row.cells ?? 0));
  const forms = (row) => Object.entries(row.requantisations ?? {}).filter(([, n]) => n > 0).map(([form, n]) => `${n} ${form}`).join(", ");
  const line = (row, at) => el("tr", {},
    el("td", { class: "n quiet" }, at + 1),
    el("th", { scope: "row" }, el("b", {}, row.primitive), el("span", { class: "under" }, row.operators), el("code", { class: "under" }, row.node)),
    el("td", {}, row.exactness, forms(row) && el("span", { class: "under" }, `requantised: ${forms(row)}`)),
    el("td", { class: "n" }, shape(row.shape)),
    el("td", { class: "n" }, compact(row.macs)),
    el("td", { class: "n" }, compact(row.cells), row.cells !== undefined && share(row.cells / most)),
    el("td", { class: "n" }, compact(row.lookups)));
  const shown = el("div", {});
  const show = (n) => fill(shown, table("Operations", ["#", "Operation", "Why it is exact", "Result#", "Multiplications#", "Cells#", "Lookups#"], rows.slice(0, n).map(line)),
    rows.length > n && el("p", {}, el("button", { type: "button", onclick: () => show(rows.length) }, `Show all ${rows.length} operations`)));
  show(ROWS);
  return el("section", { class: "card" }, el("h2", {}, "Compile report"),
    facts(["Operations", count(rows.length)], ["Multiplications", compact(report.macs)],
      report.cells !== undefined && ["Witness cells", compact(report.cells)],
      report.cells !== undefined && ["Constant cells", compact(report.constant_cells)],
      report.cells !== undefined && ["Lookups", compact(report.lookups)],
      report.security_bits && ["Provable bits", report.security_bits.toFixed(1)],
      report.program_digest && ["Program", digest(report.program_digest, "program digest")]),
    rows.length > 0 ? shown : el("p", { class: "hint" }, "It was uploaded as a program, so nothing is known of its operators."),
    el("p", { class: "hint" }, "Everything that compiles is exact: the proven integers are those of ONNX Runtime, bit for bit. Cells and lookups are what a proof costs."));
}

function share(part) {
  const bar = el("span", { class: "share" });
  bar.style.setProperty("--part", part.toFixed(4));
  return bar;
}

function about(model) {
  return facts(
    ["State", state(model.state)],
    ["Uploaded", time(model.created_ms)],
    ["File", bytes(model.bytes), " ", digest(model.digest, "model digest")],
    model.inputs && ["Input", ports(model.inputs)],
    model.outputs && ["Output", ports(model.outputs)],
    model.prove_seconds !== null && ["Trial proof", `${seconds(model.prove_seconds)}, ${bytes(model.proof_bytes)}`],
    model.proof_memory_bytes !== null && ["Memory for a proof", bytes(model.proof_memory_bytes)],
    model.vk_digest && ["Verification key", bytes(model.vk_bytes), " ", digest(model.vk_digest, "key digest")],
    model.pk_bytes !== null && ["Proving key", bytes(model.pk_bytes)]);
}

function actions(model, outcome, again) {
  const attempt = (work) => async () => {
    try {
      await work();
    } catch (error) {
      fill(outcome, problem(error));
    }
  };
  const disable = el("button", { type: "button", class: "danger" }, "Disable …");
  disable.addEventListener("click", () => {
    const yes = el("button", { type: "button", class: "danger", onclick: attempt(async () => {
      await post(`/v1/models/${model.name}/disable`);
      say(`${model.name} is disabled`);
      fill(outcome);
      await again();
    }) }, "Disable it for good");
    fill(outcome, el("div", { class: "problem" }, el("p", {}, "A disabled model runs no more and cannot be enabled again. Its proofs stay valid."),
      el("p", { class: "row" }, yes, el("button", { type: "button", onclick: () => fill(outcome) }, "Keep it"))));
    yes.focus();
  });
  return el("p", { class: "row" },
    model.vk_digest && el("button", { type: "button", onclick: attempt(async () => save(`${model.name}.vk`, await download(`/v1/models/${model.name}/vk`))) }, "Download the verification key"),
    model.state !== "disabled" && may("admin") && model.owner === caller()?.tenant && disable);
}

/** Shows the page. */
export async function model(place, name, signal) {
  const [summary, notes, rest] = [el("div", {}), el("div", { class: "stack" }), el("div", { class: "stack" })];
  const outcome = el("div", { "aria-live": "polite" });
  const path = `/v1/models/${encodeURIComponent(name)}`;
  let before = null;
  const load = async () => {
    const now = await json(path, { signal });
    const made = now.vk_digest && before?.state !== now.state ? await json(`${path}/report`, { signal }).catch(() => null) : null;
    return { now, made };
  };
  const show = ({ now, made }) => {
    if (before?.state === now.state) return;
    if (before) say(`${name} is ${now.state}`);
    before = now;
    fill(summary, el("section", { class: "card" }, about(now), actions(now, outcome, () => again()), outcome));
    fill(notes,
      (now.state === "uploaded" || now.state === "compiling") && el("div", { class: "card" }, el("h2", {}, "Being compiled"),
        el("p", {}, "The model is compiled, its keys are made, and one trial proof shows that it can be proven. This page follows by itself."), el("progress", { "aria-label": "Compiling" })),
      now.state === "failed" && el("div", { class: "problem", role: "alert" }, el("h2", {}, "It does not compile"), el("p", { class: "reason" }, now.failure),
        el("p", {}, el("code", {}, "vinfer inspect MODEL.onnx --html PAGE.html"), " shows every operator in the way. Uploading the same file again tries again.")));
    fill(rest, now.state === "ready" && may("infer") && el("section", { class: "card" }, el("h2", {}, "Run it"), runForm(now)),
      made && report(made));
  };
  fill(place, el("p", { class: "back" }, el("a", { href: "#/models" }, "← Models")), el("h1", {}, name), summary, notes, rest);
  const again = await live(place, signal, load, show);
}

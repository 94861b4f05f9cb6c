// Running a model from the page, and ordering the proof.

import { post } from "/page/api.js";
import { el, fill, problem, say } from "/page/dom.js";
import { dropBox, read } from "/page/files.js";
import { tensors } from "/page/verdict.js";

const zeros = (port) => port.shape.reduce((n, d) => n * d, 1);
const zero = (port) => Array(zeros(port)).fill(port.datatype === "BOOL" ? false : 0);

// More than this is no pleasure in a text field.
const SHOWN = 20_000;

function example(model) {
  const inputs = model.inputs.map((port) => ({ name: port.name, datatype: port.datatype, shape: port.shape, data: zero(port) }));
  return JSON.stringify({ inputs }).replaceAll('{"name"', '\n  {"name"').replace(/]}$/, "\n]}");
}

/** A form that runs the model. */
export function runForm(model) {
  const field = el("textarea", { id: "request", rows: "6", spellcheck: "false", "aria-describedby": "request-help" });
  const outcome = el("div", { "aria-live": "polite" });
  const small = model.inputs.reduce((n, port) => n + zeros(port), 0) <= SHOWN;
  const button = el("button", { class: "main" }, "Run and prove");
  let dropped = null;
  const take = async ([file]) => {
    if (!file) return;
    dropped = new TextDecoder().decode(await read(file));
    if (dropped.length <= 8 * SHOWN) {
      field.value = dropped;
      dropped = null;
    } else {
      field.value = "";
      field.placeholder = `${file.name} is sent as it is`;
    }
    fill(outcome);
  };
  field.addEventListener("input", () => { dropped = null; });
  const form = el("form", { class: "stack" },
    el("label", { for: "request" }, "Inference request (Open Inference Protocol, JSON)"), field,
    el("div", { class: "row" }, button,
      small && el("button", { type: "button", onclick: () => { field.value = example(model); } }, "Fill with zeros"),
      dropBox({ label: "Choose a request file", accept: ".json,application/json", id: "request-file", class: "small" }, take, "Drop or choose a .json file")),
    el("p", { id: "request-help", class: "hint" }, "The answer comes at once, the proof a little later."),
    outcome);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const request = JSON.parse(dropped ?? field.value);
      const answer = await post(`/v2/models/${encodeURIComponent(model.name)}/infer`, request);
      const { proof_job_id: job } = answer.parameters;
      fill(outcome, el("h3", {}, "Answer"), tensors([], answer.outputs),
        job && el("p", {}, el("a", { class: "button", href: `#/jobs/${job}` }, "Follow the proof")));
      say("The model has answered");
    } catch (error) {
      const unread = error instanceof SyntaxError;
      fill(outcome, problem(unread ? new Error(`This is no JSON: ${error.message}`) : error));
    }
    button.disabled = false;
  });
  return form;
}

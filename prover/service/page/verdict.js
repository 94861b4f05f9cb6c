// What the verifier said, and what exactly is proven.

import { json } from "/page/api.js";
import { digest, el, facts, table } from "/page/dom.js";
import { count, element, seconds, shape } from "/page/format.js";
import { key } from "/page/session.js";

// Elements of a tensor that are shown.
const SHOWN = 16;

const HEADLINES = {
  rejected: ["Not valid: the proof is false", "The verifier read the key and the proof and found that the proof does not show what it claims. Do not rely on this output."],
  other_input: ["Not valid for your input", "The proof itself holds, but it is about another input than the file you gave."],
  wrong_key: ["Not valid: another model's key", "The proof was made for another verification key. Use the key of the model that it was proven with."],
  proof: ["Not a readable proof", "The proof file is damaged, cut off, or not a vinfer proof."],
  key: ["Not a readable key", "The verification key is damaged, cut off, or not a vinfer key."],
  input: ["Not compared", "The proof could not be compared with your input, so there is no verdict. Leave the input out to check the proof alone."],
  limits: ["Not checked", "Checking it would take more than this service allows."],
};
const UNDECIDED = ["input", "limits"];

function line(tensor, role) {
  const { data } = tensor;
  let [least, most] = [0, 0];
  data.forEach((x, at) => {
    if (x < data[least]) least = at;
    if (x > data[most]) most = at;
  });
  const at = (index) => [element(data[index]), el("span", { class: "under" }, `at ${count(index)}`)];
  const more = data.length - SHOWN;
  return [el("b", {}, role), el("code", {}, tensor.name), el("span", { class: "whole wide" }, `${tensor.datatype} ${shape(tensor.shape)}`),
    data.length > 0 ? at(least) : "–", data.length > 0 ? at(most) : "–",
    el("code", { class: "elements" }, data.slice(0, SHOWN).map(element).join(", "), more > 0 && el("span", { class: "quiet" }, ` and ${count(more)} more`))];
}

/** Tensors in few words: type, shape, range, first elements. */
export const tensors = (inputs, outputs) => table("Tensors", ["", "Tensor", "Type", "Smallest#", "Largest#", "Elements"],
  [...inputs.map((tensor) => line(tensor, "Input")), ...outputs.map((tensor) => line(tensor, "Output"))]);

async function owner(digest) {
  if (!key()) return null;
  const { models } = await json("/v1/models");
  return models.find((model) => model.vk_digest === digest)?.name ?? null;
}

function proven(verdict, model) {
  const plain = /^0+$/.test(verdict.context);
  return [
    el("p", { class: "statement" }, "Proven: the program of this key, run on exactly these inputs, gives exactly these outputs."),
    tensors(verdict.inputs, verdict.outputs),
    facts(
      ["Provable bits", `${verdict.security_bits.toFixed(1)} (${verdict.grinding_bits} by proof of work per query phase)`],
      ["Compared with your input", verdict.compared.includes("input") ? el("b", { class: "good" }, "the same", verdict.compared_inference === null ? "" : ` as inference ${verdict.compared_inference}`) : "no input given"],
      verdict.batch > 1 && ["Inferences in the proof", count(verdict.batch)],
      ["Checked in", seconds(verdict.verify_seconds)],
      ["Statement", digest(verdict.statement, "statement digest")],
      ["Verification key", digest(verdict.key_digest, "key digest"), model && [" of your model ", el("a", { href: `#/models/${model}` }, model)]],
      ["Program", digest(verdict.program_digest, "program digest")],
      ["Context", plain ? "none (32 zero bytes)" : digest(verdict.context, "context")],
      ["Profile", verdict.profile]),
    el("p", { class: "hint" }, "Nothing is hidden: inputs and outputs are public, and the proof may tell of weights and activations. The key decides which model is meant: take it from someone you trust, or make it from the model yourself with ",
      el("code", {}, "vinfer compile"), " and ", el("code", {}, "vinfer setup"), "."),
  ];
}

/** The verdict as a panel. */
export async function verdictPanel(verdict) {
  if (verdict.valid) {
    const model = await owner(verdict.key_digest).catch(() => null);
    return el("section", { class: "verdict good", "data-verdict": "valid" }, el("h2", {}, "Valid"), proven(verdict, model));
  }
  const [title, meaning] = HEADLINES[verdict.code] ?? ["Not valid", ""];
  const undecided = UNDECIDED.includes(verdict.code);
  return el("section", { class: `verdict ${undecided ? "open" : "bad"}`, "data-verdict": verdict.code },
    el("h2", {}, title), el("p", {}, meaning), el("p", { class: "reason" }, "The verifier says: ", el("code", {}, verdict.error)));
}

// The box where anybody has a proof checked.

import { Refused, post } from "/page/api.js";
import { el, fill, problem, say } from "/page/dom.js";
import { base64, dropBox, kind, read } from "/page/files.js";
import { bytes } from "/page/format.js";
import { key } from "/page/session.js";
import { verdictPanel } from "/page/verdict.js";

const SLOTS = [
  { name: "vk", title: "Verification key", help: "the model's public key, vk", accept: ".vk" },
  { name: "proof", title: "Proof", help: "what is to be checked, .proof", accept: ".proof" },
  { name: "input", title: "Input, if you have it", help: ".npz, .npy, or .json as sent: must be the proof's", accept: ".npz,.npy,.json" },
];

const UNKNOWN = {
  model: "is a compiled model; verification takes its key instead (vinfer setup makes it)",
  pk: "is another file of vinfer, perhaps a proving key; verification takes the small public key, vk",
};

/** Asks for the verdict on key and proof. */
export const check = ({ vk, proof, input }, index = 0) => post("/v1/verify", {
  vk: base64(vk), proof: base64(proof), ...(input ? { input: base64(input), index } : {}),
});

/** Shows the page. */
export async function verify(place, _, signal) {
  const given = {};
  const slots = el("div", { class: "slots" });
  const outcome = el("div", { class: "stack", "aria-live": "polite" });
  const button = el("button", { type: "button", class: "main", disabled: true }, "Check the proof");
  const index = el("input", { type: "number", id: "index", min: "0", step: "1", value: "0" });
  index.addEventListener("input", () => fill(outcome));
  const row = el("p", { class: "row" }, button);

  const take = (slot) => async (files) => {
    const notes = [];
    // A verdict is about what is given now.
    fill(outcome);
    for (const file of files) {
      const content = await read(file);
      const found = kind(content);
      // A file that says what it is goes where it belongs; any other goes where it was dropped.
      const name = ["vk", "proof", "input"].includes(found) ? found : slot && !UNKNOWN[found] ? slot : null;
      if (name) given[name] = { name: file.name, content };
      else notes.push(`${file.name} ${UNKNOWN[found] ?? "is no verification key, proof or input"}.`);
    }
    fill(outcome, notes.map((note) => problem(new Error(note))));
    draw();
  };

  function draw() {
    const had = document.activeElement?.id;
    fill(slots, SLOTS.map((slot) => {
      const file = given[slot.name];
      const box = dropBox({ label: slot.title, accept: slot.accept, id: `file-${slot.name}`, class: file ? "slot filled" : "slot" }, take(slot.name),
        el("b", {}, slot.title), file ? el("span", { class: "file" }, file.name) : el("span", {}, slot.help), file && el("span", {}, bytes(file.content.length)));
      const remove = () => {
        delete given[slot.name];
        fill(outcome);
        draw();
      };
      return el("div", {}, box, file && el("button", { type: "button", class: "copy", "aria-label": `Take out ${slot.title}`, onclick: remove }, "Take out"));
    }));
    fill(row, button, given.input && [el("label", { for: "index" }, "Sample of the input file"), index]);
    button.disabled = !given.vk || !given.proof;
    document.getElementById(had)?.focus();
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    fill(outcome, el("progress", { "aria-label": "Checking" }));
    try {
      const files = Object.fromEntries(Object.entries(given).map(([name, file]) => [name, file.content]));
      const panel = await verdictPanel(await check(files, Number(index.value) || 0));
      if (signal.aborted) return;
      fill(outcome, panel);
      say(panel.querySelector("h2").textContent);
      panel.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    } catch (error) {
      const closed = error instanceof Refused && error.status === 401 && !key();
      fill(outcome, problem(error, closed && el("p", {}, el("a", { href: "#/" }, "Sign in"), " with your key to check it here.")));
    }
    draw();
  });

  // A file that misses the boxes must not replace the page.
  const whole = (event) => {
    event.preventDefault();
    if (event.type === "drop" && !event.target.closest?.(".drop")) take(null)([...event.dataTransfer.files]);
  };
  for (const type of ["dragover", "drop"]) document.addEventListener(type, whole, { signal });

  fill(place, el("h1", {}, "Verify"),
    el("p", { class: "lead" }, "Check that an output is what a model computes on an input. Drop the files anywhere on this page; they are checked by the service and not kept."),
    slots, row, outcome);
  draw();
}

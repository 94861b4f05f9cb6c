// All models, and uploading one.

import { json, upload } from "/page/api.js";
import { el, empty, fill, problem, say, state, table } from "/page/dom.js";
import { dropBox } from "/page/files.js";
import { ago, bytes, seconds, shape, time } from "/page/format.js";
import { live } from "/page/live.js";
import { may } from "/page/session.js";

const NAME = "[A-Za-z0-9][A-Za-z0-9_.\\-]{0,63}";

/** Inputs or outputs in few words. */
export const ports = (ports) => (ports ?? []).map((port) => `${port.name} ${port.datatype} ${shape(port.shape)}`).join(", ") || "–";

function modelTable(models) {
  return table("Models", ["Model", "State", "Uploaded", "Input", "Output", "File#", "Proof takes#", "Proof#"],
    models.map((model) => [
      el("a", { href: `#/models/${model.name}` }, model.name),
      state(model.state),
      el("time", { title: time(model.created_ms) }, ago(model.created_ms)),
      el("span", { class: model.inputs && "wide" }, ports(model.inputs)), el("span", { class: model.outputs && "wide" }, ports(model.outputs)),
      bytes(model.bytes), seconds(model.prove_seconds), bytes(model.proof_bytes),
    ]));
}

// Names that the service takes, from names of files.
const nameOf = (file) => file.name.replace(/\.[^.]*$/, "").replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 64);

function uploader(changed) {
  const list = el("ul", { class: "uploads" });
  const send = async (file, name, row) => {
    const bar = el("progress", { max: "1", "aria-label": `Upload of ${name}` });
    bar.value = 0;
    fill(row, el("b", {}, name), bar, el("span", { class: "quiet" }, `of ${bytes(file.size)}`));
    try {
      if (file.size === 0) throw new Error("The file is empty.");
      await upload(file, name, (share) => { bar.value = share; });
      fill(row, el("b", {}, name), " is uploaded and being compiled. ", el("a", { href: `#/models/${name}` }, "Follow it"));
      say(`${name} is uploaded`);
      changed();
    } catch (error) {
      fill(row, el("b", {}, name), problem(error), el("button", { type: "button", onclick: () => ask(file, row, name) }, "Try again"));
    }
  };
  const ask = (file, row, suggested) => {
    const field = el("input", { type: "text", value: suggested, required: true, pattern: NAME, spellcheck: "false",
      "aria-label": `Name for ${file.name}`, title: "Letters, digits, _ - . and at most 64 of them" });
    const form = el("form", { class: "row" }, el("span", {}, `${file.name}, ${bytes(file.size)}, as`), field,
      el("button", { class: "main" }, "Upload"),
      el("button", { type: "button", onclick: () => row.remove() }, "Leave out"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(file, field.value.trim(), row);
    });
    fill(row, form);
    field.select();
  };
  const take = (files) => files.forEach((file) => {
    const row = el("li", { class: "card" });
    list.append(row);
    ask(file, row, nameOf(file));
  });
  const box = dropBox({ label: "Choose models to upload", accept: ".onnx,.vinfer", multiple: true, id: "upload" }, take,
    el("b", {}, "Drop a quantised ONNX model here"), el("span", {}, "or choose a file. It is compiled and set up at once; what is not exact is refused."));
  return el("section", { class: "stack" }, box, list);
}

/** Shows the page. */
export async function models(place, _, signal) {
  const body = el("div", {});
  fill(place, el("h1", {}, "Models"), may("admin") && uploader(() => now().catch(() => {})), body);
  const load = () => json("/v1/models", { signal });
  const show = ({ models }) => fill(body,
    models.length > 0 ? el("section", { class: "card" }, modelTable(models))
      : empty("No model yet", may("admin") ? "Drop an ONNX file above. A float model is quantised first, with vinfer quantize."
        : "Your key cannot upload models (it lacks the scope admin). Ask whoever runs this service."));
  const now = await live(place, signal, load, show);
}

// Files that come from, or go to, the person's machine.

import { el } from "/page/dom.js";

/** Saves bytes under a name. */
export function save(name, bytes) {
  const link = el("a", { href: URL.createObjectURL(new Blob([bytes])), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Base64 of bytes. */
export function base64(bytes) {
  const parts = [];
  for (let at = 0; at < bytes.length; at += 0x8000) parts.push(String.fromCharCode(...bytes.subarray(at, at + 0x8000)));
  return btoa(parts.join(""));
}

/** The bytes of a file. */
export const read = async (file) => new Uint8Array(await file.arrayBuffer());

const starts = (bytes, text) => [...text].every((letter, at) => bytes[at] === letter.charCodeAt(0));

/** What a file is, by its first bytes: vk, proof, input, model, or null. */
export function kind(bytes) {
  if (starts(bytes, "VINFERV")) return "vk";
  if (starts(bytes, "VINFERZ")) return "proof";
  if (starts(bytes, "VINFERP")) return "model";
  if (starts(bytes, "VINFER")) return "pk";
  if (starts(bytes, "PK") || starts(bytes, "\x93NUMPY")) return "input";
  const first = bytes.find((byte) => byte > 32);
  if (first === 0x7b || first === 0x5b) return "input";
  return null;
}

/** A box to drop files on, which is a button too. `take` is given the files. */
export function dropBox(attributes, take, ...children) {
  const { accept, multiple, id, label, ...rest } = attributes;
  const picker = el("input", { type: "file", id, accept, multiple, class: "unseen", "aria-label": label });
  picker.addEventListener("change", () => {
    take([...picker.files]);
    picker.value = "";
  });
  const box = el("label", { ...rest, class: `drop ${rest.class ?? ""}` }, picker, children);
  let depth = 0;
  const over = (change) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + change);
    box.classList.toggle("over", depth > 0);
  };
  box.addEventListener("dragenter", over(1));
  box.addEventListener("dragleave", over(-1));
  box.addEventListener("dragover", (event) => event.preventDefault());
  box.addEventListener("drop", (event) => {
    depth = 0;
    over(0)(event);
    take([...event.dataTransfer.files]);
  });
  return box;
}

// Builds elements. Text becomes text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value === "boolean") node[name] = value;
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  put(node, children);
  return node;
}

function put(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** An element with attributes, listeners (`onclick`) and children. */
export function el(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** An element of a drawing. */
export function svg(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

/** Makes `children` all that is in a node. */
export function fill(node, ...children) {
  node.replaceChildren();
  put(node, children);
  return node;
}

/** Tells readers of the screen what happened. */
export function say(text) {
  const said = document.getElementById("said");
  said.textContent = "";
  setTimeout(() => { said.textContent = text; }, 50);
}

/** Shows the outcome of a mistake or a refusal. */
export function problem(error, ...more) {
  return el("div", { class: "problem", role: "alert" }, el("p", {}, error.message ?? String(error)), more);
}

/** What to do where there is nothing to show. */
export function empty(title, ...advice) {
  return el("div", { class: "empty" }, el("p", { class: "title" }, title), el("p", {}, advice));
}

/** A list of names and values; entries that are null are left out. */
export function facts(...entries) {
  return el("dl", { class: "facts" },
    entries.filter((entry) => entry).map(([name, ...value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** A table in a box that scrolls by itself; `columns` are names, those ending in `#` hold numbers. */
export function table(label, columns, rows) {
  const numeric = columns.map((name) => name.endsWith("#"));
  const head = columns.map((name, at) =>
    el("th", { scope: "col", class: numeric[at] && "n" }, name.replace("#", "")));
  const body = rows.map((row) => row instanceof Node ? row : el("tr", {},
    row.map((cell, at) => cell instanceof HTMLTableCellElement ? cell : el("td", { class: numeric[at] && "n" }, cell))));
  // On narrow screens the names stand with the cells.
  for (const row of body) [...row.cells].forEach((cell, at) => { cell.dataset.label = head[at]?.textContent ?? ""; });
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    el("table", {}, el("caption", { class: "unseen" }, label), el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
}

/** A word for a state, told apart by more than its colour. */
export function state(name) {
  return el("span", { class: `state ${name}` }, name);
}

/** A digest or identifier: its ends, the whole of it to copy. */
export function digest(value, what) {
  if (!value) return el("span", { class: "quiet" }, "–");
  const copied = el("button", { type: "button", class: "copy", "aria-label": `Copy ${what}`, title: `Copy ${what}` }, "Copy");
  copied.addEventListener("click", async () => {
    const done = await copy(value);
    copied.textContent = done ? "Copied" : "Press Ctrl+C";
    if (done) say(`${what} copied`);
    setTimeout(() => { copied.textContent = "Copy"; }, 1500);
  });
  const text = value.length > 24 ? `${value.slice(0, 10)}…${value.slice(-6)}` : value;
  return el("span", { class: "digest" }, el("code", { title: value }, text), copied);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS there is no clipboard: the text is selected, so that a key copies it.
    const field = el("input", { class: "unseen", readonly: "", "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    setTimeout(() => field.remove(), 5000);
    return false;
  }
}

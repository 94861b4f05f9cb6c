"use strict";
(() => {
  const root = document.documentElement;
  let errors = 0;
  root.dataset.errors = "0";
  addEventListener("error", () => { root.dataset.errors = String(++errors); });
  document.addEventListener("securitypolicyviolation", () => { root.dataset.errors = String(++errors); });

  const table = document.getElementById("rows");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const nodes = [...document.querySelectorAll("#graph .node")];
  const edges = [...document.querySelectorAll("#graph .edge")];
  const detail = document.getElementById("detail");
  const idle = [...detail.childNodes];
  const headings = [...table.tHead.rows[0].cells];
  const nodeOfRow = new Map();
  for (const node of nodes) {
    if (node.dataset.row !== undefined) nodeOfRow.set(node.dataset.row, node);
  }
  const rowOfNode = (node) => (node.dataset.row === undefined ? null : document.getElementById("r" + node.dataset.row));

  // Scrolls inside a panel only: the page itself stays where it is.
  const reveal = (panel, element) => {
    const outer = panel.getBoundingClientRect(), inner = element.getBoundingClientRect();
    const away = inner.top < outer.top + 40 || inner.bottom > outer.bottom - 8;
    if (away) panel.scrollTop += inner.top - outer.top - (outer.height - inner.height) / 2;
    if (panel.id === "graph-scroll" && (inner.left < outer.left || inner.right > outer.right)) {
      panel.scrollLeft += inner.left - outer.left - (outer.width - inner.width) / 2;
    }
  };

  // Details of a node: the cells of its row under their headings.
  const element = (name, text, kind) => {
    const made = document.createElement(name);
    made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };
  const show = (node) => {
    if (!node) return void detail.replaceChildren(...idle);
    const parts = [element("strong", node.querySelector(".title").textContent)];
    const row = rowOfNode(node);
    const name = row ? row.querySelector(".name").title : node.getAttribute("aria-label");
    parts.push(element("code", name));
    if (row) {
      const list = document.createElement("dl");
      [...row.cells].forEach((cell, at) => {
        if (at < 2 || !cell.textContent.trim() || cell.textContent === "–") return;
        const pair = document.createElement("div");
        const text = [...cell.children].map((c) => c.textContent.trim()).join(", ") || cell.textContent;
        pair.append(element("dt", headings[at].textContent), element("dd", text));
        list.append(pair);
      });
      parts.push(list);
    }
    detail.replaceChildren(...parts);
  };

  let selected = null;
  const focusable = (list, one) => {
    for (const other of list) other.setAttribute("tabindex", other === one ? "0" : "-1");
  };
  const select = (node, row) => {
    for (const old of document.querySelectorAll(".selected, .near")) old.classList.remove("selected", "near");
    selected = node || null;
    if (node) {
      node.classList.add("selected");
      focusable(nodes, node);
      const id = node.id.slice(1);
      for (const edge of edges) edge.classList.toggle("near", edge.dataset.a === id || edge.dataset.b === id);
      reveal(document.getElementById("graph-scroll"), node);
    }
    if (row) {
      row.classList.add("selected");
      row.hidden = false;
      focusable(rows, row);
      reveal(document.getElementById("table-scroll"), row);
    }
    show(node);
  };
  const selectRow = (row) => select(nodeOfRow.get(row.dataset.nodeRow), row);
  const selectNode = (node) => select(node, rowOfNode(node));

  // Up and down follow the edges, left and right the layer.
  const neighbour = (node, key) => {
    const id = node.id.slice(1);
    const ends = { ArrowDown: ["a", "b"], ArrowUp: ["b", "a"] }[key];
    if (ends) {
      const edge = edges.find((e) => e.dataset[ends[0]] === id);
      return edge && document.getElementById("n" + edge.dataset[ends[1]]);
    }
    const box = (n) => n.getBoundingClientRect();
    const here = box(node), way = key === "ArrowRight" ? 1 : -1;
    return nodes
      .filter((n) => Math.abs(box(n).top - here.top) < 2 && (box(n).left - here.left) * way > 2)
      .sort((a, b) => (box(a).left - box(b).left) * way)[0];
  };
  for (const node of nodes) {
    node.addEventListener("click", () => selectNode(node));
    node.addEventListener("mouseenter", () => show(node));
    node.addEventListener("mouseleave", () => show(selected));
    node.addEventListener("focus", () => show(node));
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        selectNode(node);
      } else if (event.key.startsWith("Arrow")) {
        event.preventDefault();
        const next = neighbour(node, event.key);
        if (!next) return;
        focusable(nodes, next);
        next.focus({ preventScroll: true });
        reveal(document.getElementById("graph-scroll"), next);
      }
    });
  }
  for (const row of rows) {
    row.addEventListener("click", () => selectRow(row));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        selectRow(row);
      } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        const shown = [...body.rows].filter((r) => !r.hidden);
        const next = shown[shown.indexOf(row) + (event.key === "ArrowDown" ? 1 : -1)];
        if (next) {
          focusable(rows, next);
          next.focus({ preventScroll: true });
          reveal(document.getElementById("table-scroll"), next);
        }
      }
    });
  }
  for (const link of document.querySelectorAll("a.to-row")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector(".explore").scrollIntoView({ block: "start" });
      selectRow(document.getElementById("r" + link.dataset.to));
    });
  }

  // Sorting: numbers fall first, words rise first.
  headings.forEach((heading, at) => {
    heading.querySelector("button").addEventListener("click", () => {
      const numeric = heading.classList.contains("n");
      const before = heading.getAttribute("aria-sort");
      const falling = before ? before === "ascending" : numeric && at > 0;
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const key = (row) => row.cells[at].dataset.v;
      const order = (a, b) => {
        const [x, y] = [Number(key(a)), Number(key(b))];
        return Number.isNaN(x) || Number.isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
      };
      const sorted = [...rows].sort((a, b) => (falling ? -order(a, b) : order(a, b)));
      body.append(...sorted);
    });
  });

  const find = document.getElementById("find");
  find.hidden = false;
  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const row of rows) {
      const hit = row.textContent.toLowerCase().includes(wanted) || row.querySelector(".name").title.toLowerCase().includes(wanted);
      row.hidden = !hit;
      nodeOfRow.get(row.dataset.nodeRow)?.classList.toggle("faint", !hit);
    }
  });

  // Zoom: the drawing keeps its own scale and its panel scrolls.
  const graph = document.getElementById("graph");
  const panel = document.getElementById("graph-scroll");
  const [width, height] = [graph.viewBox.baseVal.width, graph.viewBox.baseVal.height];
  let scale = 1;
  const zoom = (to) => {
    const middle = (panel.scrollTop + panel.clientHeight / 2) / (height * scale);
    const across = (panel.scrollLeft + panel.clientWidth / 2) / (width * scale);
    scale = Math.min(2, Math.max(0.05, to));
    graph.setAttribute("width", width * scale);
    graph.setAttribute("height", height * scale);
    panel.scrollTop = middle * height * scale - panel.clientHeight / 2;
    panel.scrollLeft = across * width * scale - panel.clientWidth / 2;
  };
  const toWidth = () => Math.min(1, (panel.clientWidth - 2) / width);
  const whole = () => Math.min(toWidth(), (panel.clientHeight - 2) / height);
  document.querySelector(".zoom").hidden = false;
  document.getElementById("zoom-in").addEventListener("click", () => zoom(scale * 1.25));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(scale / 1.25));
  document.getElementById("zoom-fit").addEventListener("click", () => zoom(Math.abs(scale - whole()) < 0.01 ? toWidth() : whole()));
  zoom(Math.max(toWidth(), 0.6));
  panel.scrollTop = 0;

  root.classList.add("ready");
  root.dataset.rows = String(rows.length);
  root.dataset.nodes = String(nodes.length);
})();

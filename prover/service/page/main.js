// Which page is shown, and who is signed in.

import { Refused, json } from "/page/api.js";
import { el, fill, problem, say } from "/page/dom.js";
import * as session from "/page/session.js";
import { job } from "/page/job.js";
import { jobs } from "/page/jobs.js";
import { model } from "/page/model.js";
import { models } from "/page/models.js";
import { overview } from "/page/overview.js";
import { verify } from "/page/verify.js";

// Each page: address, title, whether it needs a key, and what shows it. The last is given the node to fill, the rest of the
// address, and a signal that it is left.
const PAGES = [
  { path: /^\/?$/, title: "Overview", show: overview, keyed: true },
  { path: /^\/models$/, title: "Models", show: models, keyed: true },
  { path: /^\/models\/([^/]+)$/, title: "Model", show: model, keyed: true },
  { path: /^\/jobs$/, title: "Jobs", show: jobs, keyed: true },
  { path: /^\/jobs\/([^/]+)$/, title: "Job", show: job, keyed: true },
  { path: /^\/verify$/, title: "Verify", show: verify, keyed: false },
];

const main = document.getElementById("main");
let left = new AbortController();
let first = true;

function address() {
  const path = location.hash.replace(/^#/, "");
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function route() {
  left.abort();
  left = new AbortController();
  const { signal } = left;
  const path = address();
  const page = PAGES.find((page) => page.path.test(path));
  for (const link of document.querySelectorAll("nav a")) {
    const own = link.hash === "#/" ? path === "" || path === "/" : `#${path}`.startsWith(link.hash);
    if (own) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = page ? `${page.title} – vinfer` : "vinfer";
  const place = el("div", { class: "page" });
  fill(main, place);
  if (!page) {
    fill(place, el("h1", {}, "There is nothing here"), el("p", {}, el("a", { href: "#/" }, "To the overview")));
  } else if (page.keyed && !session.key()) {
    fill(place, signIn(page.title));
  } else {
    try {
      await page.show(place, path.match(page.path)[1], signal);
    } catch (error) {
      if (signal.aborted) return;
      fill(place, el("h1", {}, page.title), problem(error, el("p", {}, el("button", { type: "button", onclick: route }, "Try again"))));
    }
  }
  if (!first && !signal.aborted) {
    // Where the keyboard and the screen reader go on.
    if (!place.contains(document.activeElement)) main.focus({ preventScroll: true });
    scrollTo(0, 0);
    say(document.title);
  }
  first = false;
}

function signIn(title) {
  const field = el("input", {
    id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, placeholder: "vinfer_…",
    "aria-describedby": "key-help",
  });
  const refused = el("div", {});
  const form = el("form", { class: "card sign-in" },
    el("label", { for: "key" }, "API key"),
    el("div", { class: "row" }, field, el("button", { class: "main" }, "Sign in")),
    refused,
    el("p", { id: "key-help", class: "hint" }, "An operator makes one with ",
      el("code", {}, "vinfer keys create --data DIR --tenant NAME --scope admin,infer"),
      ". It stays in this tab and is forgotten when you sign out or close it."));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fill(refused);
    try {
      const text = field.value.trim();
      session.signIn(text, await json("/v1/overview", { as: text }));
      say("Signed in");
    } catch (error) {
      const wrong = error instanceof Refused && error.status === 401;
      fill(refused, problem(wrong ? new Error("The service does not know this key. Was it copied whole, or revoked?") : error));
      field.select();
    }
  });
  return [
    el("h1", {}, title),
    el("p", { class: "lead" }, "Sign in with your API key to see your models and jobs."),
    form,
    el("p", {}, "Only want to check a proof? ", el("a", { href: "#/verify" }, "Verify needs no key.")),
  ];
}

function account() {
  const caller = session.caller();
  fill(document.getElementById("account"), session.key()
    ? [caller && el("span", { class: "tenant", title: `May: ${caller.scopes.join(", ")}` }, caller.tenant),
      el("button", { type: "button", onclick: session.signOut }, "Sign out")]
    : null);
}

// Not by its address: that is the page's.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", route);
let signed = session.key();
addEventListener("session", () => {
  account();
  if (signed === session.key()) return;
  signed = session.key();
  route();
});

account();
if (session.key()) {
  try {
    session.know(await json("/v1/overview"));
  } catch {
    // A key that is no longer good was forgotten; what else is wrong, the page says.
  }
}
await route();

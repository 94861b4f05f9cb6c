// Requests to the service this page came from.

import { key, signOut } from "/page/session.js";

/** A refusal, in the words of the service. */
export class Refused extends Error {
  constructor(status, body) {
    super(body.error ?? `The service answered with status ${status}.`);
    this.status = status;
    this.code = body.code;
    this.wait = body.retry_after_ms;
  }
}

const SILENT = "The service does not answer. Is it running, and is this machine connected?";

const authorization = (text) => text ? { Authorization: `Bearer ${text}` } : {};

async function send(path, { method = "GET", body, headers = {}, as = key(), signal } = {}) {
  let response;
  try {
    response = await fetch(path, {
      method, body, signal, cache: "no-store", redirect: "error", headers: { ...authorization(as), ...headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(SILENT);
  }
  if (response.ok) return response;
  const refused = new Refused(response.status, await response.json().catch(() => ({})));
  if (response.status === 401 && as && as === key()) signOut();
  throw refused;
}

/** An answer in JSON. */
export const json = async (path, options) => (await send(path, options)).json();

/** Sends JSON, answers JSON. */
export const post = (path, value, options = {}) => json(path, {
  method: "POST",
  body: value === undefined ? undefined : JSON.stringify(value),
  headers: value === undefined ? {} : { "Content-Type": "application/json" },
  ...options,
});

/** The bytes of a file. */
export const bytes = async (path) => new Uint8Array(await (await send(path)).arrayBuffer());

/** Sends a model in pieces; `progress` is told the share that has arrived. */
export async function upload(file, name, progress) {
  const begun = await post("/v1/uploads");
  const most = Math.min(begun.max_piece_bytes, 8 << 20);
  let offset = 0;
  for (let tries = 0; offset < file.size;) {
    const piece = file.slice(offset, offset + most);
    try {
      const { offset: arrived } = await patch(`/v1/uploads/${begun.id}?offset=${offset}`, piece,
        (sent) => progress((offset + sent) / file.size));
      offset = arrived;
      tries = 0;
    } catch (error) {
      // What has arrived stays; only a broken connection is tried again.
      if (error instanceof Refused || ++tries > 4) throw error;
      await pause(500 * 2 ** tries);
      offset = (await json(`/v1/uploads/${begun.id}`)).offset;
    }
  }
  return post(`/v1/uploads/${begun.id}/complete?name=${encodeURIComponent(name)}`);
}

// Only this old way of sending tells how much was sent.
function patch(path, body, sent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PATCH", path);
    for (const [name, value] of Object.entries(authorization(key()))) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => sent(event.loaded));
    request.addEventListener("error", () => reject(new Error(SILENT)));
    request.addEventListener("load", () => {
      const value = parse(request.responseText);
      if (request.status >= 200 && request.status < 300) resolve(value);
      else reject(new Refused(request.status, value));
    });
    request.send(body);
  });
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/** A promise of some milliseconds. */
export const pause = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); });
});

/** Tells `heard` every server-sent event of a path, going on where the stream broke, until `signal` ends it. `fate` is told
 * whether the stream lives. EventSource cannot send a key, so this reads the stream itself. */
export async function events(path, heard, fate, signal) {
  let last = 0;
  for (let wait = 500; !signal.aborted;) {
    try {
      const headers = last ? { "Last-Event-ID": String(last) } : {};
      const reader = (await send(path, { headers, signal })).body.pipeThrough(new TextDecoderStream()).getReader();
      fate(true);
      for (let text = ""; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        const blocks = (text + value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s)));
          if (!fields.id) continue;
          last = Number(fields.id);
          wait = 500;
          heard(parse(fields.data));
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      // Nobody's key, or nothing there: it will not get better.
      if (error instanceof Refused && error.status < 500 && error.status !== 429) throw error;
      fate(false);
    }
    await pause(wait * (0.75 + Math.random() / 2), signal);
    wait = Math.min(wait * 2, 15_000);
  }
}

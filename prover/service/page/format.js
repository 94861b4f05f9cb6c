// Numbers and times as people read them.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** `12 345`. */
export const count = (n) => n === null || n === undefined ? "–" : grouped.format(n).replaceAll(",", "\u202f");

/** `12.3 M`. */
export function compact(n) {
  if (n === null || n === undefined) return "–";
  if (n < 10_000) return count(n);
  for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= unit) return `${digits(n / unit)}\u202f${name}`;
  }
}

const digits = (x) => x < 9.995 ? x.toFixed(2) : x < 99.95 ? x.toFixed(1) : x.toFixed(0);

/** `98.4 KB`. */
export function bytes(n) {
  if (n === null || n === undefined) return "–";
  if (n < 1000) return `${n}\u202fB`;
  for (const [unit, name] of [[1e9, "GB"], [1e6, "MB"], [1e3, "KB"]]) {
    if (n >= unit) return `${digits(n / unit)}\u202f${name}`;
  }
}

/** `3.1 ms`, `1.2 s`, `4 min`. */
export function seconds(s) {
  if (s === null || s === undefined) return "–";
  if (s < 0.9995) return `${digits(s * 1000)}\u202fms`;
  if (s < 120) return `${digits(s)}\u202fs`;
  if (s < 7200) return `${Math.round(s / 60)}\u202fmin`;
  return `${Math.round(s / 3600)}\u202fh`;
}

/** `just now`, `5 min ago`. */
export function ago(ms) {
  const s = Math.max(0, (Date.now() - ms) / 1000);
  if (s < 5) return "just now";
  if (s < 90) return `${Math.round(s)}\u202fs ago`;
  if (s < 5400) return `${Math.round(s / 60)}\u202fmin ago`;
  if (s < 129_600) return `${Math.round(s / 3600)}\u202fh ago`;
  return `${Math.round(s / 86_400)}\u202fdays ago`;
}

/** Date and time of day. */
export const time = (ms) => new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });

/** Time of day. */
export const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

/** `1 × 8 × 8`. */
export const shape = (dims) => dims.length === 0 ? "scalar" : dims.join(" × ");

/** One element of a tensor. */
export function element(x) {
  if (typeof x !== "number" || Number.isInteger(x)) return String(x);
  return Math.abs(x) >= 1e-3 && Math.abs(x) < 1e6 ? String(Number(x.toPrecision(6))) : x.toExponential(3);
}

/** `1 job`, `2 jobs`. */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

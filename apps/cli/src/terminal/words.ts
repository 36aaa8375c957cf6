const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `1,234,567`. */
export function grouped(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** `1 memento`, `1,200 mementos`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${grouped(count)} ${count === 1 ? noun : plural}`;
}

/** `512 B`, `1.2 MB`; decimal units. */
export function bytesText(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let [value, unit] = [bytes, 0];
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1_000, unit + 1];
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ""}`;
}

/** `340 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`. */
export function durationText(ms: number): string {
  if (Math.round(ms) < SECOND) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${grouped(Math.floor(seconds / 3_600))} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/** The same in whole seconds, for what changes while one looks: `6 s`, `4 min 10 s`. */
export function secondsText(ms: number): string {
  return ms < 59_500 ? `${Math.round(ms / SECOND)} s` : durationText(ms);
}

/** How long ago an ISO time was, coarsely: `now`, `12 s`, `3 min`, `2 h`, `5 d`; the date once it is a month. */
export function ageText(iso: string, now: number): string {
  const then = Date.parse(iso);
  const ms = now - then;
  // A clock on another machine may be ahead; what was just saved is never in the future.
  if (ms < SECOND) return "now";
  if (ms < MINUTE) return `${Math.floor(ms / SECOND)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  if (ms < 30 * DAY) return `${Math.floor(ms / DAY)} d`;
  return new Date(then).toISOString().slice(0, 10);
}

/** The same in a sentence: `just now`, `3 min ago`, `on 2025-12-24`. */
export function agoText(iso: string, now: number): string {
  const age = ageText(iso, now);
  if (age === "now") return "just now";
  return /^\d{4}-/u.test(age) ? `on ${age}` : `${age} ago`;
}

/** `a`, `a and b`, `a, b and c`. */
export function listText(items: readonly string[]): string {
  if (items.length <= 1) return items[0] ?? "";
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1) ?? ""}`;
}

import { MementoError } from "../core/errors.ts";

const PARTS = /^(?:\d{1,9}(?:mo|min|[ywdhs]))+$/;
const PART = /(\d+)(mo|min|[ywdhs])/g;
const UNIT_MS = { w: 604_800_000, d: 86_400_000, h: 3_600_000, min: 60_000, s: 1_000 } as const;

/**
 * The moment that lies a span of time before another, in milliseconds since 1970. A span is written as in `30d`, `12h` or
 * `1y6mo`: y, mo, w, d, h, min, s. Years and months are those of the calendar in UTC; a day that a month lacks is its last one.
 * INVALID_ARGUMENT, naming `what`, for another text.
 */
export function momentBefore(momentMs: number, span: string, what: string): number {
  const date = new Date(momentMs);
  let fixedMs = 0;
  for (const [, count, unit] of checkSpan(span, what).matchAll(PART)) {
    if (unit === "y") shiftMonths(date, -12 * Number(count));
    else if (unit === "mo") shiftMonths(date, -Number(count));
    else fixedMs += Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
  }
  // A span that reaches back past what dates can hold reaches back to before everything.
  return Number.isNaN(date.getTime()) ? Number.NEGATIVE_INFINITY : date.getTime() - fixedMs;
}

/** Returns the text, or throws INVALID_ARGUMENT, naming `what`, when it is no span of time. */
export function checkSpan(span: string, what: string): string {
  if (PARTS.test(span)) return span;
  const hint = /^\d+m$/.test(span) ? " (m is no unit: mo is a month, min a minute)" : "";
  throw new MementoError(
    "INVALID_ARGUMENT",
    `${what} takes a span of time such as 30d, 12h or 1y6mo, not ${JSON.stringify(span.slice(0, 40))}${hint}`,
  );
}

function shiftMonths(date: Date, months: number): void {
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + months);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, last));
}

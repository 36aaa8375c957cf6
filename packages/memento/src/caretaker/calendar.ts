import type { CALENDAR_RULES } from "./policy.ts";

/** A span of the calendar by which mementos are told apart. */
export type CalendarRule = (typeof CALENDAR_RULES)[number];

interface LocalTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  /** Tells the two hours apart that have one name when clocks are set back. */
  readonly offset: string;
}

const DAY_MS = 86_400_000;

/** Tells in which hour, day, week, month and year of a time zone a moment lies. */
export class Calendar {
  readonly #format: Intl.DateTimeFormat | null;
  #last: { readonly momentMs: number; readonly local: LocalTime } | null = null;

  constructor(timeZone: string) {
    this.#format =
      timeZone === "UTC"
        ? null
        : new Intl.DateTimeFormat("en-u-ca-iso8601", {
            timeZone,
            hourCycle: "h23",
            year: "numeric",
            month: "numeric",
            day: "numeric",
            hour: "numeric",
            timeZoneName: "longOffset",
          });
  }

  /** The bucket of a moment: moments of one bucket, and only those, have the same text. */
  bucket(rule: CalendarRule, momentMs: number): string {
    const { year, month, day, hour, offset } = this.#local(momentMs);
    switch (rule) {
      case "hourly":
        return `${year}-${month}-${day} ${hour} ${offset}`;
      case "daily":
        return `${year}-${month}-${day}`;
      case "weekly": {
        // Days since a Monday, whichever time zone they are of.
        const days = Math.floor(Date.UTC(year, month - 1, day) / DAY_MS) + 3;
        return `week ${Math.floor(days / 7)}`;
      }
      case "monthly":
        return `${year}-${month}`;
      case "yearly":
        return String(year);
    }
  }

  #local(momentMs: number): LocalTime {
    if (this.#last?.momentMs === momentMs) return this.#last.local;
    const local = this.#format === null ? utc(momentMs) : zoned(this.#format, momentMs);
    this.#last = { momentMs, local };
    return local;
  }
}

function utc(momentMs: number): LocalTime {
  const date = new Date(momentMs);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()];
  return { year, month, day, hour: date.getUTCHours(), offset: "" };
}

function zoned(format: Intl.DateTimeFormat, momentMs: number): LocalTime {
  const parts = new Map(format.formatToParts(momentMs).map(({ type, value }) => [type, value]));
  const number = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  const [year, month, day, hour] = [number("year"), number("month"), number("day"), number("hour")];
  return { year, month, day, hour, offset: parts.get("timeZoneName") ?? "" };
}

import { MementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { TimedBy } from "../vault/timings.ts";

/** What statistics are grouped by. */
export type StatisticsBy = "caretaker" | "pipeline" | "stage" | "day";

/** How mementos fall into groups. */
export interface Grouping {
  /** The key of the group that a memento belongs to; null for none. */
  keyOf(entry: MementoEntry): string | null;
  /** The same for timed work, which knows less; null for none. */
  keyOfTimed(timed: TimedBy): string | null;
}

/** The grouping of this name. INVALID_ARGUMENT for an unknown name or time zone. */
export function groupingBy(by: StatisticsBy, timeZone: string): Grouping {
  const none = (): null => null;
  switch (by) {
    case "caretaker":
      return { keyOf: ({ caretaker }) => caretaker, keyOfTimed: ({ caretaker }) => caretaker };
    case "pipeline":
      return { keyOf: (entry) => (entry.kind === "pipeline" ? originatorKey(entry) : null), keyOfTimed: originatorKey };
    case "stage":
      return {
        keyOf: (entry) =>
          entry.kind === "pipeline" && entry.stage !== undefined ? `${originatorKey(entry)}/${entry.stage}` : null,
        keyOfTimed: none,
      };
    case "day":
      return { keyOf: daysIn(timeZone), keyOfTimed: none };
    default:
      throw new MementoError(
        "INVALID_ARGUMENT",
        `Statistics are grouped by caretaker, pipeline, stage or day, not by ${JSON.stringify(by)}`,
      );
  }
}

const originatorKey = ({ caretaker, originator }: TimedBy): string => `${caretaker}/${originator}`;

function daysIn(timeZone: string): (entry: MementoEntry) => string {
  if (timeZone === "UTC") return ({ created }) => created.slice(0, 10);
  const format = dayFormat(timeZone);
  let [minute, day] = ["", ""];
  return ({ created }) => {
    // Neighbours are mostly of one minute, and a day begins at a full one everywhere.
    if (created.slice(0, 16) !== minute) {
      minute = created.slice(0, 16);
      day = format.format(Date.parse(created));
    }
    return day;
  };
}

function dayFormat(timeZone: string): Intl.DateTimeFormat {
  try {
    // The form of Sweden is that of ISO 8601.
    return new Intl.DateTimeFormat("sv-SE", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new MementoError("INVALID_ARGUMENT", `There is no time zone ${JSON.stringify(timeZone)}`, {
      cause,
      hint: "Use a name such as Europe/Vienna.",
    });
  }
}

import { MementoError } from "../core/errors.ts";

const DAY = String.raw`\d{4}-\d\d-\d\d`;
const TIME = String.raw`(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?`;
const ZONE = String.raw`Z|[+-](?:[01]\d|2[0-3]):[0-5]\d`;
const MOMENT = new RegExp(`^(?<day>${DAY})(?:T(?<time>${TIME})(?<zone>${ZONE})?)?$`, "u");

/**
 * A moment that somebody wrote down, in milliseconds since 1970: ISO 8601, a day (its beginning in UTC) or a day and a time
 * with its zone. INVALID_ARGUMENT, naming `what`, for another text, for a day that its month lacks, and for a time without a
 * zone: it would be another moment on another machine.
 */
export function momentOf(text: string, what: string): number {
  const { day = "", time, zone } = MOMENT.exec(text)?.groups ?? {};
  const dayMs = Date.parse(`${day}T00:00:00Z`);
  // The engine takes the 31st of February for the 3rd of March.
  if (Number.isNaN(dayMs) || new Date(dayMs).toISOString().slice(0, 10) !== day) throw noMoment(text, what);
  if (time === undefined) return dayMs;
  if (zone === undefined) throw noMoment(text, what, `Say in which zone: ${text}Z in UTC, or ${text}+01:00.`);
  return Date.parse(text);
}

/** The same as the text that a memento's `created` is: two such texts are compared as their moments are. */
export function momentText(text: string, what: string): string {
  return new Date(momentOf(text, what)).toISOString();
}

function noMoment(text: string, what: string, hint = HINT): MementoError {
  return new MementoError("INVALID_ARGUMENT", `${JSON.stringify(text.slice(0, 40))} is no moment for ${what}`, {
    hint,
  });
}

const HINT = "Write it as in 2027-01-31 or 2027-01-31T12:00:00Z.";

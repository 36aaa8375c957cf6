import { MementoError } from "./errors.ts";
import type { Random } from "./ports.ts";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** `length` random characters, 5 bits each, without look-alikes (Crockford's alphabet, lower case). */
export function randomText(random: Random, length: number): string {
  let text = "";
  for (const byte of random.bytes(length)) text += ALPHABET[byte & 31];
  return text;
}

/** A timeline's key: 12 characters, 60 random bits. */
export function newTimelineKey(random: Random): string {
  return randomText(random, 12);
}

/** A run's id: `r` and 12 characters. */
export function newRunId(random: Random): string {
  return `r${randomText(random, 12)}`;
}

/** True for a text of the form that `newRunId` gives; a key of one's own may have it too. */
export function isMadeRunId(text: string): boolean {
  return /^r[0-9a-hjkmnp-tv-z]{12}$/.test(text);
}

/** The parts of a memento's id. */
export interface MementoIdParts {
  readonly timeline: string;
  readonly sequence: number;
}

/**
 * A memento's id: `timeline-sequence-nonce`. The place can be read from it, so that every store finds a record by id
 * without a second index; the nonce tells two writers apart who raced for one place, so an id is never taken again.
 */
export function newMementoId(timeline: string, sequence: number, random: Random): string {
  return `${timeline}-${sequence}-${randomText(random, 6)}`;
}

const MEMENTO_ID = /^([0-9a-hjkmnp-tv-z]{12})-([1-9][0-9]{0,14})-[0-9a-hjkmnp-tv-z]{6}$/;

/** Reads the place out of a memento's id, or gives undefined when the text is no id. */
export function parseMementoId(id: string): MementoIdParts | undefined {
  const match = MEMENTO_ID.exec(id);
  const [, timeline, sequence] = match ?? [];
  if (timeline === undefined || sequence === undefined) return undefined;
  return { timeline, sequence: Number(sequence) };
}

/** Returns `name`, or throws NAME_INVALID with what it is the name of. */
export function checkName(what: string, name: string): string {
  // Names stand in URLs, file names and terminals: control characters and lone surrogates have no place there.
  const isText = typeof name === "string";
  const sound = isText && name.length >= 1 && name.length <= 200 && name.isWellFormed() && !/\p{Cc}/u.test(name);
  if (sound) return name;
  const told = isText ? JSON.stringify(name.slice(0, 60)) : `${String(name)} (a ${typeof name})`;
  throw new MementoError("NAME_INVALID", `${what} ${told} is not a valid name`);
}

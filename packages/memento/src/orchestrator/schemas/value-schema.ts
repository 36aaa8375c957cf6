import { MementoError } from "../../core/errors.ts";
import { thrownText } from "../../core/thrown-text.ts";

/** The shape of a value that mementos keep, and how it came to be what it is: the code's own version, and the ways to it. */
export interface ValueSchema {
  /** A name for the shape; another one is another thing, which nothing is made into. */
  readonly id: string;
  /** The version that the code works with, from 1 on. A memento that says nothing of it has version 1. */
  readonly version: number;
  /**
   * By the version that they start from: each gives the value as the next version has it, at once, and changes nothing in place.
   * State and offsets stay plain objects. An output that is something does not become undefined: that is a forgotten `return`. One
   * that is undefined, as of a stage that was passed over, is cast too, and may stay so. SCHEMA_UNREADABLE.
   */
  readonly upcasters?: Readonly<Record<number, (value: never) => unknown>>;
  /** The same, each to the version before its own, for code that was put back. */
  readonly downcasters?: Readonly<Record<number, (value: never) => unknown>>;
}

/** Under what a value was saved. */
export interface SchemaStamp {
  readonly id: string;
  readonly version: number;
}

/** How a value gets from the version it was saved under to the code's. */
export type CastWay = "same" | "up" | "down";

const FIRST_VERSION = 1;

/** The stamp that values of this schema are saved with. */
export const stampOf = ({ id, version }: ValueSchema): SchemaStamp => ({ id, version });

/** How a value gets to the code's version. SCHEMA_UNREADABLE, naming `what`, where there is no way. */
export function castWay(schema: ValueSchema, stamp: SchemaStamp | undefined, what: string): CastWay {
  const { id, version } = stamp ?? { id: schema.id, version: FIRST_VERSION };
  if (id !== schema.id) throw unreadable(what, `was saved as ${id}, and the code reads ${schema.id}`, schema, version);
  if (version === schema.version) return "same";
  for (const [from, caster] of castersBetween(schema, version)) {
    if (caster !== undefined) continue;
    const missing = from < schema.version ? `no upcaster from version ${from}` : `no downcaster from version ${from}`;
    throw unreadable(what, `was saved as ${id} version ${version}, and the code has ${missing}`, schema, version);
  }
  return version < schema.version ? "up" : "down";
}

/**
 * The value as the code's version has it. SCHEMA_UNREADABLE, naming `what`, where there is no way, or a caster throws or gives what
 * is no value. `isRecord`: it has members by name, and no version of it is anything else; default false.
 */
export function castValue(
  schema: ValueSchema,
  stamp: SchemaStamp | undefined,
  value: unknown,
  what: string,
  isRecord = false,
): unknown {
  if (castWay(schema, stamp, what) === "same") return value;
  const version = stamp?.version ?? FIRST_VERSION;
  let cast = value;
  for (const [from, caster] of castersBetween(schema, version)) {
    const failed = (problem: string, cause?: unknown): MementoError =>
      unreadable(what, `could not be made of version ${from} of ${schema.id}: ${problem}`, schema, version, cause);
    const before = cast;
    try {
      cast = caster?.(before as never);
    } catch (error) {
      throw failed(thrownText(error), error);
    }
    const problem = castProblem(before, cast, isRecord);
    if (problem !== null) throw failed(`its caster gave ${problem}`);
  }
  return cast;
}

/** What a caster gave, where that is no value of any version; null where it may be one. */
function castProblem(before: unknown, cast: unknown, isRecord: boolean): string | null {
  if (cast instanceof Promise) {
    // Nobody waits for it: its failure would end the process, and what is said here is what is wrong.
    cast.catch(() => undefined);
    return "a promise, and must give the value at once";
  }
  if (isRecord) return isPlainObject(cast) ? null : `${kindOf(cast)}, and must give a plain object`;
  return cast === undefined && before !== undefined ? "undefined; does it forget its return?" : null;
}

function isPlainObject(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** What a value is, for people; never the value itself, which may be a secret. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object of another class" : `a ${typeof value}`;
}

/** Code without a schema reads what is of the first version, and no other: SCHEMA_UNREADABLE, naming `what`. */
export function demandFirst(stamp: SchemaStamp | undefined, what: string): void {
  if (stamp === undefined || stamp.version === FIRST_VERSION) return;
  const { id, version } = stamp;
  throw new MementoError(
    "SCHEMA_UNREADABLE",
    `${what} was saved as ${id} version ${version}, and the code has no schema for it`,
    { details: { item: what, schema: id, saved: version } },
  );
}

/** Throws INVALID_PIPELINE, naming `what`, for a schema that contradicts itself. */
export function checkSchema(schema: ValueSchema, what: string): void {
  if (schema.id !== "" && Number.isSafeInteger(schema.version) && schema.version >= FIRST_VERSION) return;
  throw new MementoError(
    "INVALID_PIPELINE",
    `The schema of ${what} needs an id, and a version that is a whole number from ${FIRST_VERSION} on`,
  );
}

type Caster = ((value: never) => unknown) | undefined;

/** The casters from a version to the code's, in their order; one by one, for a version may be a date, and be far away. */
function* castersBetween(schema: ValueSchema, from: number): Generator<[from: number, caster: Caster]> {
  for (let version = from; version < schema.version; version++) yield [version, schema.upcasters?.[version]];
  for (let version = from; version > schema.version; version--) yield [version, schema.downcasters?.[version]];
}

function unreadable(
  what: string,
  problem: string,
  schema: ValueSchema,
  version: number,
  cause?: unknown,
): MementoError {
  return new MementoError("SCHEMA_UNREADABLE", `${what} ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    details: { item: what, schema: schema.id, saved: version, code: schema.version },
  });
}

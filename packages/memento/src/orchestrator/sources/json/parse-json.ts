/** A JSON text holds a number that no number here is: it would come back as an infinity, or as 0. Tells where it stands, and never the number. */
class UnkeptNumber extends Error {}

/** The problem of what is no JSON at all. */
export const NOT_JSON = "is not valid JSON";

/** What is wrong with a text that `parseJson` refused, for the end of a sentence; never anything of the text. Other errors are thrown again. */
export function jsonProblem(error: unknown): string {
  if (error instanceof UnkeptNumber) return error.message;
  if (error instanceof SyntaxError) return NOT_JSON;
  if (error instanceof RangeError) return "is nested too deep";
  throw error;
}

/**
 * What a JSON text says, with every whole number as it stands: beyond 2^53 - 1 as a bigint. Of a number with a point or an exponent it is
 * the nearest float, as everywhere. Throws what `jsonProblem` knows, for what is no JSON and for a number that would come back as an
 * infinity or as 0. To look at the values costs some 5 % of reading a file of JSON lines, to look through the text would cost up to half;
 * only a text with doubtful ones is parsed anew, number by number, which takes six times as long.
 */
export function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const doubt = doubtOf(value);
  return doubt === "great" || (doubt === "zero" && UNDERFLOW.test(text)) ? parseDigits(text) : value;
}

/** What a float may have made of another number: `great`, an infinity or a whole number that has neighbours; `zero`. */
type Doubt = "none" | "zero" | "great";

const UNDERFLOW = /[eE]-\d{3}|\.0{200}/;

function doubtOf(value: unknown): Doubt {
  if (typeof value === "number")
    return value === 0 ? "zero" : value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER ? "great" : "none";
  if (typeof value !== "object" || value === null) return "none";
  return Array.isArray(value) ? doubtOfItems(value) : doubtOfMembers(value as Readonly<Record<string, unknown>>);
}

function doubtOfItems(items: readonly unknown[]): Doubt {
  let doubt: Doubt = "none";
  for (const item of items) {
    const found = doubtOf(item);
    if (found === "great") return found;
    if (found === "zero") doubt = found;
  }
  return doubt;
}

/** Without a list of the members: this is what each record costs. */
function doubtOfMembers(members: Readonly<Record<string, unknown>>): Doubt {
  let doubt: Doubt = "none";
  for (const name in members) {
    const found = doubtOf(members[name]);
    if (found === "great") return found;
    if (found === "zero") doubt = found;
  }
  return doubt;
}

function parseDigits(text: string): unknown {
  let isUnkept = false;
  const value: unknown = JSON.parse(text, (_key, read: unknown, context?: { readonly source?: string }) => {
    if (typeof read !== "number") return read;
    const source = context?.source ?? String(read);
    if (/^-?\d+$/.test(source)) return Number.isSafeInteger(read) ? read : BigInt(source);
    if (Number.isFinite(read) && (read !== 0 || !/^[^eE]*[1-9]/.test(source))) return read;
    isUnkept = true;
    return UNKEPT;
  });
  if (isUnkept) throw new UnkeptNumber(`holds a number that cannot be kept, at ${pathTo(value)}`);
  return value;
}

/** Stands in a number's place until its path is known. */
const UNKEPT = Symbol("unkept");

/** `$.rows[2].total` */
function pathTo(value: unknown): string {
  const steps = (stepsTo(value) ?? []).map((step) => {
    if (/^[A-Za-z_]\w*$/.test(step)) return `.${step}`;
    return /^\d+$/.test(step) ? `[${step}]` : `[${JSON.stringify(step)}]`;
  });
  return `$${steps.join("")}`;
}

function stepsTo(value: unknown): readonly string[] | null {
  if (value === UNKEPT) return [];
  if (typeof value !== "object" || value === null) return null;
  for (const [step, member] of Object.entries(value)) {
    const rest = stepsTo(member);
    if (rest !== null) return [step, ...rest];
  }
  return null;
}

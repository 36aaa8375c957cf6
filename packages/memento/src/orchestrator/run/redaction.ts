import type { Json } from "../../core/json.ts";
import type { Credential } from "../credentials/provider.ts";

/** What stands in a text in place of a secret. */
const REDACTED = "***";
/** Shorter values would blank out ordinary words. */
const SECRET_CHARACTERS_MIN = 4;

/** Takes the credentials of a run out of texts that leave it: error messages and log lines. */
export class Redaction {
  #needles: readonly string[] = [];

  constructor(credentials: Readonly<Record<string, Credential>>) {
    for (const { value } of Object.values(credentials)) this.learn(value);
  }

  /** From now on this secret is taken out too; one with several parts in JSON, part by part. */
  learn(secret: string): void {
    const values = [secret, ...partsOf(secret)].filter((value) => value.length >= SECRET_CHARACTERS_MIN);
    // Longest first, so that an encoded form is not left half behind.
    this.#needles = [...new Set([...this.#needles, ...values.flatMap(spellings)])].toSorted(
      (a, b) => b.length - a.length,
    );
  }

  text(text: string): string {
    let clean = text;
    for (const needle of this.#needles) clean = clean.replaceAll(needle, REDACTED);
    return clean;
  }

  /** The error itself when it holds no secret; otherwise a copy of its name, message and stack without it. */
  error(error: unknown): unknown {
    if (!(error instanceof Error)) return typeof error === "string" ? this.text(error) : error;
    const [message, stack] = [this.text(error.message), this.text(error.stack ?? "")];
    if (message === error.message && stack === (error.stack ?? "") && error.cause === undefined) return error;
    const clean = new Error(message, error.cause === undefined ? undefined : { cause: this.error(error.cause) });
    clean.name = error.name;
    clean.stack = stack;
    return clean;
  }

  json<Value extends Json>(value: Value): Value {
    if (this.#needles.length === 0) return value;
    return JSON.parse(JSON.stringify(value), (_key, item: unknown) =>
      typeof item === "string" ? this.text(item) : item,
    ) as Value;
  }
}

/** The texts in a secret that is a JSON object. */
function partsOf(secret: string): string[] {
  if (!secret.startsWith("{")) return [];
  try {
    const parts: string[] = [];
    JSON.parse(secret, (_key, value: unknown) => {
      if (typeof value === "string") parts.push(value);
      return value;
    });
    return parts;
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/** A secret as it is, and as it comes back out of common encodings. */
function spellings(value: string): string[] {
  const bytes = Buffer.from(value, "utf8");
  return [
    value,
    encodeURIComponent(value),
    bytes.toString("base64"),
    bytes.toString("base64url"),
    bytes.toString("hex"),
    JSON.stringify(value).slice(1, -1),
  ];
}

import { inspect } from "node:util";

import { isMementoError, MementoError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import type { Credential } from "../credentials/provider.ts";
import { partsOf, spellingsOf } from "./secret-spellings.ts";

/** What stands in a text in place of a secret. */
const REDACTED = "***";
/** Shorter values would blank out ordinary words. */
const SECRET_CHARACTERS_MIN = 4;
/** How far an error is looked into: further than anybody prints one. */
const DEPTH = 8;
const SHOWN_WHOLLY = {
  depth: DEPTH,
  maxStringLength: null,
  maxArrayLength: 10_000,
  breakLength: Number.POSITIVE_INFINITY,
} as const;

/** Takes the credentials of a run out of what leaves it: errors and log lines. */
export class Redaction {
  /** The longest first, so that none is left half behind. */
  #needles: readonly string[] = [];

  constructor(credentials: Readonly<Record<string, Credential>>) {
    for (const { value } of Object.values(credentials)) this.learn(value);
  }

  /** From now on this secret is taken out too, and its parts by themselves: see `partsOf`. */
  learn(secret: string): void {
    const values = [secret, ...partsOf(secret)].filter((value) => value.length >= SECRET_CHARACTERS_MIN);
    const needles = new Set([...this.#needles, ...values.flatMap(spellingsOf)]);
    this.#needles = [...needles].toSorted((a, b) => b.length - a.length);
  }

  text(text: string): string {
    let clean = text;
    for (const needle of this.#needles) clean = clean.replaceAll(needle, REDACTED);
    return clean;
  }

  /**
   * The error itself where nothing that is shown of it holds a secret; otherwise a copy without: name, message, stack and cause,
   * and the code, hint and details of a MementoError. Anything else that it had is left out.
   */
  error(error: unknown, depth = DEPTH): unknown {
    if (this.#isClean(error)) return error;
    if (!(error instanceof Error) || depth === 0) return typeof error === "string" ? this.text(error) : REDACTED;
    const message = this.text(error.message);
    const cause = error.cause === undefined ? {} : { cause: this.error(error.cause, depth - 1) };
    const clean = isMementoError(error)
      ? new MementoError(error.code, message, { ...cause, hint: this.text(error.hint), details: this.#details(error) })
      : Object.assign(new Error(message, cause), { name: error.name });
    clean.stack = this.text(error.stack ?? "");
    return clean;
  }

  /** Secrets are taken out of its texts and keys. A bigint, which is no JSON and which people log all the same, stays one. */
  json<Value extends Json>(value: Value): Value {
    return this.#needles.length === 0 ? value : (this.#plain(value) as Value);
  }

  #plain(value: unknown): unknown {
    if (typeof value === "string") return this.text(value);
    if (typeof value !== "object" || value === null) return value;
    if ("toJSON" in value && typeof value.toJSON === "function")
      return this.#plain(Reflect.apply(value.toJSON, value, []));
    if (Array.isArray(value)) return value.map((item) => this.#plain(item));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [this.text(key), this.#plain(item)]));
  }

  #isClean(value: unknown): boolean {
    if (this.#needles.length === 0) return true;
    const shown = typeof value === "string" ? value : inspect(value, SHOWN_WHOLLY);
    return this.text(shown) === shown;
  }

  #details({ details }: MementoError): Readonly<Record<string, unknown>> {
    const clean = ([name, value]: [string, unknown]): [string, unknown] => {
      if (this.#isClean(value)) return [name, value];
      return [name, typeof value === "string" ? this.text(value) : REDACTED];
    };
    return Object.fromEntries(Object.entries(details).map(clean));
  }
}

import { inspect } from "node:util";

/**
 * What was thrown, as the text of a message: JavaScript lets code throw whatever it has, and some clients throw the body of an answer.
 * It may hold a secret; its texts are whole, so that one can be found in it.
 */
export function thrownText(thrown: unknown): string {
  if (typeof thrown === "string") return thrown;
  if (thrown instanceof Error) return thrown.message;
  const { message } = (thrown ?? {}) as { readonly message?: unknown };
  if (typeof message === "string" && message !== "") return message;
  return inspect(thrown, { depth: 1, breakLength: Number.POSITIVE_INFINITY, maxStringLength: null });
}

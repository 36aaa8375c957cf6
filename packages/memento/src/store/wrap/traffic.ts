import type { StoreCall } from "./intercept.ts";

/** Bytes of headers and bodies that a call brings to the store. */
export function bytesIn({ args }: Pick<StoreCall, "args">): number {
  return args.reduce<number>((sum, argument) => sum + bytesOf(argument), 0);
}

/** Bytes of headers and bodies in a store's answer, an iterable's step included. */
export function bytesOut(answer: unknown): number {
  return isObject(answer) && "value" in answer && "done" in answer ? bytesOf(answer["value"]) : bytesOf(answer);
}

function bytesOf(value: unknown): number {
  if (value instanceof Uint8Array) return value.byteLength;
  if (!isObject(value)) return 0;
  const { header, body } = value;
  return (header instanceof Uint8Array ? header.byteLength : 0) + (body instanceof Uint8Array ? body.byteLength : 0);
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null;

import { createHash, hash, webcrypto } from "node:crypto";

import { canonicalJson, type Json } from "./json.ts";

/** SHA-256 of bytes or UTF-8 text, as 43 characters of base64url. */
export function sha256(data: Uint8Array | string): string {
  return hash("sha256", data, "base64url");
}

/** The same of bytes, taken by another thread; they are copied before this returns. */
export async function sha256Elsewhere(data: Uint8Array): Promise<string> {
  return Buffer.from(await webcrypto.subtle.digest("SHA-256", data as Uint8Array<ArrayBuffer>)).toString("base64url");
}

/** SHA-256 of a JSON value's canonical text. */
export function sha256OfJson(value: Json): string {
  return sha256(canonicalJson(value));
}

/** A SHA-256 that grows as data comes in. */
export interface RunningDigest {
  update(data: Uint8Array | string): void;
  /** The digest of all so far; may be asked for again after more updates. */
  current(): string;
}

/** Starts a SHA-256 over a stream of data. */
export function runningSha256(): RunningDigest {
  const state = createHash("sha256");
  return {
    update: (data) => void state.update(data),
    current: () => state.copy().digest("base64url"),
  };
}

import { MementoError } from "../../core/errors.ts";
import { KEY_BYTES, ringKeyId } from "./key-ring.ts";

const PREFIX = "memento-key-1:";

/** One key as a line of text: `memento-key-1:<id>:<base64url>`. */
export function formatKey(key: Uint8Array): string {
  return `${PREFIX}${ringKeyId(key)}:${Buffer.from(key).toString("base64url")}`;
}

/**
 * Reads keys from text: one a line, the current one first; `#` starts a comment. A line may also be 32 bare bytes in
 * base64 or base64url. `origin` names the place in messages, which never hold the key. Throws KEY_WRONG.
 */
export function parseKeys(text: string, origin: string): Uint8Array[] {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  const keys = lines.map((line, index) => parseKey(line, `${origin}, key ${index + 1}`));
  if (keys.length === 0) throw new MementoError("KEY_WRONG", `${origin} holds no key`);
  return keys;
}

function parseKey(line: string, origin: string): Uint8Array {
  const [id, encoded] = line.startsWith(PREFIX) ? line.slice(PREFIX.length).split(":") : [undefined, line];
  const key = Buffer.from(encoded ?? "", "base64url");
  if (key.length !== KEY_BYTES) throw new MementoError("KEY_WRONG", `${origin} is not a key of ${KEY_BYTES} bytes`);
  if (id !== undefined && id !== ringKeyId(key))
    throw new MementoError("KEY_WRONG", `${origin} does not fit its own id; it was changed`);
  return key;
}

/** The id of the key on a line of a key file; null for comments and empty lines. */
export function keyLineId(line: string): string | null {
  const text = line.trim();
  return text === "" || text.startsWith("#") ? null : ringKeyId(parseKey(text, "The key"));
}

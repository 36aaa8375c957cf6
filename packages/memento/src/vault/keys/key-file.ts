import { open, readFile } from "node:fs/promises";

import { MementoError } from "../../core/errors.ts";
import { systemRandom, type Random } from "../../core/ports.ts";
import { KEY_BYTES, rawKeyRing, type KeyRing } from "./key-ring.ts";
import { formatKey, parseKeys } from "./key-text.ts";

/** Reads a key file. KEY_MISSING when there is none, KEY_WRONG when it holds something else. */
export async function keyRingFromFile(path: string): Promise<KeyRing> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw new MementoError("KEY_MISSING", `The key file ${path} cannot be read (${reason})`, { cause });
  }
  return rawKeyRing(parseKeys(text, path));
}

/** Makes a key file that only its owner may read (mode 0600), durable before it returns. Returns false and changes nothing where one exists. */
export async function createKeyFile(path: string, random: Random = systemRandom): Promise<boolean> {
  let file;
  try {
    file = await open(path, "wx", 0o600);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "EEXIST") return false;
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    throw new MementoError("IO_FAILED", `The key file ${path} cannot be made (${reason})`, { cause });
  }
  try {
    await file.writeFile(
      `# Whoever has this key can read the store; without it nobody can. Keep a copy elsewhere.\n${formatKey(random.bytes(KEY_BYTES))}\n`,
    );
    await file.sync();
  } finally {
    await file.close();
  }
  return true;
}

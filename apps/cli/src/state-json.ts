import { MementoError } from "@mementojs/memento";

import { lostNumber, readJson } from "./exact-json.ts";

/** Reads a state that is written as JSON, with every value as it stands there. INVALID_ARGUMENT for bytes that are not UTF-8, for what is not JSON, and for a number that would come back as another one. */
export function parseState(bytes: Uint8Array, where: string): unknown {
  const text = decoded(bytes, where);
  try {
    const { value, lost } = readJson(text);
    if (lost !== null) throw lostNumber(lost, where);
    return value;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    const hint = "Without --state its bytes are saved.";
    throw new MementoError("INVALID_ARGUMENT", `${where} is not JSON`, { cause, hint });
  }
}

function decoded(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    const hint = "Write it as UTF-8; or leave out --state, and its bytes are saved as they are.";
    throw new MementoError("INVALID_ARGUMENT", `${where} is not valid UTF-8`, { cause, hint });
  }
}

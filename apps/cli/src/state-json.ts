import { MementoError } from "@mementojs/memento";

/** Reads a state that is written as JSON, with every value as it stands there. INVALID_ARGUMENT for bytes that are not UTF-8, for what is not JSON, and for a number that would come back as another one. */
export function parseState(bytes: Uint8Array, where: string): unknown {
  const text = decoded(bytes, where);
  try {
    return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
      if (typeof value === "number") demandKept(value, context?.source ?? String(value), where);
      return value;
    });
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

function demandKept(value: number, source: string, where: string): void {
  const isWhole = /^-?\d+(?:\.0+)?$/u.test(source);
  const isLost = value === 0 && /[1-9]/u.test(source.replace(/e.*$/iu, ""));
  if (Number.isFinite(value) && !isLost && (!isWhole || Number.isSafeInteger(value))) return;
  throw new MementoError("INVALID_ARGUMENT", `The number ${source} in ${where} cannot be kept exactly`, {
    hint: `Quote it as a string: "${source}".`,
  });
}

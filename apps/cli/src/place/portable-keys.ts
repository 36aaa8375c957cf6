import { readFile } from "node:fs/promises";
import path from "node:path";

import { MementoError } from "@mementojs/memento";
import type { KeySource } from "@mementojs/memento/vault";

import type { Io } from "../io.ts";
import { keysInFile, variableOf } from "./key-options.ts";

/** What a command line says of a portable file's key. */
export interface PortableKeyOptions {
  /** A file without any seal. */
  readonly plain?: true;
  readonly keyFile?: string;
  /** The variable that holds a passphrase. */
  readonly passphraseEnv?: string;
}

/** The keys of a portable file, as `{ keys }` for the library; nothing where the store's own are meant. INVALID_ARGUMENT for two at once, KEY_MISSING for an empty variable. */
export function portableKeys(
  { plain, keyFile, passphraseEnv }: PortableKeyOptions,
  io: Pick<Io, "cwd" | "env">,
): { readonly keys?: KeySource } {
  if ([plain, keyFile, passphraseEnv].filter((option) => option !== undefined).length > 1)
    throw new MementoError("INVALID_ARGUMENT", "--plain, --key-file and --passphrase-env contradict each other");
  if (plain === true) return { keys: false };
  if (keyFile !== undefined) return { keys: keysInFile(path.resolve(io.cwd, keyFile), "--key-file") };
  if (passphraseEnv === undefined) return {};
  const asked = { kind: "passphrase", option: "--passphrase-env" } as const;
  return { keys: { passphrase: variableOf(passphraseEnv, asked, io) } };
}

const FINGERPRINT = /^ed25519:[\w-]{43}$/u;

/** The fingerprints that `--trust` names: each value is one, or a file with one on each line. INVALID_ARGUMENT, INPUT_MISSING. */
export async function trustedSigners(
  values: readonly string[] | undefined,
  { cwd }: Pick<Io, "cwd">,
): Promise<{ readonly trust?: readonly string[] }> {
  if (values === undefined) return {};
  const trust: string[] = [];
  for (const value of values) {
    if (FINGERPRINT.test(value)) trust.push(value);
    else trust.push(...(await fingerprintsIn(path.resolve(cwd, value))));
  }
  return { trust };
}

async function fingerprintsIn(file: string): Promise<readonly string[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (cause) {
    throw new MementoError("INPUT_MISSING", `${file} is neither a fingerprint nor a file that can be read`, {
      cause,
      hint: "A fingerprint is ed25519: and 43 characters, as `memento export` shows it.",
    });
  }
  const found = text
    .split(/\r?\n/u)
    .map((line) => line.replace(/#.*$/u, "").trim())
    .filter((line) => line !== "");
  const wrong = found.find((line) => !FINGERPRINT.test(line));
  if (wrong === undefined && found.length > 0) return found;
  throw new MementoError("INVALID_ARGUMENT", `${file} does not hold fingerprints, one on each line`);
}

import { readFile } from "node:fs/promises";

import type { CredentialOptions, CredentialProvider } from "./provider.ts";
import { unavailable } from "./unavailable.ts";

/** How a credential in a file is to be understood. */
export interface CredentialFileOptions extends CredentialOptions {
  /** How long it may be used after it was read; default: for ever. Give one where another program puts a new one into the file. */
  readonly lifetimeMs?: number;
}

/**
 * A credential in a file of its own, read anew each time it is acquired: a mounted secret, or what an agent keeps fresh. One line
 * end at its end is left out. CREDENTIAL_UNAVAILABLE, naming the file, when it is missing, unreadable or empty.
 */
export function fromFile(path: string, options: CredentialFileOptions = {}): CredentialProvider {
  const { scope = path, seal = false, lifetimeMs } = options;
  return {
    kind: "file",
    scope,
    seal,
    acquire: async ({ name, clock, signal }) => {
      const text = await readFile(path, { encoding: "utf8", signal }).catch((error: unknown) => {
        throw unavailable(name, `is read from ${path}, which cannot be read (${reasonOf(error)})`);
      });
      const value = text.replace(/\r?\n$/, "");
      if (value === "") throw unavailable(name, `is read from ${path}, which is empty`);
      return { value, scope, expiresAt: lifetimeMs === undefined ? null : clock.now() + lifetimeMs };
    },
  };
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return "unknown";
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

import { fileURLToPath } from "node:url";

import { MementoError } from "../core/errors.ts";
import type { MementoStore } from "./store.ts";

/** A store, and where its own key file belongs. */
export interface OpenedStore {
  readonly store: MementoStore;
  /** The key file that belongs to an embedded store; null where there is none. */
  readonly keyFile: string | null;
}

/**
 * Opens the store that a URL names: `memory:`, `file:FOLDER`, `sqlite:FILE`. Paths may be relative or absolute, with or
 * without `//`. PORT_UNKNOWN for other kinds, and what the driver raises.
 */
export async function openStore(url: string): Promise<OpenedStore> {
  const scheme = /^([a-z][a-z0-9+.-]*):/.exec(url)?.[1];
  switch (scheme) {
    case "memory": {
      const { MemoryStore } = await import("./memory/index.ts");
      return { store: await MemoryStore.open(), keyFile: null };
    }
    case "sqlite": {
      const path = pathOf(url, scheme);
      const { SqliteStore } = await import("./sqlite/index.ts");
      return { store: await SqliteStore.open({ path }), keyFile: `${path}.key` };
    }
    case "file": {
      const path = pathOf(url, scheme);
      const { FileStore } = await import("./file/index.ts");
      return { store: await FileStore.open({ path }), keyFile: `${path.replace(/\/+$/, "")}.key` };
    }
    default:
      throw new MementoError(
        "PORT_UNKNOWN",
        `${JSON.stringify(withoutSecrets(url))} is not a store's URL: it begins with none of memory:, file:, sqlite:`,
      );
  }
}

function pathOf(url: string, scheme: string): string {
  const rest = url.slice(scheme.length + 1);
  const path = rest.startsWith("///") ? fileURLToPath(`file:${rest}`) : rest.startsWith("//") ? rest.slice(2) : rest;
  if (path === "") throw new MementoError("INVALID_ARGUMENT", `The URL ${scheme}: names no path`);
  return path;
}

/** A URL as it may be shown: without user and password. */
function withoutSecrets(url: string): string {
  return url.replace(/\/\/[^@/]*@/, "//***@").replace(/\?.*$/, "?…");
}

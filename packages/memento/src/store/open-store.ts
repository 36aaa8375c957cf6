import { fileURLToPath } from "node:url";

import { MementoError } from "../core/errors.ts";
import { shownUrl } from "../core/shown-url.ts";
import type { MementoStore } from "./store.ts";

/** A store, and where its own key file belongs. */
export interface OpenedStore {
  readonly store: MementoStore;
  /** The key file that belongs to an embedded store; null where there is none. */
  readonly keyFile: string | null;
}

async function postgres(url: string): Promise<OpenedStore> {
  const { PostgresStore } = await import("./postgres/index.ts");
  return { store: await PostgresStore.openUrl(url), keyFile: null };
}

async function redis(url: string): Promise<OpenedStore> {
  const { RedisStore } = await import("./redis/index.ts");
  return { store: await RedisStore.openUrl(url), keyFile: null };
}

async function mongodb(url: string): Promise<OpenedStore> {
  const { MongodbStore } = await import("./mongodb/index.ts");
  return { store: await MongodbStore.openUrl(url), keyFile: null };
}

async function mysql(url: string): Promise<OpenedStore> {
  const { MysqlStore } = await import("./mysql/index.ts");
  return { store: await MysqlStore.openUrl(url), keyFile: null };
}

/** How each kind of URL is opened. A driver is loaded when it is called for. */
const DRIVERS: Readonly<Record<string, (url: string) => Promise<OpenedStore>>> = {
  memory: async () => {
    const { MemoryStore } = await import("./memory/index.ts");
    return { store: await MemoryStore.open(), keyFile: null };
  },
  file: async (url) => {
    const path = pathOf(url);
    const { FileStore } = await import("./file/index.ts");
    return { store: await FileStore.open({ path }), keyFile: `${path.replace(/\/+$/, "")}.key` };
  },
  sqlite: async (url) => {
    const path = pathOf(url);
    const { SqliteStore } = await import("./sqlite/index.ts");
    return { store: await SqliteStore.open({ path }), keyFile: `${path}.key` };
  },
  postgres,
  postgresql: postgres,
  mysql,
  mariadb: mysql,
  mongodb,
  "mongodb+srv": mongodb,
  redis,
  rediss: redis,
  "redis+cluster": redis,
  "rediss+cluster": redis,
  s3: async (url) => {
    const { S3Store } = await import("./s3/index.ts");
    return { store: await S3Store.openUrl(url), keyFile: null };
  },
  azure: async (url) => {
    const { AzureStore } = await import("./azure/index.ts");
    return { store: await AzureStore.openUrl(url), keyFile: null };
  },
  gs: async (url) => {
    const { GcsStore } = await import("./gcs/index.ts");
    return { store: await GcsStore.openUrl(url), keyFile: null };
  },
};

/**
 * Opens the store that a URL names; docs/stores.md has each kind. Paths of `file:FOLDER` and `sqlite:FILE` may be relative or
 * absolute, with or without `//`. PORT_UNKNOWN for other kinds, and what the driver raises.
 */
export async function openStore(url: string): Promise<OpenedStore> {
  const scheme = /^(?<scheme>[a-z][a-z0-9+.-]*):/.exec(url)?.groups?.["scheme"] ?? "";
  const open = Object.hasOwn(DRIVERS, scheme) ? DRIVERS[scheme] : undefined;
  if (open !== undefined) return await open(url);
  const known = Object.keys(DRIVERS).map((kind) => `${kind}:`);
  throw new MementoError(
    "PORT_UNKNOWN",
    `${JSON.stringify(shownUrl(url))} is not a store's URL: it begins with none of ${known.join(", ")}`,
  );
}

/** A store by its URL, or one of the caller's own. What `openStore` raises; INVALID_ARGUMENT for what is neither, such as a variable that is not set. */
export async function openPlace(place: string | MementoStore): Promise<OpenedStore> {
  if (typeof place === "string") return await openStore(place);
  const given: unknown = place;
  if (typeof given === "object" && given !== null) return { store: place, keyFile: null };
  throw new MementoError("INVALID_ARGUMENT", `Memento.open takes a store's URL, or a store, and not ${String(given)}`);
}

function pathOf(url: string): string {
  const rest = url.slice(url.indexOf(":") + 1);
  const path = rest.startsWith("///") ? decodedPath(url, rest) : rest.startsWith("//") ? rest.slice(2) : rest;
  if (path === "") throw new MementoError("INVALID_ARGUMENT", `The URL ${url} names no path`);
  return path;
}

function decodedPath(url: string, rest: string): string {
  try {
    return fileURLToPath(`file:${rest}`);
  } catch (cause) {
    throw new MementoError("INVALID_ARGUMENT", `${url} is no path as a URL has it`, {
      cause,
      hint: "A % is written %25 there; or leave the slashes out, and write the path as it is.",
    });
  }
}

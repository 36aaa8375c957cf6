import path from "node:path";

import { Memento, type CopySelection } from "@mementojs/memento";
import { parseKeys, type KeySource } from "@mementojs/memento/vault";

import type { Io } from "../io.ts";
import { askingFor, keysInFile, variableOf } from "./key-options.ts";
import { namedPlace, noStoreAt } from "./store-place.ts";

/** What a command line says of the two stores of a copy. */
export interface TransferOptions {
  readonly from: string;
  readonly to: string;
  readonly fromKeys?: string;
  readonly toKeys?: string;
}

/** Both stores, open, and what of the first was chosen. */
export interface TransferStores extends AsyncDisposable {
  readonly from: Memento;
  readonly to: Memento;
  readonly selection: CopySelection;
}

/** How keys are named on the command line; for help texts. */
export const KEYS_NOTE = `KEYS is a key file's path, passphrase:NAME or key:NAME for the one in that environment variable, the URL of a key of
a key-management service, or none for a store that is not sealed. Without it, keys are looked for as for every store. A
new store on a server gets the keys of the store that is copied, unless others are named: keep them.`;

/**
 * Opens the store to read from, which must be there, and the one to write to, which is made where there is none. `select` says
 * in between what of the source is meant, and throws for what is not there: a choice that was mistyped makes no store.
 */
export async function openTransfer(
  options: TransferOptions,
  io: Pick<Io, "cwd" | "env">,
  select: (from: Memento) => Promise<CopySelection> | CopySelection = () => ({}),
): Promise<TransferStores> {
  await using opened = new AsyncDisposableStack();
  const from = opened.use(await openNamed(options.from, "--from", options.fromKeys, io));
  const selection = await select(from);
  const to = opened.use(await openTarget(options.to, options.toKeys, from, io));
  const kept = opened.move();
  return { from, to, selection, [Symbol.asyncDispose]: async () => await kept.disposeAsync() };
}

/** Opens a store that must be there, by the keys of `--from-keys`. `option` is what named it. NOT_A_STORE, KEY_MISSING. */
export async function openNamed(
  url: string,
  option: string,
  keys: string | undefined,
  io: Pick<Io, "cwd" | "env">,
): Promise<Memento> {
  const place = namedPlace(url, "option", io.cwd);
  if (!place.exists) throw noStoreAt(place, option);
  const named = namedKeys(keys, "--from-keys", io);
  return await askingFor(
    "--from-keys",
    async () => await Memento.open(place.url, { create: false, environment: io.env, ...named }),
  );
}

/** Opens the store that is to be like `source`, and makes it where there is none. A sealed store is never copied into a new one without a seal unless that was asked for. */
async function openTarget(
  url: string,
  keys: string | undefined,
  source: Memento,
  io: Pick<Io, "cwd" | "env">,
): Promise<Memento> {
  const place = namedPlace(url, "option", io.cwd);
  const named = namedKeys(keys, "--to-keys", io);
  const isServer = place.path === null;
  const hasOwn = VARIABLES.some((name) => (io.env[name] ?? "") !== "");
  const inherited: { readonly keys?: KeySource } =
    isServer && keys === undefined && !hasOwn ? { keys: source.vault.ring ?? false } : {};
  return await askingFor(
    "--to-keys",
    async () => await Memento.open(place.url, { environment: io.env, ...inherited, ...named }),
  );
}

/** Where the environment names keys for every store. */
const VARIABLES = ["MEMENTO_KEY", "MEMENTO_KEY_FILE", "MEMENTO_KEY_URL", "MEMENTO_PASSPHRASE"];

/** Reads how an option names keys, as `{ keys }` for the library. KEY_MISSING for an empty variable. */
export function namedKeys(
  text: string | undefined,
  option: string,
  io: Pick<Io, "cwd" | "env">,
): { readonly keys?: KeySource } {
  if (text === undefined) return {};
  if (text === "none") return { keys: false };
  const [, kind, name = ""] = /^(passphrase|key):(?!\/\/)(.+)$/su.exec(text) ?? [];
  if (kind === undefined)
    return { keys: /^[a-z-]+:\/\//u.test(text) ? { url: text } : keysInFile(path.resolve(io.cwd, text), option) };
  const isKey = kind === "key";
  const value = variableOf(name, { kind: isKey ? "key" : "passphrase", option }, io);
  return { keys: isKey ? { raw: parseKeys(value, name) } : { passphrase: value } };
}

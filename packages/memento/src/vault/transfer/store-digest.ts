import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { decodeHeader, type NoticeHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import { MementoSums, type StoreDigest } from "../memento-sums.ts";
import { manifestOf } from "../repack.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import { LiveSet } from "./live-set.ts";
import { openStored } from "./source-packs.ts";

/** How to read a store for its digest. */
export interface StoreDigestOptions {
  /** Only these; null: every live memento. */
  readonly live: LiveSet | null;
  /** True: reads the log from its start to its end, once. False: reads the timelines of `live`, and of them only the packs that hold some. */
  readonly byLog: boolean;
  /** True: opens every byte of every body, not only what the digests are in. */
  readonly deep: boolean;
  /** What has been removed meanwhile is taken out of here; without it, what was collected too is DAMAGED. */
  readonly forget?: LiveSet;
  readonly signal?: AbortSignal | undefined;
  /** Told of each notice in the log, when it is read by the log. */
  readonly onNotice?: (header: NoticeHeader) => void;
}

/** Reads live mementos and gives their digest. DAMAGED, naming what is missing or changed. */
export async function digestStore(vault: Vault, options: StoreDigestOptions): Promise<StoreDigest> {
  const sums = new MementoSums();
  const turns = new Turns(vault.clock);
  const listed = options.byLog || options.forget !== undefined ? await liveOf(vault, options) : null;
  if (listed !== null) options.forget?.retain(listed);
  const live = listed ?? options.live;
  const packs = options.byLog ? logPacks(vault, options) : linePacks(vault, options.live);
  for await (const { entries, header, body } of packs) {
    await turns.take(options.signal);
    const wanted = entries.filter(({ entry }) => live?.has(entry) === true);
    if (wanted.length > 0) await addPack(vault, sums, wanted, { header, body, options });
  }
  return sums.done();
}

interface ListedPack {
  readonly entries: readonly { readonly entry: MementoEntry; readonly slot: number }[];
  readonly header: Uint8Array;
  readonly body: Uint8Array | null;
}

/** What is live by the index, of what is asked for: the log alone does not say it in one pass. */
async function liveOf(vault: Vault, { live, byLog, signal }: StoreDigestOptions): Promise<LiveSet> {
  const turns = new Turns(vault.clock);
  const found = new LiveSet();
  const queries = byLog ? [{}] : [...(live?.timelines() ?? [])].map((timeline) => ({ timeline }));
  for (const chosen of queries) {
    for await (const { entry } of vault.store.query(mementoQuery({ ...chosen, order: "ascending" }))) {
      await turns.take(signal);
      if (live === null || live.has(entry)) found.add(entry);
    }
  }
  return found;
}

async function* logPacks(vault: Vault, { onNotice }: StoreDigestOptions): AsyncGenerator<ListedPack> {
  for await (const { header: bytes, body, accepted } of vault.store.commits(null)) {
    const header = decodeHeader(bytes, "a commit of the log");
    if (header.type === "notice") {
      onNotice?.(header);
      continue;
    }
    const entries = accepted.flatMap((slot) => {
      const entry = header.entries[slot];
      return entry === undefined ? [] : [{ entry, slot }];
    });
    yield { entries, header: bytes, body };
  }
}

async function* linePacks(vault: Vault, live: LiveSet | null): AsyncGenerator<ListedPack> {
  for (const timeline of live?.timelines() ?? []) {
    let pack: string | null = null;
    for await (const row of vault.store.query(mementoQuery({ timeline, order: "ascending" }))) {
      if (row.pack === pack || live?.has(row.entry) !== true) continue;
      ({ pack } = row);
      const stored = await vault.store.read(row.entry.id);
      if (stored === null) continue;
      const header = decodeHeader(stored.header, `memento ${row.entry.id}`);
      const all = header.type === "pack" ? header.entries.map((entry, slot) => ({ entry, slot })) : [];
      yield {
        entries: all.filter(({ entry }) => entry.timeline === timeline),
        header: stored.header,
        body: stored.body,
      };
    }
  }
}

async function addPack(
  vault: Vault,
  sums: MementoSums,
  wanted: ListedPack["entries"],
  { header, body, options }: Pick<ListedPack, "header" | "body"> & { readonly options: StoreDigestOptions },
): Promise<void> {
  const digests = body === null ? [] : await valueDigests(vault, { header, body }, wanted, options.deep);
  for (const { entry, slot } of wanted) {
    const digest = digests[slot] ?? null;
    if (digest !== null) sums.add(entry, digest);
    else if (options.forget === undefined) {
      const { id } = entry;
      throw new MementoError("DAMAGED", `Nothing is left of the live memento ${id}`, { details: { id } });
    } else options.forget.delete(entry);
  }
}

/** By slots; null where nothing but the entry is left. */
async function valueDigests(
  vault: Vault,
  pack: { readonly header: Uint8Array; readonly body: Uint8Array },
  wanted: ListedPack["entries"],
  deep: boolean,
): Promise<readonly (string | null)[]> {
  if (!deep) return (await vault.reader.manifests(pack)).map((manifest) => manifest?.digest ?? null);
  const opened = await openStored(vault, { ...pack, slot: 0, removed: false }, wanted[0]?.entry.id ?? "");
  return opened.header.entries.map((_, slot) => manifestOf(opened, slot)?.digest ?? null);
}

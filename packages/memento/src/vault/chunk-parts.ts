import { isMementoError, MementoError } from "../core/errors.ts";
import { checkName } from "../core/ids.ts";
import type { OriginatorKind } from "../core/memento.ts";
import type { TimelineAddress, TimelineState } from "../core/timeline.ts";
import { mementoQuery, PART_LABEL } from "../store/query.ts";
import type { PieceRef } from "./directory.ts";
import { LeaseKeeper, type LeaseOptions } from "./lease-keeper.ts";
import type { TimelineWriter } from "./timeline-writer.ts";
import type { Vault } from "./vault.ts";

const PARTS_FORK = "@parts-";
/** Forks that begin so are Memento's own. */
const OWN_FORK = "@";
const REMOVALS_MAX = 1_000;
/** Stands for the stream in the part that closes what a crash has left. */
const ABANDONED = "abandoned";

/** True for a timeline of parts. */
export function holdsParts({ fork }: Pick<TimelineAddress, "fork">): boolean {
  return fork.startsWith(PARTS_FORK);
}

/** Returns the name of a fork that somebody chose, or throws NAME_INVALID. */
export function checkForkName(name: string): string {
  checkName("The fork", name);
  if (!name.startsWith(OWN_FORK)) return name;
  throw new MementoError(
    "NAME_INVALID",
    `The fork ${JSON.stringify(name)} begins with ${OWN_FORK}, as Memento's own do`,
  );
}

/**
 * Marks the parts that nobody will ever finish as removed, and returns their ids. For garbage collection, which runs it
 * first: the bodies of parts that a saved stream refers to stay as long as that stream needs them (see `needs.ts`), and
 * those of an abandoned one are free then.
 *
 * The rule: a part is live only while its stream is on its way in, and as long the lease of its timeline is held. Parts
 * on a timeline whose lease can be taken (given up, run out, or its holder known to be dead) have no owner any more. The
 * lease is taken before they are removed, so that a holder who was only silent is refused its next save with FENCED.
 */
export async function removeOrphanParts(
  vault: Vault,
  caretaker: string | null = null,
  options: LeaseOptions = {},
): Promise<readonly string[]> {
  const removed: string[] = [];
  for await (const { record } of vault.store.timelines(caretaker)) {
    if (!holdsParts(record) || (await liveParts(vault, record.key)).length === 0) continue;
    const lease = await freeLease(vault, record.key, options);
    if (lease === null) continue;
    await using held = lease;
    const parts = await liveParts(vault, record.key);
    parts.push(await closeParts(await vault.writer(held.state), ABANDONED));
    removed.push(...(await removeParts(vault, held.state, parts)));
  }
  return removed;
}

/**
 * Writes chunks of one stream as mementos of their own, on a timeline beside its originator's, under that timeline's
 * lease. Disposing of it marks them as removed and gives the lease up: by then either the memento is saved that needs
 * them, or nothing does.
 */
export class PartsWriter implements AsyncDisposable {
  readonly #vault: Vault;
  readonly #lease: LeaseKeeper;
  readonly #writer: TimelineWriter;
  readonly #stream: string;
  readonly #ids = new Set<string>();

  private constructor(vault: Vault, lease: LeaseKeeper, writer: TimelineWriter, stream: string) {
    this.#vault = vault;
    this.#lease = lease;
    this.#writer = writer;
    this.#stream = stream;
  }

  /** Takes the first timeline of parts of an originator that nobody is writing to, for the stream of this id; what an earlier one has left there is removed. */
  static async open(
    vault: Vault,
    of: Pick<TimelineAddress, "caretaker" | "originator">,
    kind: OriginatorKind,
    stream: string,
    options: LeaseOptions = {},
  ): Promise<PartsWriter> {
    for (let number = 1; ; number++) {
      const address = { ...of, partition: "", fork: `${PARTS_FORK}${number}` };
      const { record } = await vault.ensureTimeline(address, kind);
      const lease = await freeLease(vault, record.key, options);
      if (lease === null) continue;
      try {
        await removeParts(vault, lease.state, await liveParts(vault, record.key));
        return new PartsWriter(vault, lease, await vault.writer(lease.state), stream);
      } catch (error) {
        await lease.release();
        throw error;
      }
    }
  }

  /** The parts so far. */
  get ids(): ReadonlySet<string> {
    return this.#ids;
  }

  /** Writes chunks, by the keys of their pieces, in one commit; gives where they are held. FENCED when the lease was lost. */
  async write(chunks: ReadonlyMap<string, Uint8Array>): Promise<ReadonlyMap<string, PieceRef>> {
    this.#lease.demand();
    const drop = this.#writer.pieceKeys();
    const { entry } = await this.#writer.append({
      reason: "save",
      status: "saved",
      generation: 0,
      labels: { [PART_LABEL]: this.#stream },
      pieces: chunks,
      drop,
      full: true,
    });
    this.#ids.add(entry.id);
    return new Map(
      [...chunks].map(([key, { length }]) => {
        const digest = this.#writer.pieceDigest(key) ?? "";
        return [key, { holder: entry.id, digest, bytes: length, encoding: "bytes" }];
      }),
    );
  }

  /** Makes sure that the parts are still this stream's and stay so for as long as a lease lasts. FENCED. */
  async hold(): Promise<void> {
    await this.#lease.renew();
    this.#lease.signal.throwIfAborted();
  }

  /** True when nobody can have given the parts up so far. */
  async isHeld(): Promise<boolean> {
    await this.#lease.renew();
    return !this.#lease.signal.aborted;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      const closing = this.#ids.size === 0 ? [] : await this.#close();
      await removeParts(this.#vault, this.#lease.state, [...this.#ids, ...closing]);
    } finally {
      await this.#lease.release();
    }
  }

  async #close(): Promise<readonly string[]> {
    try {
      return [await closeParts(this.#writer, this.#stream)];
    } catch (error) {
      // Whoever took the lease over clears away.
      if (isMementoError(error, "FENCED") || isMementoError(error, "CONFLICT")) return [];
      throw error;
    }
  }
}

/** Puts an empty part in front: the head of a timeline is kept for whoever saves next, and it would be a part with chunks. */
async function closeParts(writer: TimelineWriter, stream: string): Promise<string> {
  const { entry } = await writer.append({
    reason: "save",
    status: "saved",
    generation: 0,
    labels: { [PART_LABEL]: stream },
    drop: writer.pieceKeys(),
    full: true,
  });
  return entry.id;
}

async function freeLease(vault: Vault, timeline: string, options: LeaseOptions): Promise<LeaseKeeper | null> {
  try {
    return await LeaseKeeper.acquire(vault, timeline, options);
  } catch (error) {
    if (isMementoError(error, "LOCKED")) return null;
    throw error;
  }
}

/** By their label: earlier releases let people call a fork as timelines of parts are called. */
async function liveParts(vault: Vault, timeline: string): Promise<string[]> {
  const rows = await Array.fromAsync(vault.store.query(mementoQuery({ timeline })));
  return rows.filter(({ entry }) => Object.hasOwn(entry.labels, PART_LABEL)).map(({ entry }) => entry.id);
}

async function removeParts(vault: Vault, { record }: TimelineState, ids: readonly string[]): Promise<string[]> {
  const removed: string[] = [];
  for (let start = 0; start < ids.length; start += REMOVALS_MAX) {
    const mementos = ids.slice(start, start + REMOVALS_MAX);
    const about = { caretaker: record.caretaker, timeline: record.key, mementos };
    removed.push(...(await vault.store.remove(mementos, vault.notice("removed", about))));
  }
  return removed;
}

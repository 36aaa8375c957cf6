import { sha256 } from "../core/digest.ts";
import { MementoError } from "../core/errors.ts";
import { parseMementoId, randomText } from "../core/ids.ts";
import type { Vault } from "./vault.ts";
import { damagesOf, type VerifyDepth, type VerifyReport } from "./verify/verify-report.ts";
import { VerifyWalk, type VerifyProgress, type VerifyState } from "./verify/verify-walk.ts";

export type { Damage, VerifyReport } from "./verify/verify-report.ts";
export type { VerifyState } from "./verify/verify-walk.ts";

/** How much of a store to verify; everything by default. */
export type VerifyScope =
  /** Every byte: structure, keyed checks, every pack, every piece, each reference, the chain of digests. */
  | { readonly kind: "everything" }
  /** The index against the packs' headers, keyed checks, presence and lengths; no body is opened. */
  | { readonly kind: "index" }
  /** This many live mementos (or this share of them, above 0 and up to 1), drawn by the seed, each whole with all that it needs. */
  | { readonly kind: "sample"; readonly count?: number; readonly share?: number; readonly seed?: string }
  /** One memento, whole, with all that it needs: so that writers beside it never change the answer. NOT_FOUND. */
  | { readonly kind: "memento"; readonly id: string };

/** How to verify. */
export interface VerifyOptions {
  readonly scope?: VerifyScope;
  readonly signal?: AbortSignal;
  /** Told after each commit, or each memento of a sample; `total` is the number of live mementos in the index. */
  readonly onProgress?: (done: VerifyProgress) => void;
  /** Where an earlier verification of everything stood, to go on from there. INVALID_ARGUMENT for another store's. */
  readonly resume?: VerifyState;
  /** Told every few seconds, and when it is stopped, where a verification of everything stands. */
  readonly onState?: (state: VerifyState) => Promise<void> | void;
}

const STATE_EVERY_MS = 5_000;

/**
 * Reads a store and says what is damaged, what is lost by it, and the nearest good memento of each. Changes nothing. Runs
 * beside writers: it judges what was there when it came by. Memory grows with the number of mementos (about 200 bytes
 * each) and of their pieces (about 20 each), not with their size. The signal's reason is thrown when it is stopped.
 */
export async function verifyVault(vault: Vault, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { scope = { kind: "everything" } } = options;
  switch (scope.kind) {
    case "everything":
    case "index":
      return await verifyWhole(vault, options, scope.kind);
    case "sample":
      return await verifySample(vault, options, scope);
    case "memento":
      return await verifyOne(vault, options, scope.id);
  }
}

async function verifyWhole(vault: Vault, options: VerifyOptions, depth: "everything" | "index"): Promise<VerifyReport> {
  const { signal, onProgress, onState, resume } = options;
  const opens = depth === "everything";
  let toldMs = vault.clock.monotonic();
  let pending = Promise.resolve();
  const failures: unknown[] = [];
  const walk = new VerifyWalk(vault, {
    signal,
    opens,
    resume: opens ? resume : undefined,
    onProgress: (done) => {
      onProgress?.(done);
      if (failures.length > 0) throw failures[0];
      const nowMs = vault.clock.monotonic();
      if (!opens || onState === undefined || nowMs - toldMs < STATE_EVERY_MS) return;
      toldMs = nowMs;
      const state = walk.state();
      if (state === null) return;
      // Thrown by the walk at its next step: nobody waits for it yet.
      pending = pending.then(async () => await onState(state)).catch((error: unknown) => void failures.push(error));
    },
  });
  try {
    await walk.whole();
    await pending;
    if (failures.length > 0) throw failures[0];
  } catch (error) {
    const state = opens ? walk.state() : null;
    await pending;
    if (signal?.aborted === true && state !== null) await onState?.(state);
    throw error;
  }
  const notRead = opens ? null : "no body was opened: what is inside the mementos was not read";
  return reportOf(walk, depth, notRead, null);
}

async function verifySample(
  vault: Vault,
  { signal, onProgress }: VerifyOptions,
  scope: Extract<VerifyScope, { kind: "sample" }>,
): Promise<VerifyReport> {
  const { count, share, seed = randomText(vault.random, 8) } = scope;
  const walk = new VerifyWalk(vault, { signal, onProgress, opens: true });
  await walk.listLive();
  await walk.rows();
  const total = walk.table.liveCount;
  const wanted = Math.min(total, count ?? Math.ceil(total * (share ?? 0)));
  if (!(wanted >= 0)) throw new MementoError("INVALID_ARGUMENT", "A sample is a whole number of mementos, or a share");
  // The lowest digests: the same seed draws the same mementos, whatever the order in which they are listed.
  const drawn = [...walk.table.live()].map((id) => [sha256(`${seed} ${id}`), id] as const);
  drawn.sort(([a], [b]) => (a < b ? -1 : 1));
  await walk.some(drawn.slice(0, wanted).map(([, id]) => id));
  const others = `${total - wanted} of ${total} live mementos were not opened`;
  const notRead = `${total > wanted ? `${others}, and ` : ""}the store's structure was not gone through`;
  return reportOf(walk, "sample", notRead, seed);
}

async function verifyOne(vault: Vault, { signal, onProgress }: VerifyOptions, id: string): Promise<VerifyReport> {
  const stored = await vault.store.read(id);
  if (stored === null || stored.removed)
    throw new MementoError("NOT_FOUND", `There is no live memento ${id}`, { details: { id } });
  const walk = new VerifyWalk(vault, { signal, onProgress, opens: true });
  await walk.listLive(parseMementoId(id)?.timeline ?? null);
  await walk.some([id]);
  return reportOf(walk, "memento", "nothing was read but this memento and what it needs", null);
}

function reportOf(walk: VerifyWalk, depth: VerifyDepth, notRead: string | null, seed: string | null): VerifyReport {
  const damages = damagesOf(walk.findings, walk.table, walk.isListed);
  return {
    sound: damages.length === 0,
    depth,
    mementos: walk.mementos,
    total: walk.table.liveCount,
    bytes: walk.bytes,
    notRead,
    seed,
    damages,
  };
}

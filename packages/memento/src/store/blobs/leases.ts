import type { Lease, TimelineRequest, TimelineState } from "../../core/timeline.ts";
import type { LeaseChange } from "../store.ts";
import type { OpenTimeline, StoreParts } from "./catalogue.ts";
import { damagedFile, frameJson, openJson } from "./frame.ts";
import { EVERYTHING, headSequence, type TimelineEntry, type TimelineStanding } from "./timeline-log.ts";

/** A renewal as its file has it. */
export interface WrittenRenewal {
  readonly timeline: string;
  readonly lease: Lease;
}

/**
 * Leases. Taking one over and giving one up are entries of the timeline's log. A renewal is no decision, only news, so it
 * replaces a file that has the epoch in its name: only the holder of that epoch writes it, and nobody reads it any more
 * once the log has moved to another.
 */
export class Leases {
  readonly #parts: StoreParts;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** A timeline as it stands now. `renewed`: what this call's own process has just written. */
  async stateOf({ record, log }: OpenTimeline, renewed: Lease | null = null): Promise<TimelineState> {
    const { state } = await log.refresh();
    const { head, request } = state;
    const isRenewed = renewed !== null && holds(state.lease, renewed.epoch, renewed.owner);
    const lease = isRenewed ? renewed : await this.#present(record.key, state.lease);
    // Copies: what is held here is read again and again.
    return structuredClone({ record, head, lease, request });
  }

  async acquire({ record, log }: OpenTimeline, lease: Lease): Promise<boolean> {
    const taken = await log.commit<boolean>(({ state }) =>
      state.lease.epoch === lease.epoch - 1 ? entry(state, { kind: "lease", lease }) : refused,
    );
    // A holder who was taken over may write it once more; nobody reads it.
    const before = lease.epoch - 1;
    if (taken && before > 0) await this.#parts.files.remove(this.#parts.paths.lease(record.key, before));
    return taken;
  }

  async renew(timeline: OpenTimeline, { lease }: LeaseChange): Promise<TimelineState | null> {
    const { key } = timeline.record;
    const { state } = await timeline.log.refresh();
    if (!holds(state.lease, lease.epoch, lease.owner)) return null;
    const written: WrittenRenewal = { timeline: key, lease };
    await this.#parts.files.replace(this.#parts.paths.lease(key, lease.epoch), await frameJson("lease", written));
    return await this.stateOf(timeline, lease);
  }

  async release({ log }: OpenTimeline, { lease }: LeaseChange, owner: string): Promise<boolean> {
    const released = await log.commit<boolean>(({ state }) =>
      holds(state.lease, lease.epoch, owner) ? entry(state, { kind: "release", lease }) : refused,
    );
    if (released) await log.saveState();
    return released;
  }

  async request({ log }: OpenTimeline, request: TimelineRequest | null): Promise<void> {
    await log.commit<boolean>(({ state }) =>
      state.request === request ? refused : entry(state, { kind: "request", request }),
    );
  }

  /** Voids whatever anybody was about to append: they look at everything again before they do. */
  async voidAll({ log }: OpenTimeline): Promise<void> {
    await log.commit<boolean>(({ state }) => entry(state, { kind: "void", id: EVERYTHING }));
  }

  /** A renewal's file; null when there is none. DAMAGED, naming it. */
  async read(key: string, epoch: number): Promise<Lease | null> {
    const file = this.#parts.paths.lease(key, epoch);
    const bytes = await this.#parts.files.read(file);
    if (bytes === null) return null;
    const { value } = await openJson<WrittenRenewal>(bytes, "lease", file);
    if (value.timeline !== key || value.lease.epoch !== epoch) throw damagedFile(file, "it belongs to another place");
    return value.lease;
  }

  /** The lease with its last renewal. */
  async #present(key: string, lease: Lease): Promise<Lease> {
    if (lease.owner === null) return lease;
    return (await this.read(key, lease.epoch)) ?? lease;
  }
}

const refused = { entry: null, result: false } as const;

type Unplaced = TimelineEntry extends infer E ? (E extends TimelineEntry ? Omit<E, "sequence"> : never) : never;

/** The entry at the head as it stands. */
function entry(state: TimelineStanding, unplaced: Unplaced): { readonly entry: TimelineEntry; readonly result: true } {
  return { entry: { ...unplaced, sequence: headSequence(state) }, result: true };
}

function holds(lease: Lease, epoch: number, owner: string | null): boolean {
  return lease.epoch === epoch && lease.owner !== null && lease.owner === owner;
}

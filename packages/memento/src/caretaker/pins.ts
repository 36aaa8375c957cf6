import { isMementoError, MementoError } from "../core/errors.ts";
import type { TimelineState } from "../core/timeline.ts";
import { LeaseKeeper, type LeaseOptions } from "../vault/lease-keeper.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { Vault } from "../vault/vault.ts";
import { changeSettings, readAllSettings, readSettings, readVersion, type Pin } from "./caretaker-record.ts";
import { momentOf } from "./moment.ts";

/** How to pin. */
export interface PinOptions {
  /** Why, for people. */
  readonly reason?: string;
  /** From then on it no longer counts: ISO 8601, a day (from its beginning in UTC) or a time with its zone. Default: until it is taken away. */
  readonly until?: string;
}

/** How often a removal is decided anew while others change the caretaker. */
const ATTEMPTS_MAX = 200;

/** Pins a memento: neither retention nor garbage collection touches it, and removing it is refused. A second pin by hand takes the place of the first. NOT_FOUND when it was removed, INVALID_ARGUMENT for an end that is past, or no moment. */
export async function pinMemento(vault: Vault, caretaker: string, id: string, options: PinOptions = {}): Promise<Pin> {
  const { reason = "", until = null } = options;
  const untilMs = until === null ? null : momentOf(until, "the end of a pin");
  const now = vault.clock.now();
  if (untilMs !== null && untilMs <= now)
    throw new MementoError("INVALID_ARGUMENT", `The pin would end at ${until}, which is past: it would keep nothing`, {
      hint: "Name a moment to come, or none: then it counts until it is taken away.",
    });
  const since = new Date(now).toISOString();
  const end = untilMs === null ? null : new Date(untilMs).toISOString();
  const pin: Pin = { id, reason, since, until: end, lease: null };
  await changeSettings(vault, caretaker, { pinned: id }, (present) => ({
    ...present,
    pins: [...present.pins.filter((known) => known.id !== id || known.lease !== null), pin],
  }));
  try {
    demandLive(await vault.load(id));
  } catch (error) {
    // Removed just before the pin counted.
    await unpinMemento(vault, caretaker, id);
    throw error;
  }
  return pin;
}

/** Takes the pin by hand away; false when there is none. Those of restores under way stay. */
export async function unpinMemento(vault: Vault, caretaker: string, id: string): Promise<boolean> {
  let had = false;
  await changeSettings(vault, caretaker, { unpinned: id }, (present) => {
    const pins = present.pins.filter((pin) => pin.id !== id || pin.lease !== null);
    had = pins.length < present.pins.length;
    return had ? { ...present, pins } : null;
  });
  return had;
}

/**
 * Pins a memento for a restore that holds the lease of a timeline, until it is disposed of. Load the memento only after
 * this, and demand that it is live (`demandLive`): then no garbage collection takes anything from it until the restore has
 * appended its own memento. A crash leaves the pin behind; it ends with its lease (`releaseDeadPins`).
 */
export async function pinForRestore(
  vault: Vault,
  id: string,
  { record, lease }: TimelineState,
): Promise<AsyncDisposable> {
  const { caretaker, key } = record;
  const held = { timeline: key, epoch: lease.epoch, owner: lease.owner ?? "" };
  const since = new Date(vault.clock.now()).toISOString();
  const pin: Pin = { id, reason: "a restore is under way", since, until: null, lease: held };
  const isOwn = (known: Pin): boolean =>
    known.id === id && known.lease?.timeline === key && known.lease.epoch === held.epoch;
  await changeSettings(vault, caretaker, { pinned: id, timeline: key }, (present) => ({
    ...present,
    pins: [...present.pins.filter((known) => !isOwn(known)), pin],
  }));
  return {
    async [Symbol.asyncDispose]() {
      await changeSettings(vault, caretaker, { unpinned: id, timeline: key }, (present) => {
        const pins = present.pins.filter((known) => !isOwn(known));
        return pins.length < present.pins.length ? { ...present, pins } : null;
      });
    },
  };
}

/** Returns a memento that was loaded, or throws NOT_FOUND when it was removed. */
export function demandLive(memento: OpenedMemento): OpenedMemento {
  if (!memento.removed) return memento;
  const { id } = memento.entry;
  throw new MementoError("NOT_FOUND", `Memento ${id} was removed`, { details: { id } });
}

/** Throws CONFLICT, naming it, when one of these mementos is pinned, by hand or by a restore under way. */
export async function demandUnpinned(vault: Vault, caretaker: string, ids: readonly string[]): Promise<void> {
  const { pins } = await readSettings(vault, caretaker);
  const counting = pins.filter((pin) => isInTime(pin, vault.clock.now()));
  refusePinned(counting, ids);
}

/** What is to be removed, and its notice. */
export interface Removal {
  readonly ids: readonly string[];
  readonly notice: Uint8Array;
}

/**
 * Removes what `choose` names, of one caretaker; it is shown the pins that count, and asked again when somebody has changed the
 * caretaker's settings before the removal: so no pin comes too late that was there before it. null: nothing. Gives the ids that were live.
 */
export async function removeBesidePins(
  vault: Vault,
  caretaker: string,
  choose: (pins: readonly Pin[]) => Removal | null,
): Promise<readonly string[]> {
  for (let attempt = 1; ; attempt++) {
    const { settings, version } = await readVersion(vault, caretaker);
    const removal = choose(settings.pins.filter((pin) => isInTime(pin, vault.clock.now())));
    if (removal === null) return [];
    try {
      return await vault.store.remove(removal.ids, removal.notice, { name: caretaker, version });
    } catch (error) {
      if (!isMementoError(error, "CONFLICT") || attempt >= ATTEMPTS_MAX) throw error;
    }
  }
}

/** Removes mementos of one caretaker. CONFLICT, and nothing removed, when one of them is pinned by then. */
export async function removeUnpinned(
  vault: Vault,
  caretaker: string,
  { ids, notice }: Removal,
): Promise<readonly string[]> {
  return await removeBesidePins(vault, caretaker, (pins) => {
    refusePinned(pins, ids);
    return { ids, notice };
  });
}

function refusePinned(pins: readonly Pin[], ids: readonly string[]): void {
  const pin = pins.find((known) => ids.includes(known.id));
  if (pin === undefined) return;
  const why = pin.reason === "" ? "" : `: ${pin.reason}`;
  throw new MementoError("CONFLICT", `Memento ${pin.id} is pinned${why}`, {
    hint:
      pin.lease === null
        ? "Take the pin away first: `memento unpin`."
        : "Wait until the restore is finished; `memento gc` clears the pins of dead ones.",
    details: { id: pin.id },
  });
}

/** A pin of some caretaker. */
export interface CaretakerPin extends Pin {
  readonly caretaker: string;
}

/** All pins of a store, those that no longer count too. */
export async function readPins(vault: Vault): Promise<readonly CaretakerPin[]> {
  const settings = await readAllSettings(vault);
  return [...settings].flatMap(([caretaker, { pins }]) => pins.map((pin) => ({ ...pin, caretaker })));
}

/** True when the pin's time has not run out. */
export function isInTime({ until }: Pin, nowMs: number): boolean {
  return until === null || Date.parse(until) > nowMs;
}

/**
 * Drops those of `pins` that count no more: their time has run out, or the lease of their restore has moved on. The lease of
 * a holder that is dead or silent for too long is taken and given back first: then its restore can append nothing any
 * more, however late it wakes up. Returns what was dropped.
 */
export async function releaseDeadPins(
  vault: Vault,
  pins: readonly CaretakerPin[],
  options: LeaseOptions = {},
): Promise<readonly CaretakerPin[]> {
  const dead: CaretakerPin[] = [];
  for (const pin of pins) {
    const counts = pin.lease === null ? isInTime(pin, vault.clock.now()) : await isHeld(vault, pin.lease, options);
    if (!counts) dead.push(pin);
  }
  for (const [caretaker, its] of Map.groupBy(dead, (pin) => pin.caretaker)) {
    const names = new Set(its.map((pin) => nameOf(pin)));
    await changeSettings(vault, caretaker, { unpinned: its.map(({ id }) => id) }, (present) => {
      const left = present.pins.filter((pin) => !names.has(nameOf(pin)));
      return left.length < present.pins.length ? { ...present, pins: left } : null;
    });
  }
  return dead;
}

const nameOf = ({ id, since, until, lease }: Pin): string => JSON.stringify([id, since, until, lease]);

async function isHeld(vault: Vault, pinned: NonNullable<Pin["lease"]>, options: LeaseOptions): Promise<boolean> {
  const { lease } = await vault.timeline(pinned.timeline);
  if (lease.epoch !== pinned.epoch || lease.owner !== pinned.owner) return false;
  try {
    await (await LeaseKeeper.acquire(vault, pinned.timeline, options)).release();
    return false;
  } catch (error) {
    if (isMementoError(error, "LOCKED")) return true;
    throw error;
  }
}

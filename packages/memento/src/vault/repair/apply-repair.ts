import { isMementoError, MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { JsonObject } from "../../core/json.ts";
import { mementoQuery } from "../../store/query.ts";
import { beginMaintenance } from "../maintenance.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import { verifyVault, type VerifyReport } from "../verify.ts";
import { emptyPack, examinePack, putPack, type DamagedPack } from "./damaged-pack.ts";
import { goOn } from "./go-on.ts";
import { checkConsent, lostWhole, planRepair, type RepairOptions, type WorkingPlan } from "./plan-repair.ts";
import { repairAuthority } from "./repair-authority.ts";
import type { RepairItem } from "./repair-plan.ts";
import { askReplica, type Replica } from "./replica.ts";

/** How to apply a plan. */
export interface ApplyRepairOptions extends RepairOptions {
  /** The hash of the plan that was looked at; PLAN_MOVED when it is another one by now. */
  readonly plan: string;
  /** Takes the bytes of a pack that is given up, before anything of it changes; without it such packs are left alone. */
  readonly setAside?: (name: string, bytes: Uint8Array) => Promise<void>;
  /** Who repairs, and why: kept as evidence. */
  readonly by?: string;
  readonly why?: string;
}

/** What a repair came to. */
export interface RepairResult {
  readonly hash: string;
  /** Names of the items that were done. */
  readonly done: readonly string[];
  /** Items that were left alone and still hold, and why. */
  readonly left: readonly { readonly name: string; readonly why: string }[];
  /** Mementos that were given up. */
  readonly quarantined: readonly string[];
  readonly after: VerifyReport;
}

/**
 * Applies a plan that was looked at. Every step is one commit of the store and leaves it no worse: the index first, then
 * packs from replicas, then what has consent, and last what is given up, which is looked at again before. Wherever it is
 * stopped, a new plan goes on from there. LOCKED while other maintenance runs; PLAN_MOVED.
 */
export async function applyRepair(vault: Vault, options: ApplyRepairOptions): Promise<RepairResult> {
  const plan = await planRepair(vault, options);
  if (plan.hash !== options.plan)
    throw new MementoError("PLAN_MOVED", `The plan is ${plan.hash} by now, and not ${options.plan}`, {
      details: { hash: plan.hash },
      hint: "Look at the new plan with `memento repair`, and apply it by its hash.",
    });
  checkConsent(plan.items, options.accept ?? []);
  if (plan.items.every(({ action }) => action === "none"))
    return { hash: plan.hash, done: [], left: leftOf(plan.items), quarantined: [], after: plan.before };
  return await new Repair(vault, options, plan).run();
}

class Repair {
  readonly #vault: Vault;
  readonly #options: ApplyRepairOptions;
  readonly #plan: WorkingPlan;
  readonly #accepted: ReadonlySet<string>;
  readonly #done: string[] = [];
  readonly #left: { name: string; why: string }[] = [];
  readonly #quarantined: string[] = [];

  constructor(vault: Vault, options: ApplyRepairOptions, plan: WorkingPlan) {
    this.#vault = vault;
    this.#options = options;
    this.#plan = plan;
    this.#accepted = new Set(options.accept);
  }

  async run(): Promise<RepairResult> {
    const hasIndexItem = this.#plan.items.some(({ name }) => name === "index");
    // What says who may do maintenance is itself part of the index: it must be readable first.
    if (hasIndexItem) await this.#index();
    await using keeper = await beginMaintenance(this.#vault);
    keeper.signal.throwIfAborted();
    await this.#timelines();
    const { signal } = this.#options;
    const turns = new Turns(this.#vault.clock);
    for (const { item, damaged, replica } of this.#plan.packs) {
      await turns.take(signal);
      if (replica !== null) await this.#restore(item, damaged, replica);
    }
    await this.#consented();
    await this.#giveUp();
    await this.#goOn();
    await this.#evidence();
    const after = await verifyVault(this.#vault, signal === undefined ? {} : { signal });
    const left = [...this.#left, ...leftOf(this.#plan.items.filter((item) => stillHolds(item, after)))];
    return { hash: this.#plan.hash, done: this.#done, left, quarantined: this.#quarantined, after };
  }

  async #index(): Promise<void> {
    await this.#vault.store.rebuildIndex(repairAuthority(this.#vault, this.#accepted), false);
    this.#done.push("index");
  }

  /** Timelines whose records are gone: what their mementos say of them, on the original line or, where that is taken, as a fork. */
  async #timelines(): Promise<void> {
    const lost = this.#plan.items.filter(({ name, action }) => action === "accept" && name.startsWith("timeline:"));
    let made = false;
    for (const { name } of lost) {
      const key = name.slice("timeline:".length);
      if (!this.#accepted.has(name) || (await this.#vault.store.timeline(key)) !== null) continue;
      const record = await this.#remakeTimeline(key);
      if (record) this.#done.push(name);
      made ||= record;
    }
    if (made) await this.#vault.store.rebuildIndex(repairAuthority(this.#vault, this.#accepted), false);
  }

  async #remakeTimeline(key: string): Promise<boolean> {
    const { store, checks } = this.#vault;
    let epoch = 0;
    let first: {
      caretaker: string;
      originator: string;
      kind: TimelineKind;
      created: string;
      parent: string | null;
    } | null = null;
    const query = mementoQuery({ timeline: key, order: "ascending", removed: true });
    for await (const { entry } of store.query(query)) {
      first ??= entry;
      epoch = Math.max(epoch, entry.epoch);
    }
    if (first === null) return false;
    const { caretaker, originator, kind, created, parent } = first;
    const original = { caretaker, originator, partition: "", fork: "" };
    const isTaken = (await store.findTimeline(original)) !== null;
    const fork = isTaken ? `recovered-${key}` : "";
    const fixed = { ...original, fork, key, kind, created, forkedFrom: parent };
    const lease = { epoch: epoch + 1, owner: null, expiresAt: 0, holder: null };
    await store.createTimeline({ ...fixed, check: checks.timeline(fixed) }, this.#vault.leaseOf(key, lease));
    return true;
  }

  async #restore(item: RepairItem, damaged: DamagedPack, replica: Replica): Promise<void> {
    // The replica is asked again: it must not have changed since it was judged.
    const { walk } = this.#plan;
    const answer = await askReplica(replica, damaged, { vault: this.#vault, walk });
    if ("why" in answer) {
      this.#left.push({ name: item.name, why: answer.why });
      return;
    }
    await putPack(
      this.#vault,
      damaged.slots.map(({ id }) => id),
      answer.pack,
    );
    this.#done.push(item.name);
  }

  /** Checks that do not fit, where that was agreed to. */
  async #consented(): Promise<void> {
    const items = this.#plan.items.filter(({ name, action }) => action === "accept" && this.#accepted.has(name));
    for (const { name } of items) {
      if (this.#done.includes(name)) continue;
      if (name.startsWith("caretaker:")) await this.#caretaker(name.slice("caretaker:".length));
      else await this.#vault.store.rebuildIndex(repairAuthority(this.#vault, this.#accepted), false);
      this.#done.push(name);
    }
  }

  /** A caretaker's record is written again as its next version, word for word. */
  async #caretaker(name: string): Promise<void> {
    const { store, checks } = this.#vault;
    const record = await store.caretaker(name);
    if (record === null) return;
    const next = { ...record, version: record.version + 1 };
    const about = { caretaker: name, timeline: null, mementos: [] };
    await store.saveCaretaker({ ...next, check: checks.caretaker(next) }, this.#vault.notice("repaired", about));
  }

  /** Gives up what is still damaged now that all else is mended, and nothing that the plan did not name. */
  async #giveUp(): Promise<void> {
    const planned = new Set(
      this.#plan.items.flatMap(({ action, mementos }) => (action === "quarantine" ? mementos : [])),
    );
    const packs = this.#plan.packs.filter(({ replica }) => replica === null);
    if (planned.size === 0 && packs.length === 0) return;
    const { setAside, signal } = this.#options;
    if (setAside === undefined) {
      for (const { item } of packs)
        this.#left.push({ name: item.name, why: "nobody said where the damaged bytes are to be set aside" });
      return;
    }
    for (const { damaged } of packs) await setAside(damaged.id, await this.#bytesOf(damaged.id));
    const still = await verifyVault(this.#vault, signal === undefined ? {} : { signal });
    const affected = new Set([
      ...packs.flatMap(({ damaged }) => lostWhole(damaged)),
      ...still.damages.flatMap(({ mementos }) => mementos),
    ]);
    const surprise = [...affected].find((id) => !planned.has(id) && packs.length > 0 && this.#isOf(id, packs));
    if (surprise !== undefined)
      throw new MementoError("PLAN_MOVED", `Memento ${surprise} would have to be given up, which the plan did not say`);
    await this.#remove([...affected].filter((id) => planned.has(id)));
    for (const { item, damaged } of packs) {
      await this.#clear(damaged);
      this.#done.push(item.name);
    }
  }

  async #goOn(): Promise<void> {
    for (const item of this.#plan.items) {
      const { name, action } = item;
      if (action !== "go-on") continue;
      try {
        if (await goOn(this.#vault, item, this.#facts())) this.#done.push(name);
      } catch (error) {
        if (!isMementoError(error, "LOCKED")) throw error;
        this.#left.push({ name, why: error.message });
      }
    }
  }

  async #bytesOf(id: string): Promise<Uint8Array> {
    return (await this.#vault.store.salvage(id))?.bytes ?? new Uint8Array();
  }

  #isOf(id: string, packs: WorkingPlan["packs"]): boolean {
    // Those that were removed before have nothing left to give up.
    return packs.some(({ damaged }) => damaged.slots.some((slot) => slot.id === id && !slot.removed));
  }

  async #remove(ids: readonly string[]): Promise<void> {
    const byCaretaker = new Map<string, string[]>();
    for (const id of ids) {
      const timeline = parseMementoId(id)?.timeline ?? "";
      const caretaker = (await this.#vault.store.timeline(timeline))?.record.caretaker ?? "";
      byCaretaker.set(caretaker, [...(byCaretaker.get(caretaker) ?? []), id]);
    }
    for (const [caretaker, mementos] of byCaretaker) {
      const about = { caretaker, timeline: null, mementos };
      const notice = this.#vault.notice("repaired", about, { ...this.#facts(), quarantined: true });
      this.#quarantined.push(...(await this.#vault.store.remove(mementos, notice)));
    }
    for (const id of ids) this.#done.push(`quarantine:${id}`);
  }

  /** Leaves of a pack what opens; nothing but its header where nothing does. */
  async #clear({ id }: DamagedPack): Promise<void> {
    const now = await examinePack(this.#vault, id);
    if (now === null) return;
    if (now.rest === null) await emptyPack(this.#vault, now);
    else
      await putPack(
        this.#vault,
        now.slots.map((slot) => slot.id),
        now.rest,
      );
  }

  async #evidence(): Promise<void> {
    const [first = ""] = this.#plan.items.flatMap(({ mementos }) => mementos);
    const timeline = parseMementoId(first)?.timeline ?? "";
    const caretaker = (await this.#vault.store.timeline(timeline))?.record.caretaker ?? "";
    const about = { caretaker, timeline: null, mementos: this.#plan.items.flatMap(({ mementos }) => mementos) };
    const details = { ...this.#facts(), done: this.#done, left: this.#left.map(({ name }) => name) };
    await this.#vault.store.note(this.#vault.notice("repaired", about, details));
  }

  #facts(): JsonObject {
    const { by = "", why = "" } = this.#options;
    const from = [...new Set(this.#plan.items.flatMap((item) => (item.from === null ? [] : [item.from])))];
    return { plan: this.#plan.hash, by, why, from };
  }
}

type TimelineKind = Parameters<Vault["ensureTimeline"]>[1];

/** What no item was about may have been a trace of what was mended: it is left only where it was found again. */
function stillHolds({ name, problem }: RepairItem, { damages }: VerifyReport): boolean {
  return !name.startsWith("other:") || damages.some((damage) => damage.problem === problem);
}

function leftOf(items: readonly RepairItem[]): { name: string; why: string }[] {
  return items.flatMap(({ name, action, problem }) => (action === "none" ? [{ name, why: problem }] : []));
}

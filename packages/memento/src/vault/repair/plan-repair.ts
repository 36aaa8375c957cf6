import { MementoError } from "../../core/errors.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { IndexRebuild } from "../../store/store.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import { damagesOf, type VerifyReport } from "../verify/verify-report.ts";
import { VerifyWalk } from "../verify/verify-walk.ts";
import { examinePack, isDamage, type DamagedPack } from "./damaged-pack.ts";
import { lostHeads, recordDigest } from "./go-on.ts";
import { badChecks, repairAuthority } from "./repair-authority.ts";
import { planHash, type RepairItem, type RepairPlan } from "./repair-plan.ts";
import { askReplica, type Replica } from "./replica.ts";

/** What a repair has to work with. */
export interface RepairOptions {
  /** Where to look for what is lost, in this order. */
  readonly replicas?: readonly Replica[];
  /** Items that need consent and have it, by their names. */
  readonly accept?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: { readonly mementos: number; readonly bytes: number; readonly total: number }) => void;
}

/** A plan, with what its application needs to know. */
export interface WorkingPlan extends RepairPlan {
  readonly walk: VerifyWalk;
  readonly packs: readonly {
    readonly item: RepairItem;
    readonly damaged: DamagedPack;
    readonly replica: Replica | null;
  }[];
}

const EMPTY = { from: null, refused: [], nearestGood: {}, needsConsent: false } as const;

/** Says what a repair would do; changes nothing. */
export async function planRepair(vault: Vault, options: RepairOptions): Promise<WorkingPlan> {
  const { replicas = [], accept = [], signal, onProgress } = options;
  const index = await rebuildOr(vault, new Set(accept));
  const walk = new VerifyWalk(vault, { opens: true, signal, onProgress });
  await walk.whole();
  const packs: { item: RepairItem; damaged: DamagedPack; replica: Replica | null }[] = [];
  const turns = new Turns(vault.clock);
  for (const damaged of await damagedPacks(vault, walk, signal)) {
    await turns.take(signal);
    packs.push(await packItem(vault, walk, damaged, replicas));
  }
  const given = new Set(accept);
  const gone = index.changes.length > 0 ? new Set<string>() : await goneBefore(vault, walk, packs);
  const givenUp = quarantines(walk, packs, gone);
  const helpless = new Set(givenUp.flatMap(({ mementos }) => mementos));
  const restored = new Set(packs.flatMap(({ item }) => (item.action === "restore" ? item.mementos : [])));
  const items = [
    ...indexItems(index),
    ...(await checkItems(vault, given)),
    ...packs.map(({ item }) => item),
    ...givenUp,
    ...(await lostHeads(vault, walk.table, { helpless, restored })),
  ];
  const before = reportOf(walk);
  const named = [...items, ...unexplained(walk, items, before)];
  return {
    hash: planHash(vault.meta.id, named),
    sound: before.sound && named.length === 0,
    items: named,
    before,
    packs,
    walk,
  };
}

async function rebuildOr(vault: Vault, accepted: ReadonlySet<string>): Promise<IndexRebuild> {
  try {
    return await vault.store.rebuildIndex(repairAuthority(vault, accepted), true);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return {
      changes: [],
      problems: [{ problem: `The index cannot be gone through: ${error.message}`, mementos: [], timeline: null }],
    };
  }
}

function indexItems({ changes, problems }: IndexRebuild): RepairItem[] {
  const mementos = [...new Set(changes.flatMap((change) => change.mementos))];
  const problem = changes.map((change) => change.problem).join("; ");
  return [
    ...(changes.length === 0 ? [] : [{ ...EMPTY, name: "index", action: "rebuild-index" as const, problem, mementos }]),
    ...problems.map((one, at) => {
      const isTimeline = one.timeline !== null && /timeline \S+, which is missing/u.test(one.problem);
      const name = isTimeline ? `timeline:${one.timeline}` : `index:${at + 1}`;
      return isTimeline
        ? {
            ...EMPTY,
            name,
            action: "accept" as const,
            problem: `${one.problem}; made anew, its partition and fork are lost`,
            mementos: one.mementos,
            needsConsent: true,
          }
        : { ...EMPTY, name, action: "none" as const, problem: one.problem, mementos: one.mementos };
    }),
  ];
}

/** Checks that do not fit though the rest is right: that may be an accident, or the trace of somebody. */
async function checkItems(vault: Vault, given: ReadonlySet<string>): Promise<RepairItem[]> {
  const items: RepairItem[] = [];
  const add = (name: string, what: string, mementos: readonly string[]): void => {
    const said = given.has(name) ? "" : "; that may be somebody's doing, so it is made anew only with consent";
    items.push({
      ...EMPTY,
      name,
      action: "accept",
      problem: `The keyed check of ${what} does not fit${said}`,
      mementos,
      needsConsent: true,
    });
  };
  try {
    for await (const state of vault.store.timelines(null))
      for (const name of badChecks(vault, state))
        add(
          name,
          `the ${name.split(":")[0]} of timeline ${state.record.key}`,
          state.head === null ? [] : [state.head.id],
        );
    for (const record of await vault.store.caretakers())
      if (record.check !== vault.checks.caretaker(record))
        add(`caretaker:${record.name}`, `caretaker ${record.name}`, []);
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  return items;
}

/** The packs behind what was found, each once. */
async function damagedPacks(
  vault: Vault,
  { findings, judge }: VerifyWalk,
  signal?: AbortSignal,
): Promise<DamagedPack[]> {
  if (findings.length === 0) return [];
  // Records that others follow and heads are looked at too: a store may be unable to list what it cannot read.
  const suspects = new Set([
    ...findings.flatMap(({ broken, mementos }) => [...broken, ...mementos]),
    ...judge.expected.keys(),
    ...(await heads(vault)),
  ]);
  const seen = new Set<string>();
  const packs: DamagedPack[] = [];
  const turns = new Turns(vault.clock);
  for (const id of suspects) {
    await turns.take(signal);
    if (seen.has(id)) continue;
    const damaged = await examinePack(vault, id);
    for (const slot of damaged?.slots ?? []) seen.add(slot.id);
    if (damaged !== null) packs.push(damaged);
  }
  return packs;
}

async function heads({ store }: Vault): Promise<readonly string[]> {
  const ids: string[] = [];
  try {
    for await (const { head } of store.timelines(null)) if (head !== null) ids.push(head.id);
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  return ids;
}

async function packItem(
  vault: Vault,
  walk: VerifyWalk,
  damaged: DamagedPack,
  replicas: readonly Replica[],
): Promise<WorkingPlan["packs"][number]> {
  const refused: { from: string; why: string }[] = [];
  const mementos = damaged.slots.map(({ id }) => id);
  const base = { ...EMPTY, name: `pack:${damaged.id}`, problem: damaged.problem };
  for (const replica of replicas) {
    const answer = await askReplica(replica, damaged, { vault, walk });
    if ("pack" in answer)
      return { item: { ...base, action: "restore", mementos, from: replica.name, refused }, damaged, replica };
    refused.push({ from: replica.name, why: answer.why });
  }
  // Which of its mementos are given up is the quarantine's to say.
  return { item: { ...base, action: "quarantine", mementos: [], refused }, damaged, replica: null };
}

/** Records that others need, and that cannot be opened though no pack of the plan has them: an earlier repair left nothing of them. */
async function goneBefore(vault: Vault, walk: VerifyWalk, packs: WorkingPlan["packs"]): Promise<Set<string>> {
  const planned = new Set(packs.flatMap(({ damaged }) => damaged.slots.map(({ id }) => id)));
  const gone = new Set<string>();
  for (const id of new Set(walk.findings.flatMap(({ broken }) => broken)))
    if (!planned.has(id) && (await recordDigest(vault, id)) === null) gone.add(id);
  return gone;
}

/** Mementos that stay damaged once every pack is restored that can be. */
function quarantines(walk: VerifyWalk, packs: WorkingPlan["packs"], gone: ReadonlySet<string>): RepairItem[] {
  const restored = new Set(
    packs.flatMap(({ replica, damaged }) => (replica === null ? [] : damaged.slots.map(({ id }) => id))),
  );
  const lost = new Set(gone);
  for (const { replica, damaged } of packs) if (replica === null) for (const { id } of damaged.slots) lost.add(id);
  const helpless = new Map<string, string>();
  for (const { replica, damaged } of packs)
    for (const id of replica === null ? lostWhole(damaged) : []) helpless.set(id, damaged.problem);
  // Who needs a helpless one is helpless too.
  for (let before = -1; before < helpless.size;) {
    before = helpless.size;
    for (const { problem, mementos, broken } of walk.findings) {
      if (!broken.some((id) => lost.has(id) || helpless.has(id))) continue;
      for (const id of mementos) {
        const isWhole =
          restored.has(id) && !broken.some((other) => other !== id && (lost.has(other) || helpless.has(other)));
        if (walk.table.isLive(id) && !isWhole && !helpless.has(id)) helpless.set(id, problem);
      }
    }
  }
  const given = { problem: "", mementos: [...helpless.keys()], lost: {}, broken: [] };
  const near = damagesOf([...walk.findings, given], walk.table, false);
  const nearest = new Map(near.flatMap(({ nearestGood }) => Object.entries(nearestGood)));
  return [...helpless].map(([id, problem]) => ({
    ...EMPTY,
    name: `quarantine:${id}`,
    action: "quarantine" as const,
    problem,
    mementos: [id],
    nearestGood: { [id]: nearest.get(id) ?? null },
  }));
}

/** Live mementos of a pack of which nothing opens: the store may not even list them any more. */
export function lostWhole({ slots, rest }: DamagedPack): readonly string[] {
  return rest === null ? slots.flatMap(({ id, removed }) => (removed ? [] : [id])) : [];
}

/** What was found and no item is about. */
function unexplained(walk: VerifyWalk, items: readonly RepairItem[], { sound }: VerifyReport): RepairItem[] {
  if (sound || items.some(({ name }) => name === "index")) return [];
  const about = new Set(items.flatMap(({ mementos, name }) => [...mementos, name.slice(name.indexOf(":") + 1)]));
  return walk.findings.flatMap(({ problem, mementos, broken }, at) => {
    const all = [...mementos, ...broken];
    const known =
      all.some((id) => about.has(id) || about.has(parseMementoId(id)?.timeline ?? "")) ||
      [...about].some((name) => name !== "" && problem.includes(name));
    return known ? [] : [{ ...EMPTY, name: `other:${at + 1}`, action: "none" as const, problem, mementos }];
  });
}

/** The report of a walk through everything. */
function reportOf(walk: VerifyWalk): VerifyReport {
  const damages = damagesOf(walk.findings, walk.table, walk.isListed);
  return {
    sound: damages.length === 0,
    depth: "everything",
    mementos: walk.mementos,
    total: walk.table.liveCount,
    bytes: walk.bytes,
    notRead: null,
    seed: null,
    damages,
  };
}

/** The plan without what only its application needs. */
export function shownPlan({ hash, sound, items, before }: WorkingPlan): RepairPlan {
  return { hash, sound, items, before };
}

/** Refuses consent to what is not in the plan: a name that was mistyped would be left out silently. */
export function checkConsent(items: readonly RepairItem[], accept: readonly string[]): void {
  const unknown = accept.find((name) => !items.some((item) => item.name === name && item.needsConsent));
  if (unknown !== undefined)
    throw new MementoError(
      "INVALID_ARGUMENT",
      `No item of the plan that needs consent is named ${JSON.stringify(unknown)}`,
    );
}

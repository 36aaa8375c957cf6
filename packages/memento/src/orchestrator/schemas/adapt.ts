import type { MementoEntry, MementoStatus } from "../../core/memento.ts";
import type { LeaseKeeper } from "../../vault/lease-keeper.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { ApprovalRecord } from "../control/approval-record.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { sameRunPlace } from "../run/run-place.ts";
import { PIECE, type PipelineSnapshot } from "../run/run-state.ts";
import { itemText, ownState, readAs, schemasOf, startItems, STATE_ITEM } from "./pipeline-schemas.ts";
import { demandShape, namesOf, shapeChange, type RenamedStage, type ShapeChange } from "./shape.ts";
import { castWay, demandFirst, stampOf, type SchemaStamp, type ValueSchema } from "./value-schema.ts";

/** True for the status of a run that is taken up where it stands; after any other one a new run starts. */
export function isUnfinished(status: MementoStatus): boolean {
  return status === "running" || status === "interrupted" || status === "failed" || status === "paused";
}

/** The status of a memento that is made of this one. Nobody paused a run that waits for a credential: whoever starts it next tries again. */
export function statusOnward({ status, reason }: Pick<MementoEntry, "status" | "reason">): MementoStatus {
  return status === "paused" && reason === "credential" ? "interrupted" : status;
}

/** The status that a memento is gone on with: where it begins a restore, that of the head before, which it has all of. */
export function statusBehind(
  entry: Pick<MementoEntry, "status" | "reason">,
  { restore }: Pick<PipelineSnapshot, "restore">,
): MementoStatus {
  if (entry.status !== "reverting") return statusOnward(entry);
  return (restore?.statusBefore ?? "interrupted") as MementoStatus;
}

/** What of a memento is other under the code's schemas and stage names. */
export interface Adaptation {
  readonly pieces: ReadonlyMap<string, unknown>;
  readonly drop: readonly string[];
  /** What was changed, for people. */
  readonly changes: readonly string[];
}

/**
 * A head as the code can go on from it: where its state or offsets are of another version, or its done stages have other names
 * now, a memento with them as they are now is appended; what was saved before stays as it is. Outputs are made so when they are
 * read. SCHEMA_UNREADABLE, PIPELINE_CHANGED.
 */
export async function adaptHead(
  { vault, lease, pipeline }: { readonly vault: Vault; readonly lease: LeaseKeeper; readonly pipeline: Pipeline },
  head: OpenedMemento | null,
  snapshot: PipelineSnapshot,
  goesOn: boolean,
): Promise<OpenedMemento | null> {
  if (head === null) return null;
  const adaptation = await adaptationOf(pipeline, head, snapshot, goesOn);
  if (adaptation.changes.length === 0) return head;
  const writer = await vault.writer(await vault.timeline(lease.state.record.key));
  const { entry } = await writer.append({
    reason: "upcast",
    status: statusOnward(head.entry),
    generation: head.entry.generation,
    ...sameRunPlace(head.entry),
    pieces: adaptation.pieces,
    drop: adaptation.drop,
    fields: { adapted: { by: pipeline.version, changes: adaptation.changes } },
  });
  return await vault.load(entry.id);
}

/** Says what of a memento, whose snapshot is given, would be other; changes nothing. `goesOn`: an unfinished run is to be taken up, and its stages must fit. */
export async function adaptationOf(
  pipeline: Pipeline,
  memento: OpenedMemento,
  snapshot: PipelineSnapshot,
  goesOn: boolean,
): Promise<Adaptation> {
  const schemas = schemasOf(pipeline);
  const pieces = new Map<string, unknown>();
  const drop: string[] = [];
  const changes: string[] = [];
  const stamps: Record<string, SchemaStamp> = { ...snapshot.stamps };
  /** Undefined where it is of the code's version already: what a caster gives may be the very same object. */
  const cast = (item: string, schema: ValueSchema, value: unknown): Readonly<Record<string, unknown>> | undefined => {
    if (castWay(schema, snapshot.stamps[item], itemText(item)) === "same") return undefined;
    const made = readAs(schemas, snapshot.stamps, item, value);
    changes.push(`${itemText(item)} is of version ${schema.version} of ${schema.id}`);
    stamps[item] = stampOf(schema);
    return made as Readonly<Record<string, unknown>>;
  };
  for (const [item, schema] of schemas) {
    if (item === STATE_ITEM) {
      const own = ownState(pipeline, snapshot.state);
      const keys = Object.keys(own);
      const state = keys.length === 0 ? undefined : cast(item, schema, own);
      if (state === undefined) continue;
      for (const [key, value] of Object.entries(state)) pieces.set(PIECE.state + key, value);
      drop.push(...keys.filter((key) => !Object.hasOwn(state, key)).map((key) => PIECE.state + key));
    } else if (memento.has(item) && !item.startsWith(PIECE.output)) {
      const made = cast(item, schema, await memento.value(item));
      if (made !== undefined) pieces.set(item, made);
    }
  }
  for (const item of startItems(pipeline)) if (!schemas.has(item)) demandFirst(snapshot.stamps[item], itemText(item));
  if (goesOn) {
    const shape = shapeOf(pipeline, memento, snapshot);
    demandShape(pipeline, memento.entry.run ?? "", shape);
    for (const renamed of shape.renamed) await rename(memento, renamed, { pieces, drop, changes, stamps });
    await moveApprovals(memento, pipeline, { pieces, drop, changes });
  }
  if (changes.length > 0) pieces.set(PIECE.schemas, stamps);
  return { pieces, drop, changes };
}

/** How the unfinished run at a memento fits the stages that the code has. */
export function shapeOf(pipeline: Pipeline, memento: OpenedMemento, snapshot: PipelineSnapshot): ShapeChange {
  const lists = memento.keys(PIECE.list).map((key) => key.slice(PIECE.list.length));
  return shapeChange(pipeline, snapshot, lists);
}

/** What a stage has asked, and somebody may have decided, under its new name; without a stage that asks it, it is open no more. */
async function moveApprovals(
  memento: OpenedMemento,
  { stages }: Pipeline,
  { pieces, drop, changes }: { pieces: Map<string, unknown>; drop: string[]; changes: string[] },
): Promise<void> {
  const asking = stages.filter(({ type }) => type === "approval");
  for (const [from, record] of await memento.values(PIECE.approval)) {
    const to = asking.find((stage) => namesOf(stage).includes(from))?.name;
    if (to === from) continue;
    drop.push(PIECE.approval + from);
    if (to === undefined) changes.push(`nobody waits for the approval of ${from} any more`);
    else {
      pieces.set(PIECE.approval + to, { ...(record as ApprovalRecord), stage: to });
      changes.push(`stage ${from} is called ${to}`);
    }
  }
}

/** A stage's output under its new name, as it was saved. */
async function rename(
  memento: OpenedMemento,
  { from, to }: RenamedStage,
  {
    pieces,
    drop,
    changes,
    stamps,
  }: { pieces: Map<string, unknown>; drop: string[]; changes: string[]; stamps: Record<string, SchemaStamp> },
): Promise<void> {
  const [before, after] = [PIECE.output + from, PIECE.output + to];
  pieces.set(after, await memento.value(before));
  drop.push(before);
  changes.push(`stage ${from} is called ${to}`);
  const stamp = stamps[before];
  if (stamp === undefined) return;
  stamps[after] = stamp;
  Reflect.deleteProperty(stamps, before);
}

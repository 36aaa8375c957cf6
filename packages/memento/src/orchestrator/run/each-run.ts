import { MementoError } from "../../core/errors.ts";
import { copyValue } from "../../vault/copy-value.ts";
import type { EachStage, StageContext } from "../pipeline/stage.ts";
import { haltable, stopHere, withAttempts, type StagePorts } from "./attempts.ts";
import { keptKey } from "./kept-pieces.ts";
import { PIECE, type ProgressRecord } from "./run-state.ts";
import { complete, SKIPPED } from "./stage-end.ts";
import type { StageInput } from "./stage-outputs.ts";
import type { StageRun } from "./stage-run.ts";

/** A list under way. */
interface EachList {
  readonly items: readonly unknown[];
  /** Outputs of the items that are done in this process. */
  readonly outputs: Map<number, unknown>;
  /** Items that are done, by their index. */
  readonly done: Set<number>;
}

/** Runs a stage for each item of its list; an item that is done has a memento, and is not run again. */
export async function runEach(ports: StagePorts, stage: EachStage): Promise<void> {
  const { session, outputs } = ports;
  if (stage.risky) await session.save({ reason: "risk", status: "running", stage });
  const { run, value } = await listOf(ports, stage);
  const provenance = { input: outputs.digestOf(stage) };
  if (value === SKIPPED) {
    await complete(ports, { run, stage, value, records: 0, provenance });
    return;
  }
  const list: EachList = { items: value as readonly unknown[], outputs: new Map(), done: doneItems(ports, stage) };
  await runItems(ports, stage, list);
  const results = await collect(ports, stage, list);
  run.work.progress = null;
  // Over an empty list no item is done, which would bring its progress to an end.
  const drop = [
    PIECE.list + stage.name,
    PIECE.underWay + stage.name,
    ...list.items.map((_item, index) => itemKey(stage, index)),
  ];
  await complete(ports, { run, stage, value: results, records: list.items.length, provenance, drop });
}

/** The list that the first attempt has found: it is kept, so that later ones go over the same. */
async function listOf(
  ports: StagePorts,
  stage: EachStage,
): Promise<{ readonly run: StageRun; readonly value: unknown }> {
  const { session, outputs } = ports;
  const key = PIECE.list + stage.name;
  const known = await session.pieceValue(key);
  const given = async (): Promise<StageInput> => (known === undefined ? await outputs.inputOf(stage) : {});
  const found = await withAttempts(ports, { stage, given }, async (run, input): Promise<unknown> => {
    if (known !== undefined) return known;
    const context = run.context() as StageContext<never>;
    if (stage.when !== null && !((await stage.when(input, context)) as boolean)) return SKIPPED;
    const items = await stage.items(input, context);
    if (Array.isArray(items)) return items;
    throw new MementoError("INVALID_ARGUMENT", `The items of stage ${stage.name} are no list`);
  });
  if (known === undefined && found.value !== SKIPPED) {
    const total = (found.value as readonly unknown[]).length;
    await session.save({
      reason: "interval",
      status: "running",
      stage,
      work: found.run.work,
      drop: session.keptBy(stage.name),
      extra: new Map<string, unknown>([[key, found.value], progressPiece(ports, stage, 0, total)]),
    });
  }
  session.claims.release(stage.name);
  return found;
}

/** Items in order, so many at once; after a failure or a stop none is begun any more, and those under way come to their end. */
async function runItems(given: StagePorts, stage: EachStage, list: EachList): Promise<void> {
  const { ports, halt } = haltable(given);
  const { session, stop } = given;
  let next = 0;
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    while (ports.stop.current() === null && next < list.items.length) {
      const index = next;
      next += 1;
      if (list.done.has(index)) continue;
      try {
        await runItem(ports, stage, list, index);
      } catch (error) {
        failures.push(error);
        halt(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(stage.concurrency, list.items.length) }, worker));
  if (failures.length > 0) throw failures[0];
  if (list.done.size < list.items.length) await stopHere(session, stop, stage);
}

async function runItem(ports: StagePorts, stage: EachStage, list: EachList, index: number): Promise<void> {
  const { session } = ports;
  const owner = `${stage.name}[${index}]`;
  // Its code never has the item of the list itself: items may share what they hold, and a further attempt begins with it as it was.
  const given = (): unknown => copyValue(list.items[index]);
  const { run, value } = await withAttempts(ports, { stage, owner, given }, (attempt, item) =>
    stage.run(attempt.context() as StageContext<never>, item, index),
  );
  run.work.progress = null;
  list.done.add(index);
  const done = list.done.size;
  await session.save({
    reason: "item",
    status: "running",
    stage,
    work: run.work,
    ended: true,
    drop: session.keptBy(owner),
    extra: new Map<string, unknown>([
      [itemKey(stage, index), value],
      progressPiece(ports, stage, done, list.items.length),
    ]),
  });
  list.outputs.set(index, value);
  session.emit({ type: "progress", stage: stage.name, records: done, total: list.items.length, share: null });
  session.claims.release(owner);
}

/** How many items are done stands beside them, for people. */
function progressPiece(
  { session }: StagePorts,
  stage: EachStage,
  done: number,
  total: number,
): readonly [string, ProgressRecord] {
  const record = { stage: stage.name, records: done, total, flows: {} };
  session.underWay.set(stage.name, record);
  return [PIECE.underWay + stage.name, record];
}

const itemKey = (stage: EachStage, index: number): string => keptKey(PIECE.item, stage.name, String(index));

function doneItems({ session }: StagePorts, stage: EachStage): Set<number> {
  const prefix = keptKey(PIECE.item, stage.name, "");
  const keys = session.pieceKeys().filter((key) => key.startsWith(prefix));
  return new Set(keys.map((key) => Number(key.slice(prefix.length))));
}

async function collect({ session }: StagePorts, stage: EachStage, list: EachList): Promise<unknown[]> {
  const earlier = list.items.some((_item, index) => !list.outputs.has(index));
  const head = session.headId;
  const saved =
    earlier && head !== null
      ? await (await session.vault.load(head)).values(keptKey(PIECE.item, stage.name, ""))
      : null;
  return list.items.map((_item, index) =>
    list.outputs.has(index) ? list.outputs.get(index) : saved?.get(String(index)),
  );
}

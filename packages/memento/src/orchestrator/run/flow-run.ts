import { hash } from "node:crypto";

import { MementoError } from "../../core/errors.ts";
import { decodeValue } from "../../vault/codec.ts";
import { copyValue } from "../../vault/copy-value.ts";
import type {
  FlowSummary,
  InvalidRecord,
  MapStage,
  ReadStage,
  StageContext,
  StageDefinition,
  WriteStage,
} from "../pipeline/stage.ts";
import { describeIssues } from "../pipeline/standard-schema.ts";
import { recordBytes } from "./record-bytes.ts";
import type { StageRun } from "./stage-run.ts";

/** A flow: a read stage, and every map and write stage that its records pass. */
export interface FlowSegment {
  readonly root: ReadStage;
  /** In order, the root first. */
  readonly stages: readonly StageDefinition[];
}

const INVALID_SAMPLES_MAX = 20;
const EMPTY: FlowSummary = {
  recordsIn: 0,
  recordsOut: 0,
  invalid: 0,
  invalidSamples: [],
  inputDigest: null,
  outputDigest: null,
};

/** The stages through which a read stage's records flow. */
export function flowSegment(root: ReadStage, stages: readonly StageDefinition[]): FlowSegment {
  const names = new Set([root.name]);
  const segment: StageDefinition[] = [root];
  for (const stage of stages) {
    if ((stage.type !== "map" && stage.type !== "write") || !stage.after.some((name) => names.has(name))) continue;
    names.add(stage.name);
    segment.push(stage);
  }
  return { root, stages: segment };
}

/** Takes all records of the source through the flow; at its end, and at every memento before, `run.flows` says what each stage did. */
export async function runFlow(run: StageRun, segment: FlowSegment): Promise<void> {
  const contexts = new Map(segment.stages.map((stage) => [stage.name, run.context(stage)]));
  const contextOf = (stage: StageDefinition): StageContext => contexts.get(stage.name) ?? run.context(stage);
  for (const stage of segment.stages) run.flows[stage.name] ??= EMPTY;
  for await (const batch of run.read(segment.root.source)) {
    run.work.active = segment.root;
    const digest = digestOf(batch.records);
    account(run, segment.root, batch.records.length, batch.records.length, [], digest, digest);
    await pass(run, segment, contextOf, segment.root.name, batch.records, digest);
    run.work.active = segment.root;
  }
}

async function pass(
  run: StageRun,
  segment: FlowSegment,
  contextOf: (stage: StageDefinition) => StageContext,
  from: string,
  records: readonly unknown[],
  digest: string,
): Promise<void> {
  const takers = segment.stages.filter(({ after }) => after.includes(from));
  for (const stage of takers) {
    run.work.active = stage;
    if (stage.type === "write") await write(run, stage, records, digest);
    if (stage.type !== "map") continue;
    // Its code may change them in place, and hand on the same objects: those after it take them as they were.
    const own = stage === takers.at(-1) ? records : (copyValue(records) as readonly unknown[]);
    const { passed, invalid } = await mapRecords(stage, own, contextOf(stage));
    const outputDigest = digestOf(passed);
    account(run, stage, records.length, passed.length, invalid, digest, outputDigest);
    await handleInvalid(run, stage, invalid);
    await pass(run, segment, contextOf, stage.name, passed, outputDigest);
  }
}

async function write(run: StageRun, stage: WriteStage, records: readonly unknown[], digest: string): Promise<void> {
  await run.write(stage, stage.sink, records);
  account(run, stage, records.length, records.length, [], digest, digest);
}

async function mapRecords(
  stage: MapStage,
  records: readonly unknown[],
  context: StageContext,
): Promise<{ passed: unknown[]; invalid: InvalidRecord[] }> {
  const passed: unknown[] = [];
  const invalid: InvalidRecord[] = [];
  for (const record of records) {
    let value = record;
    if (stage.schema !== null) {
      const checking = stage.schema["~standard"].validate(record);
      const checked = checking instanceof Promise ? await checking : checking;
      if (checked.issues !== undefined) {
        invalid.push({ record, issues: describeIssues(checked.issues) });
        continue;
      }
      value = checked.value;
    }
    if (stage.run !== null) {
      const mapping = stage.run(value, context as StageContext<never>);
      value = mapping instanceof Promise ? await mapping : mapping;
    }
    if (Array.isArray(value) && stage.run !== null) for (const each of value as unknown[]) passed.push(each);
    else if (value !== undefined) passed.push(value);
  }
  return { passed, invalid };
}

async function handleInvalid(run: StageRun, stage: MapStage, invalid: readonly InvalidRecord[]): Promise<void> {
  const [first] = invalid;
  if (first === undefined) return;
  const { name, onInvalid, quarantine } = stage;
  if (onInvalid === "fail") {
    throw new MementoError("RECORD_INVALID", `A record does not fit the schema of stage ${name}: ${first.issues}`, {
      details: { stage: name, invalid: invalid.length },
    });
  }
  if (quarantine !== null) {
    await run.write(
      stage,
      quarantine,
      invalid.map(({ record, issues }) => ({ stage: name, record: recordText(record), issues })),
    );
  }
  const total = run.flows[name]?.invalid ?? 0;
  if (typeof onInvalid === "object" && total > onInvalid.stopAfter) {
    throw new MementoError(
      "TOO_MANY_INVALID",
      `${total} records do not fit the schema of stage ${name}, which allows ${onInvalid.stopAfter}; the last: ${first.issues}`,
      {
        details: { stage: name, invalid: total, stopAfter: onInvalid.stopAfter },
      },
    );
  }
}

function account(
  run: StageRun,
  stage: StageDefinition,
  recordsIn: number,
  recordsOut: number,
  invalid: readonly InvalidRecord[],
  input: string,
  output: string,
): void {
  const before = run.flows[stage.name] ?? EMPTY;
  const room = INVALID_SAMPLES_MAX - before.invalidSamples.length;
  run.flows[stage.name] = {
    recordsIn: before.recordsIn + recordsIn,
    recordsOut: before.recordsOut + recordsOut,
    invalid: before.invalid + invalid.length,
    invalidSamples:
      room > 0 && invalid.length > 0
        ? [...before.invalidSamples, ...invalid.slice(0, room).map(keptSample)]
        : before.invalidSamples,
    inputDigest: chain(before.inputDigest, input),
    outputDigest: chain(before.outputDigest, output),
  };
}

const chain = (before: string | null, batch: string): string =>
  hash("sha256", `${before ?? ""}\n${batch}`, "base64url");

const digestOf = (records: readonly unknown[]): string => hash("sha256", recordBytes(records).bytes, "base64url");

const keptSample = ({ record, issues }: InvalidRecord): InvalidRecord => ({
  record: decodeValue(recordBytes(record, "record")),
  issues,
});

const recordText = (record: unknown): string => Buffer.from(recordBytes(record, "record").bytes).toString("utf8");

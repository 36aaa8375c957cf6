import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import type { MementoEntry, MementoStatus } from "../../core/memento.ts";
import { encodeValue } from "../../vault/codec.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import { parseParams } from "../pipeline/params.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { describeIssues } from "../pipeline/standard-schema.ts";
import type { Resources } from "../run/resources.ts";
import { runPlace } from "../run/run-place.ts";
import { PIECE, readSnapshot } from "../run/run-state.ts";
import { statusOnward } from "../schemas/adapt.ts";
import {
  documentChanges,
  editedDocument,
  pathOf,
  type DocumentChange,
  type DocumentEdit,
  type EditDocument,
} from "./edit-document.ts";
import { holdTimeline, openAsOf, settledHead, timelineOf, type TimelinePlace } from "./held-timeline.ts";
import type { TimelineChangeOptions } from "./rollback.ts";
import { shownChange } from "./shown-change.ts";
import { resolveTarget } from "./target.ts";

/** What is to be changed, by whom, and why. */
export interface EditOptions extends Omit<TimelineChangeOptions, "force"> {
  /** The head, by its id or any other way; where it is another memento by now, nothing is changed. Default `head`. */
  readonly target?: string;
  /** Values by their places: `state.price`, `offsets.orders.0`, `outputs.extract.path`, `params.limit`. A value that is undefined is taken away. */
  readonly edits?: readonly DocumentEdit[];
  /** A JSON Patch (RFC 6902) where it is an array, else a JSON Merge Patch (RFC 7396), of `{ params, state, offsets, outputs }`; applied last. */
  readonly patch?: Json;
  /** True: says what would change, and changes nothing. */
  readonly dryRun?: boolean;
}

/** What an edit did. */
export interface EditResult {
  /** The new head; the one of before where nothing has changed, or was to change. */
  readonly head: string;
  /** The head before: rolling back to it undoes the edit. */
  readonly undo: string;
  /** Where it differs, with secrets and what is named like one left out. */
  readonly changes: readonly DocumentChange[];
}

/** The part of a memento that people may edit; without outputs, which may be large, unless they are asked for. */
async function editDocument(memento: OpenedMemento, withOutputs: boolean): Promise<EditDocument> {
  const { run, state, offsets } = await readSnapshot(memento);
  const outputs = withOutputs ? Object.fromEntries(await memento.values(PIECE.output)) : {};
  return { params: run?.params ?? {}, state, offsets: Object.fromEntries(offsets), outputs };
}

/** Reads what of a timeline's head people may edit, outputs left out. NOT_FOUND, CONFLICT while a rollback stands unfinished. */
export async function readEditDocument(
  vault: Vault,
  pipeline: Pipeline,
  place: TimelinePlace = {},
): Promise<EditDocument> {
  return await editDocument(await settledHead(vault, await timelineOf(vault, pipeline, place)), false);
}

/**
 * Changes state, offsets, outputs or parameters at a timeline's head by hand: the changed ones become a new head, one generation
 * on, and the old one stays. Data in sinks is not touched. All is judged first: plain data alone, offsets that their source
 * takes and still has, outputs and parameters that fit their schemas. INVALID_ARGUMENT, UNSUPPORTED_VALUE, PARAMS_INVALID,
 * SCHEMA_MISMATCH, SOURCE_RANGE_GONE, CONFLICT for another memento than the head, LOCKED while a live worker holds the run.
 */
export async function editPipeline(vault: Vault, pipeline: Pipeline, options: EditOptions): Promise<EditResult> {
  const { target = "head", edits = [], patch, by = "", why = "", dryRun = false } = options;
  await using held = await holdTimeline(vault, pipeline, options);
  const { head, state, ports } = held;
  await demandHead(vault, held, target);
  const before = await editDocument(head, namesOutputs(edits, patch));
  const edited = editedDocument(before, edits, patch);
  await using resources = await openAsOf(vault, pipeline, [head], ports.lease.signal);
  const after = await resources.withoutSecrets(async () => await judged(pipeline, resources, before, edited));
  const changes = documentChanges(before, after).map((change) => shownChange(change, resources.redaction));
  const undo = head.entry.id;
  if (changes.length === 0 || dryRun) return { head: undo, undo, changes };
  const { pieces, drop } = await changedPieces(head, before, after);
  const { generation, status } = head.entry;
  const writer = vault.writerAt(state, head);
  const { entry } = await writer.append({
    reason: "edit",
    status: standing(head.entry),
    generation: generation + 1,
    ...runPlace(head.entry),
    pieces,
    drop,
    fields: {
      evidence: {
        kind: "edit",
        by,
        why,
        at: new Date(vault.clock.now()).toISOString(),
        before: undo,
        statusBefore: status,
        digests: { before: head.contentDigest() },
        changes,
      },
    },
  });
  return { head: entry.id, undo, changes };
}

function namesOutputs(edits: readonly DocumentEdit[], patch: Json | undefined): boolean {
  if (edits.some(({ path }) => pathOf(path)[0] === "outputs")) return true;
  return Array.isArray(patch)
    ? JSON.stringify(patch).includes("/outputs")
    : typeof patch === "object" && patch !== null && "outputs" in patch;
}

async function demandHead(
  vault: Vault,
  { head, state }: Pick<Awaited<ReturnType<typeof holdTimeline>>, "head" | "state">,
  target: string,
): Promise<void> {
  const wanted = await resolveTarget(vault, state, target);
  if (wanted === head.entry.id) return;
  throw new MementoError("CONFLICT", `Memento ${wanted} is not the head, which is ${head.entry.id}`, {
    hint: "Data belongs to the head: roll back to that memento first (`memento plan`, `memento rollback --paused`), and then edit the head.",
    details: { head: head.entry.id },
  });
}

/** The document as it may be saved; whatever cannot be is refused here. */
async function judged(
  pipeline: Pipeline,
  resources: Resources,
  before: EditDocument,
  edited: EditDocument,
): Promise<EditDocument> {
  const strange = Object.keys(edited).filter((key) => !Object.hasOwn(before, key));
  if (strange.length > 0)
    throw new MementoError(
      "INVALID_ARGUMENT",
      `${strange.join(", ")} cannot be edited; state, offsets, outputs and params can`,
    );
  const missing = Object.keys(before).filter((key) => !Object.hasOwn(edited, key));
  if (missing.length > 0)
    throw new MementoError("INVALID_ARGUMENT", `${missing.join(", ")} cannot be taken away as a whole`, {
      hint: "Name what of it is to go, such as state.prices.",
    });
  encodeValue(edited, "document");
  for (const [section, value] of Object.entries(edited))
    if (section !== "params" && (typeof value !== "object" || value === null || Array.isArray(value)))
      throw new MementoError("INVALID_ARGUMENT", `${section} holds values by their names, and nothing else`);
  await judgeOffsets(resources, before, edited);
  const params = isDeepStrictEqual(before.params, edited.params)
    ? before.params
    : await parseParams(pipeline, edited.params);
  return { ...edited, params, outputs: await judgedOutputs(pipeline, before, edited) };
}

async function judgeOffsets(resources: Resources, before: EditDocument, edited: EditDocument): Promise<void> {
  for (const name of new Set([...Object.keys(before.offsets), ...Object.keys(edited.offsets)])) {
    const isGone = !Object.hasOwn(edited.offsets, name);
    const offsets = isGone ? {} : edited.offsets[name];
    if (!isGone && isDeepStrictEqual(before.offsets[name], offsets)) continue;
    const source = resources.sources.get(name);
    // Of a source that the pipeline has no more, nothing is read again.
    if (source === undefined && isGone) continue;
    if (source === undefined)
      throw new MementoError(
        "INVALID_ARGUMENT",
        `The pipeline has no source ${name}; it has ${[...resources.sources.keys()].join(", ")}`,
      );
    if (typeof offsets !== "object" || offsets === null || Array.isArray(offsets))
      throw new MementoError(
        "INVALID_ARGUMENT",
        `The offsets of source ${name} are one value for each partition, as { "0": 17 }`,
      );
    const { available, problem } = await source.inspect(
      offsets as Readonly<Record<string, Json>>,
      (before.offsets[name] ?? {}) as Readonly<Record<string, Json>>,
    );
    if (!available)
      throw new MementoError("SOURCE_RANGE_GONE", `Source ${name} cannot be read from there: ${problem}`, {
        hint: "Set the offsets that another memento has (`memento show`), or take them away: then it is read from its beginning.",
      });
  }
}

async function judgedOutputs(
  pipeline: Pipeline,
  before: EditDocument,
  edited: EditDocument,
): Promise<Record<string, unknown>> {
  const outputs: Record<string, unknown> = { ...edited.outputs };
  for (const name of new Set([...Object.keys(before.outputs), ...Object.keys(outputs)])) {
    if (!Object.hasOwn(outputs, name) || !Object.hasOwn(before.outputs, name))
      throw new MementoError(
        "INVALID_ARGUMENT",
        `An edit leaves stage ${name} as it is, done or not; its output can be changed where it is done`,
        {
          hint: `To let it run again: \`memento plan head --only stage:${name}\`.`,
        },
      );
    if (isDeepStrictEqual(before.outputs[name], outputs[name])) continue;
    const stage = pipeline.stages.find((known) => known.name === name);
    const schema = stage?.type === "task" ? stage.output : null;
    if (schema === null) continue;
    const result = await schema["~standard"].validate(outputs[name]);
    if (result.issues !== undefined)
      throw new MementoError(
        "SCHEMA_MISMATCH",
        `The output of stage ${name} does not fit its schema: ${describeIssues(result.issues)}`,
      );
  }
  return outputs;
}

async function changedPieces(
  head: OpenedMemento,
  before: EditDocument,
  after: EditDocument,
): Promise<{ readonly pieces: Map<string, unknown>; readonly drop: string[] }> {
  const pieces = new Map<string, unknown>();
  const drop: string[] = [];
  const sections = [
    [PIECE.state, before.state, after.state],
    [PIECE.offsets, before.offsets, after.offsets],
    [PIECE.output, before.outputs, after.outputs],
  ] as const;
  for (const [prefix, was, is] of sections) {
    for (const [key, value] of Object.entries(is))
      if (!isDeepStrictEqual(was[key], value)) pieces.set(prefix + key, value);
    drop.push(
      ...Object.keys(was)
        .filter((key) => !Object.hasOwn(is, key))
        .map((key) => prefix + key),
    );
  }
  if (!isDeepStrictEqual(before.params, after.params)) {
    const { run } = await readSnapshot(head);
    if (run === null) throw new MementoError("INVALID_ARGUMENT", "There is no run whose parameters could be changed");
    pieces.set(PIECE.run, { ...run, params: after.params });
  }
  return { pieces, drop };
}

/** A run that was under way is one to be resumed. */
function standing(entry: MementoEntry): MementoStatus {
  const status = statusOnward(entry);
  return status === "running" || status === "failed" ? "interrupted" : status;
}

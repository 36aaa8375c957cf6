import {
  PIECE,
  readSnapshot,
  type FlowSummary,
  type Memento,
  type MementoEntry,
  type PipelineSnapshot,
  type StreamFacts,
} from "@mementojs/memento";
import { isStream } from "@mementojs/memento/store";
import type { OpenedMemento } from "@mementojs/memento/vault";

/** A stage's output, as far as it is shown. */
export interface OutputView {
  readonly stage: string;
  readonly bytes: number;
  readonly digest: string;
  /** The memento whose record holds it. */
  readonly heldBy: string;
  /** False: it is too large to be shown without being asked for. */
  readonly shown: boolean;
  readonly value: unknown;
}

/** Everything that a memento says. */
export interface MementoView {
  readonly entry: MementoEntry;
  readonly removed: boolean;
  readonly digest: string;
  readonly parentDigest: string | null;
  readonly contentDigest: string;
  /** The sealed small fields: description, metadata, error, evidence, provenance. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Null for a memento that is of no pipeline. */
  readonly snapshot: PipelineSnapshot | null;
  readonly outputs: readonly OutputView[];
  /** The saved value of a memento that is of no pipeline, and holds no stream. */
  readonly value: unknown;
  /** What is known of the stream of bytes that it holds; null when it holds none. */
  readonly stream: StreamFacts | null;
}

/** The piece in which a stream's facts are. */
const STREAM_PIECE = "stream";
const OUTPUT_BYTES_SHOWN_MAX = 65_536;

/** Opens a memento and reads all that is shown of it; `full` reads large outputs too. NOT_FOUND, DAMAGED. */
export async function viewMemento(memento: Memento, id: string, full: boolean): Promise<MementoView> {
  const opened = await memento.vault.load(id);
  const { entry, removed, digest, parentDigest } = opened;
  const common = {
    entry,
    removed,
    digest,
    parentDigest,
    contentDigest: opened.contentDigest(),
    fields: opened.fields(),
    stream: null,
  };
  if (isStream(entry)) {
    const stream = (await opened.value(STREAM_PIECE)) as StreamFacts;
    return { ...common, snapshot: null, outputs: [], value: undefined, stream };
  }
  if (entry.kind !== "pipeline") {
    const value = removed ? undefined : await memento.caretaker(entry.caretaker).load(id);
    return { ...common, snapshot: null, outputs: [], value };
  }
  return { ...common, snapshot: await readSnapshot(opened), outputs: await outputsOf(opened, full), value: undefined };
}

async function outputsOf(opened: OpenedMemento, full: boolean): Promise<readonly OutputView[]> {
  const outputs: OutputView[] = [];
  for (const key of opened.keys(PIECE.output)) {
    const ref = opened.directory.get(key);
    if (ref === undefined) continue;
    const shown = full || ref.bytes <= OUTPUT_BYTES_SHOWN_MAX;
    const value = shown ? await opened.value(key) : undefined;
    outputs.push({
      stage: key.slice(PIECE.output.length),
      bytes: ref.bytes,
      digest: ref.digest,
      heldBy: ref.holder,
      shown,
      value,
    });
  }
  return outputs;
}

/** The view as JSON output has it. */
export function viewJson({ entry, snapshot, outputs, value, ...facts }: MementoView): unknown {
  if (snapshot === null) return { memento: entry, ...facts, ...(facts.stream === null ? { value } : {}) };
  const { run, progress, restore, schema, state, credentials } = snapshot;
  return {
    memento: entry,
    ...facts,
    run,
    progress,
    restore,
    offsets: Object.fromEntries(snapshot.offsets),
    schemaVersions: schema,
    credentials,
    state,
    sinks: Object.fromEntries(snapshot.sinks),
    outputs: Object.fromEntries(
      outputs.map(({ stage, bytes, digest, heldBy, shown, value: output }) => [
        stage,
        { bytes, digest, heldBy, ...(shown ? { value: output } : {}) },
      ]),
    ),
  };
}

/** True for the output of a flow stage: its counts, its digests and the first records that failed. */
export function isFlowSummary(output: unknown): output is FlowSummary {
  return (
    typeof output === "object" &&
    output !== null &&
    "recordsIn" in output &&
    "invalidSamples" in output &&
    Array.isArray(output.invalidSamples)
  );
}

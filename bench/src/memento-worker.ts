// Memento in a process of its own, like the peers, built ahead: a plain Node process with the library and nothing of the bench.
//   memento-worker URL       answers { partitions, stages, rows } with { ms, sums, stageMs }: the time from starting the runs,
//                            all at once, to the last result; and the time of each stage, where it is one run of small ones
import { openOurs, type Sequence } from "./memento.ts";

/** What the worker is asked to do: one run for each partition. */
export interface OursTask {
  readonly partitions: readonly string[];
  readonly stages: number;
  readonly rows: number;
}

export interface OursAnswer {
  readonly ms: number;
  readonly sums: readonly number[];
  /** From a stage's own start to the start of the next, so with its save; empty for runs at once. */
  readonly stageMs: readonly number[];
}

const [, , url] = process.argv;
if (url === undefined) throw new Error("usage: memento-worker URL");
const ours = await openOurs(url);

let starts: number[] = [];
const sequences = new Map<string, Sequence>();

/** Declared once, like the workflows of the peers. */
function sequenceOf({ partitions, stages, rows }: OursTask): Sequence {
  const alone = partitions.length === 1;
  const name = `${stages} ${rows} ${alone}`;
  const known = sequences.get(name);
  if (known !== undefined) return known;
  const timed = { onStage: (stage: number) => void (starts[stage] = performance.now()) };
  const sequence = ours.sequence(stages, { rows, ...(alone ? timed : {}) });
  sequences.set(name, sequence);
  return sequence;
}

async function serve(task: OursTask): Promise<void> {
  const sequence = sequenceOf(task);
  starts = [];
  const start = performance.now();
  const sums = await Promise.all(task.partitions.map(async (partition) => await sequence.run(partition)));
  const end = performance.now();
  const stageMs = starts.map((at, stage) => (starts[stage + 1] ?? end) - at);
  process.send?.({ ms: end - start, sums, stageMs } satisfies OursAnswer);
}

process.on("message", (task: OursTask) => {
  void serve(task);
});
process.on("disconnect", () => process.exit(0));
process.send?.("ready");

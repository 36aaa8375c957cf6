// Memento as a user has it: SQLite (WAL, synchronous=FULL) or a server, sealed, one memento after every stage, default options.
// Everything the bench knows of the library's API is in this file.
import { randomBytes } from "node:crypto";

import { definePipeline, Memento, type Pipeline, type Stage } from "@mementojs/memento";

import { outputOf, type StageOutput } from "./work.ts";

export interface Ours extends AsyncDisposable {
  /** Declares a pipeline, as a program does once when it starts; DBOS and Restate register theirs. */
  sequence(stages: number, options?: SequenceOptions): Sequence;
}

export interface SequenceOptions {
  /** Called first thing in each stage, with its number. */
  readonly onStage?: (stage: number) => void;
  /** So many rows are in each output besides; 0 by default. */
  readonly rows?: number;
}

export interface Sequence {
  /**
   * Runs the stages on a timeline of their own, or goes on where an interrupted run of that partition stopped, and returns what
   * their numbers add up to.
   */
  run(partition: string): Promise<number>;
}

/** Opens or creates a store: one on SQLite is sealed by its key file, one on a server by a key that lives as long as this process. */
export async function openOurs(url: string): Promise<Ours> {
  const keys = url.startsWith("sqlite:") ? {} : { keys: { raw: [Uint8Array.from(randomBytes(32))] } };
  return runsOf(await Memento.open(url, keys));
}

function runsOf(memento: Memento): Ours {
  return {
    sequence: (stages, options = {}) => {
      const pipeline = sequence(stages, options);
      return {
        run: async (partition) => {
          const result = await memento.run(pipeline, { partition });
          return ((await result.output(nameOf(stages - 1))) as StageOutput).n;
        },
      };
    },
    [Symbol.asyncDispose]: () => memento.close(),
  };
}

/**
 * A chain: each stage takes the output of the one before and adds its own number, so that the last output proves that
 * none was lost on the way, across a kill too.
 */
function sequence(stages: number, { onStage = () => undefined, rows = 0 }: SequenceOptions): Pipeline {
  return definePipeline({
    name: "bench",
    version: "1",
    stages: (stage) => {
      const chain: Stage<StageOutput>[] = [];
      for (let i = 0; i < stages; i++) {
        const run = (sum: number): StageOutput => {
          onStage(i);
          return outputOf(i, sum + i, rows);
        };
        const before = chain.at(-1);
        chain.push(
          before === undefined
            ? stage.task(nameOf(i), () => run(0))
            : stage.task(nameOf(i), { after: { before } }, (_context, input) => run(input.before.n)),
        );
      }
      return chain;
    },
  });
}

function nameOf(stage: number): string {
  return `stage-${stage}`;
}

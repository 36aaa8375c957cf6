// Memento as a user has it: SQLite (WAL, synchronous=FULL), sealed, one memento after every stage, default options.
// Everything the bench knows of the library's API is in this file.
import { Memento, definePipeline } from "@mementojs/memento";

import type { StageOutput } from "./work.ts";

export interface Ours extends AsyncDisposable {
  /**
   * Runs that many stages on a timeline of its own, or goes on where an interrupted run of that partition stopped, and
   * returns what their outputs add up to. `onStage` is called first thing in each stage, with its number.
   */
  run(partition: string, stages: number, onStage: (stage: number) => void): Promise<number>;
}

/** Opens or creates the store in this file. */
export async function openOurs(file: string): Promise<Ours> {
  const memento = await Memento.open(`sqlite:${file}`);
  return {
    run: async (partition, stages, onStage) => {
      const pipeline = definePipeline({
        name: "bench",
        version: "1",
        stages: (stage) =>
          Array.from({ length: stages }, (_, i) =>
            stage.task(`stage-${i}`, async (): Promise<StageOutput> => {
              onStage(i);
              return { ok: true, n: i };
            }),
          ),
      });
      const result = await memento.run(pipeline, { partition });
      return Object.values(result.outputs).reduce((sum, output) => sum + output.n, 0);
    },
    [Symbol.asyncDispose]: () => memento.close(),
  };
}

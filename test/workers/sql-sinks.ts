import { systemClock } from "../../packages/memento/src/core/ports.ts";
import type { Sink, SinkContext } from "../../packages/memento/src/orchestrator/sinks/sink.ts";

type Row = Readonly<Record<string, unknown>>;

/** The context of a sink of a test. */
export const sinkContext: SinkContext = {
  timeline: "one",
  name: "out",
  clock: systemClock,
  signal: new AbortController().signal,
};

let sinks = 0;

/** Opens a sink under a name that no other one has, and closes it after `run`. */
export async function withSink<T>(sink: Sink<Row>, run: (sink: Sink<Row>) => Promise<T>): Promise<T> {
  try {
    await sink.open({ ...sinkContext, name: `out ${(sinks += 1)}` });
    return await run(sink);
  } finally {
    await sink.close();
  }
}

/** The right and the identity of a write of a test. */
export const by = (token: string): { epoch: number; token: string } => ({ epoch: 1, token });

import type { Sink } from "../../orchestrator/sinks/sink.ts";

/** One call of the sink contract. */
export type SinkCall = "open" | "place" | "fence" | "mark" | "write" | "inspect" | "revertTo" | "trim" | "close";

/** What happens around each call; what a hook throws is thrown in place of the call's answer. */
export interface SinkHooks {
  /** Called before the call reaches the sink. */
  readonly before?: (call: SinkCall) => void | Promise<void>;
  /** Called after the sink has answered, before the caller hears of it: the answer of a call that is stopped here is lost. */
  readonly after?: (call: SinkCall) => void | Promise<void>;
}

/** The same sink, with hooks before and after each call of the contract that may fail, wait, or kill the process. */
export function chaosSink<Row>(sink: Sink<Row>, hooks: SinkHooks): Sink<Row> {
  const around = async <T>(call: SinkCall, run: () => Promise<T>): Promise<T> => {
    await hooks.before?.(call);
    const answer = await run();
    await hooks.after?.(call);
    return answer;
  };
  return {
    kind: sink.kind,
    supports: sink.supports,
    describe: () => sink.describe(),
    open: async (context) => await around("open", () => sink.open(context)),
    place: async () => await around("place", () => sink.place()),
    fence: async (epoch) => await around("fence", () => sink.fence(epoch)),
    mark: async () => await around("mark", () => sink.mark()),
    write: async (rows, write) => await around("write", () => sink.write(rows, write)),
    inspect: async (mark) => await around("inspect", () => sink.inspect(mark)),
    revertTo: async (mark, write, options) => await around("revertTo", () => sink.revertTo(mark, write, options)),
    trim: async (oldest) => await around("trim", () => sink.trim(oldest)),
    close: async () => await around("close", () => sink.close()),
  };
}

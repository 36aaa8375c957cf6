// LangGraph's savers as its own loop calls them: a thread, each checkpoint put after the one before; the members of the
// state are channels, and a channel has a new version when its value is another one. Read by getTuple of the thread.
import { emptyCheckpoint, uuid6, type BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";

import { peerFailed } from "../bench-error.ts";
import type { State } from "../states/state-sequence.ts";

const THREAD = { configurable: { thread_id: "bench", checkpoint_ns: "" } };

/** The thread of states that a saver holds. */
export class LangGraphThread {
  readonly #saver: BaseCheckpointSaver;
  #head: Awaited<ReturnType<BaseCheckpointSaver["put"]>> = THREAD;
  #step = 0;

  constructor(saver: BaseCheckpointSaver) {
    this.#saver = saver;
  }

  async save(state: State): Promise<void> {
    const step = this.#step++;
    // Both channels change with every save.
    const versions = { offsets: step + 1, rows: step + 1 };
    const checkpoint = {
      ...emptyCheckpoint(),
      id: uuid6(step),
      ts: new Date().toISOString(),
      channel_values: { ...state },
      channel_versions: versions,
      versions_seen: {},
    };
    this.#head = await this.#saver.put(this.#head, checkpoint, { source: "loop", step, parents: {} }, versions);
  }
}

/** Connects a new saver without reading any state: asks for a thread that does not exist. */
export async function connect(saver: BaseCheckpointSaver): Promise<void> {
  await saver.getTuple({ configurable: { thread_id: "no such thread", checkpoint_ns: "" } });
}

/** The newest state of the thread. */
export async function loadThread(saver: BaseCheckpointSaver): Promise<unknown> {
  const tuple = await saver.getTuple(THREAD);
  if (tuple === undefined) throw peerFailed("langgraph", "load", "the thread has no checkpoint");
  const { offsets, rows } = tuple.checkpoint.channel_values;
  return { offsets, rows };
}

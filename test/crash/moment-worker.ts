import process from "node:process";

import { isMementoError, Memento } from "@mementojs/memento";
import { openStore } from "@mementojs/memento/store";

import { CallCounter, type KillPoint } from "./killing.ts";
import { momentPipeline } from "./moment-pipeline.ts";

/** What a worker process is to do; one JSON text as its only argument. */
export interface MomentTask {
  readonly folder: string;
  readonly postgres: string | null;
  readonly action: "run" | "settle" | "rollback" | "edit" | "reset";
  readonly count: number;
  readonly target?: string;
  readonly kill?: KillPoint;
}

/** What a worker prints at its end, as its last line. */
export interface MomentReport {
  readonly status: string;
  readonly calls: readonly string[];
  readonly undo?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

const task = JSON.parse(process.argv[2] ?? "{}") as MomentTask;
const counter = new CallCounter(task.kill ?? null);

async function work(): Promise<Omit<MomentReport, "calls">> {
  const { store } = await openStore(`sqlite:${task.folder}/store.db`);
  await using memento = await Memento.open(counter.wrap("store", store), {
    keys: { file: `${task.folder}/store.db.key` },
  });
  const { folder, postgres, count, target = "start" } = task;
  const pipeline = momentPipeline({ folder, postgres, count, wrap: (name, wrapped) => counter.wrap(name, wrapped) });
  switch (task.action) {
    case "rollback": {
      const { hash } = await memento.plan(pipeline, target);
      const { undo } = await memento.rollback(pipeline, target, { plan: hash });
      return { status: "rolled back", undo };
    }
    case "edit": {
      const { undo } = await memento.edit(pipeline, { edits: [{ path: "state.note", value: "by hand" }], by: "test" });
      return { status: "edited", undo };
    }
    case "reset": {
      const { hash } = await memento.planReset(pipeline);
      const { undo } = await memento.reset(pipeline, { plan: hash, confirm: "moment" });
      return { status: "reset", undo: undo ?? "" };
    }
    case "run":
    case "settle": {
      // Settling does what every command does first, and then stops before the next stage.
      const signal = task.action === "settle" ? AbortSignal.abort() : new AbortController().signal;
      return { status: (await memento.run(pipeline, { signal })).status };
    }
  }
}

try {
  process.stdout.write(`${JSON.stringify({ ...(await work()), calls: counter.names })}\n`);
} catch (error) {
  if (!isMementoError(error)) throw error;
  const { code, message } = error;
  process.stdout.write(`${JSON.stringify({ status: "error", error: { code, message }, calls: counter.names })}\n`);
  process.exitCode = 1;
}

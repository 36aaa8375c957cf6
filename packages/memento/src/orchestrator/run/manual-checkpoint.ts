import { checkSaved } from "../../caretaker/saved-name.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { mementoQuery } from "../../store/query.ts";
import type { StageContext } from "../pipeline/stage.ts";
import type { StageRun } from "./stage-run.ts";

/** What a caller of `checkpoint()` may say. */
type ManualCheckpoint = NonNullable<Parameters<StageContext["checkpoint"]>[0]>;

/** Takes a memento by hand, where no batch is in hand; see `StageContext.checkpoint`. */
export async function takeCheckpoint(run: StageRun, options: ManualCheckpoint): Promise<MementoEntry> {
  const { description, name, labels = {}, replace = false } = options;
  run.attempt.demand();
  run.batches.demandNone("checkpoint");
  checkSaved(name, labels);
  const fields = description === undefined ? {} : { fields: { description } };
  const save = { reason: "manual", status: "running", labels: { ...labels }, ...fields } as const;
  return await run.batches.between(async () => {
    if (name === undefined) return await run.save(save);
    // What is run again, in a further attempt or after a failure, comes here again.
    const replaceName = replace || (await hasNamed(run, name));
    return await run.save({ ...save, name, replaceName });
  });
}

/** True where the memento that has this name is one of this run, and of this stage. */
async function hasNamed({ session, stage }: StageRun, name: string): Promise<boolean> {
  const { store } = session.vault;
  const holder = await store.findByName(session.lease.state.record.caretaker, name);
  if (holder === null) return false;
  const own = mementoQuery({ timeline: session.timeline, run: session.run.id, stage: stage.name, name });
  for await (const { entry } of store.query(own)) if (entry.id === holder) return true;
  return false;
}

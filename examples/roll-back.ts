import { Memento } from "@mementojs/memento";

import { pipeline } from "./quickstart.ts";

await using memento = await Memento.open("sqlite:mementos.db", { create: false });

const plan = await memento.plan(pipeline, "start"); // to before the newest run; changes nothing
for (const { name, to, recordsAgain } of plan.sources)
  console.log(`${name}: back to ${JSON.stringify(to)}, ${recordsAgain} records to read again`);
for (const { where, verdict, remove } of plan.sinks) console.log(`${where}: ${verdict}, ${remove} rows to remove`);

const { head, undo } = await memento.rollback(pipeline, plan.target.id, { plan: plan.hash, why: "a broken sensor" });
console.log(`rolled back: the head is ${head}; rolling back to ${undo} undoes it`);

/** Lists all mementos of a store and prints how many there are. Arguments: the store's URL, the sort. */
import { writeSync } from "node:fs";
import process from "node:process";

import { openStore } from "../../packages/memento/src/store/open-store.ts";
import { mementoQuery, type MementoSort } from "../../packages/memento/src/store/query.ts";

const [url = "", sort = "log"] = process.argv.slice(2);
const { store } = await openStore(url);
let count = 0;
for await (const { entry } of store.query(mementoQuery({ sort: sort as MementoSort })))
  if (entry.sequence > 0) count += 1;
await store.close();
writeSync(1, `${count}\n`);

/** Lists all mementos of a file store and prints how many there are. Arguments: the store's path, the sort. */
import { writeSync } from "node:fs";
import process from "node:process";

import { FileStore } from "../../packages/memento/src/store/file/store.ts";
import { mementoQuery, type MementoSort } from "../../packages/memento/src/store/query.ts";

const [path = "", sort = "log"] = process.argv.slice(2);
await using store = await FileStore.open({ path });
let count = 0;
for await (const { entry } of store.query(mementoQuery({ sort: sort as MementoSort })))
  if (entry.sequence > 0) count += 1;
writeSync(1, `${count}\n`);

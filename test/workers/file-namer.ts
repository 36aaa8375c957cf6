/**
 * Wants names that others want as well. Arguments: the store's path, a timeline's key, how many names. Says `ready`,
 * waits for its input to end, then saves one memento under each name in turn, and prints what
 * became of each.
 */
import { once } from "node:events";
import { writeSync } from "node:fs";
import process from "node:process";

import { FileStore } from "../../packages/memento/src/store/file/store.ts";
import { StoreFixture, TestTimeline } from "../../packages/memento/src/testing/store/fixture.ts";

/** What became of a wish for a name. */
export interface NameNews {
  readonly name: string;
  readonly id: string;
  readonly outcome: string;
  /** Who has the name, where somebody else was faster. */
  readonly holder: string | null;
}

const [path = "", key = "", count = "0"] = process.argv.slice(2);
const store = await FileStore.open({ path });
const state = await store.timeline(key);
if (state === null) throw new Error(`there is no timeline ${key}`);
const make = new StoreFixture(process.pid);
const line = new TestTimeline(make, state.record);
writeSync(1, '"ready"\n');
process.stdin.resume();
await once(process.stdin, "end");
for (let index = 0; index < Number(count); index++) {
  const name = `name-${index}`;
  const record = line.record({ name });
  const [result] = await store.append(make.batch([record]));
  if (result?.outcome === "appended") line.sequence += 1;
  const holder = result?.outcome === "exists" ? result.id : null;
  const news: NameNews = { name, id: record.entry.id, outcome: result?.outcome ?? "", holder };
  writeSync(1, `${JSON.stringify(news)}\n`);
}
await store.close();

/** Appends so many batches of many records to a new SQLite store, and never closes it: the process is to end all the same. */
import process from "node:process";

import { SqliteStore } from "../../packages/memento/src/store/sqlite/store.ts";
import { StoreFixture, type TestTimeline } from "../../packages/memento/src/testing/store/fixture.ts";

const [path = "", batches = "0"] = process.argv.slice(2);
const store = await SqliteStore.open({ path });
const make = new StoreFixture(Number(batches));
await store.create(make.meta(), make.key("integrity"));
const lines: TestTimeline[] = [];
for (let index = 0; index < 12; index++) lines.push(await make.timeline(store, { originator: `o${index}` }));
for (let batch = 0; batch < Number(batches); batch++) await store.append(make.batch(lines.map((line) => line.next())));

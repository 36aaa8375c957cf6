import { Memento } from "@mementojs/memento";

await using memento = await Memento.open("sqlite:progress.db");
const etl = memento.caretaker("etl");
const done = ((await etl.latest()) ?? { page: 0 }) as { page: number };
for (let page = done.page + 1; page <= 500; page++) {
  console.log(`page ${page}`); // your work: here, one page of it
  await etl.save({ page }); // on the disk and sealed before the next page begins
}

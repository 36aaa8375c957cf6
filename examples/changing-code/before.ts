import { definePipeline } from "@mementojs/memento";
import { fromIterable } from "@mementojs/memento/sources";

/** Adds up orders, in cents; the code that is in use. */
export const orders = definePipeline({
  name: "orders",
  version: "1",
  batchRecords: 10,
  checkpoint: { records: 10 },
  sources: { orders: () => fromIterable(() => Array.from({ length: 100 }, (_, n) => ({ order: n, cents: 100 + n }))) },
  stages: (stage) => [
    stage.task("add", async (context) => {
      for await (const { records } of context.read("orders")) {
        for (const { cents } of records as { cents: number }[])
          context.state["sum"] = Number(context.state["sum"] ?? 0) + cents;
      }
      return context.state["sum"];
    }),
  ],
});

import { definePipeline } from "@mementojs/memento";
import { fromIterable } from "@mementojs/memento/sources";

/** The same with a state of another shape: the upcaster says how the old one becomes the new one. */
export const orders = definePipeline({
  name: "orders",
  version: "2",
  schema: {
    id: "orders",
    version: 2,
    upcasters: { 1: ({ sum }: { sum: number }) => ({ total: { cents: sum, currency: "EUR" } }) },
  },
  batchRecords: 10,
  checkpoint: { records: 10 },
  sources: { orders: () => fromIterable(() => Array.from({ length: 100 }, (_, n) => ({ order: n, cents: 100 + n }))) },
  stages: (stage) => [
    stage.task("add", async (context) => {
      for await (const { records } of context.read("orders")) {
        const total = (context.state["total"] ??= { cents: 0, currency: "EUR" }) as { cents: number; currency: string };
        for (const { cents } of records as { cents: number }[]) total.cents += cents;
      }
      return context.state["total"];
    }),
  ],
});

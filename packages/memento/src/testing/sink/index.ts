export { chaosSink, type SinkCall, type SinkHooks } from "./chaos-sink.ts";
export type { KitRow, SinkKitOptions, SinkPlace } from "./kit.ts";
export { testSink } from "./sink-kit.ts";

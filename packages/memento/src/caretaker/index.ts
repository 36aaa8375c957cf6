export { Caretaker, type ListOptions, type SaveOptions } from "./caretaker.ts";
export type { Selection } from "./listing.ts";
export type { MementoInfo } from "./memento-info.ts";
export type { MementoStatistics, RunStatistics } from "./statistics.ts";
export type { StatisticsGroup, StatisticsOptions, StatisticsReport } from "./statistics.ts";
export type { StatisticsBy } from "./statistics-grouping.ts";
export type { StreamInput } from "./stream-input.ts";
export type { MementoStream } from "./stream-reader.ts";
export type { StreamOptions } from "./streams.ts";

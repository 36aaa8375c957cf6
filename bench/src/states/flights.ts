// Rows of real data: two lists of flights from the package vega-datasets (BSD-3-Clause), which the repository's root
// installs. They are of different lengths and are gone through side by side, again from the start when one ends.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { BenchError } from "../bench-error.ts";

/** One row of a state, about 125 bytes as JSON. */
export interface Flight {
  readonly id: number;
  readonly date: string;
  readonly origin: string;
  readonly destination: string;
  readonly distance: number;
  delay: number;
  time: number;
}

interface Delay {
  readonly delay: number;
  readonly distance: number;
  readonly time: number;
}

type Route = Pick<Flight, "date" | "origin" | "destination">;

let lists: { readonly delays: readonly Delay[]; readonly routes: readonly Route[] } | undefined;

/** The flight with this running number. */
export function flight(id: number): Flight {
  const { delays, routes } = (lists ??= { delays: read<Delay>("flights-200k"), routes: read<Route>("flights-20k") });
  const { delay, distance, time } = at(delays, id);
  const { date, origin, destination } = at(routes, id);
  return { id, date, origin, destination, distance, delay, time };
}

/** Delay and time of the flight with this running number, to change another one by. */
export function delayOf(id: number): Pick<Flight, "delay" | "time"> {
  const { delay, time } = flight(id);
  return { delay, time };
}

function at<T>(list: readonly T[], index: number): T {
  const item = list[index % list.length];
  if (item === undefined) throw new RangeError("the list is empty");
  return item;
}

function read<T>(name: string): readonly T[] {
  const path = fileURLToPath(new URL(`../../../node_modules/vega-datasets/data/${name}.json`, import.meta.url));
  if (!existsSync(path)) throw new BenchError(`${path} is missing. In the repository's root: npm ci`);
  return JSON.parse(readFileSync(path, "utf8")) as T[];
}

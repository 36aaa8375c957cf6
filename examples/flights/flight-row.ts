import type { Flight } from "./flight-schema.ts";

/** A row of the table `flights`. */
export type FlightRow = {
  /** Counts the good flights from 1 on; the count is the pipeline's state, so it goes on after a crash and back with a rollback. */
  readonly id: number;
  /** `2001-01-01`; null where the input does not say. */
  readonly day: string | null;
  /** Minutes since midnight. */
  readonly minute: number;
  readonly origin: string | null;
  readonly destination: string | null;
  readonly distance_km: number;
  readonly delay_minutes: number;
};

/** The columns of the table `flights`, in the order of `FlightRow`. */
export const FLIGHT_COLUMNS = {
  id: "INTEGER",
  day: "TEXT",
  minute: "INTEGER",
  origin: "TEXT",
  destination: "TEXT",
  distance_km: "INTEGER",
  delay_minutes: "INTEGER",
} as const;

const KILOMETRES_A_MILE = 1.609344;

/** Turns a flight into its row; numbers it by `state.flights`. */
export function toFlightRow(flight: Flight, { state }: { readonly state: Record<string, unknown> }): FlightRow {
  const id = Number(state["flights"] ?? 0) + 1;
  state["flights"] = id;
  return {
    id,
    ...departure(flight),
    origin: flight.origin ?? null,
    destination: flight.destination ?? null,
    distance_km: Math.round(flight.distance * KILOMETRES_A_MILE),
    delay_minutes: flight.delay,
  };
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Writing a date as text costs more than all the rest of a row; there are a few hundred days, and millions of flights. */
const dayTexts = new Map<number, string>();

function departure({ date, time = 0 }: Flight): { day: string | null; minute: number } {
  if (date === undefined) return { day: null, minute: Math.round(time * 60) };
  if (typeof date === "string") {
    return {
      day: date.slice(0, 10).replaceAll("/", "-"),
      minute: Number(date.slice(11, 13)) * 60 + Number(date.slice(14, 16)),
    };
  }
  const day = Math.floor(date.getTime() / DAY_MS);
  return { day: dayText(day), minute: Math.floor((date.getTime() - day * DAY_MS) / MINUTE_MS) };
}

function dayText(day: number): string {
  const text = dayTexts.get(day) ?? new Date(day * DAY_MS).toISOString().slice(0, 10);
  dayTexts.set(day, text);
  return text;
}

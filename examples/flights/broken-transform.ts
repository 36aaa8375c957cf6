/** The next version of the flights pipeline, with a mistake in it: for the demo, and for nothing else. */
import { type FlightRow, toFlightRow } from "./flight-row.ts";
import { defineFlights, type FlightTransform } from "./pipeline.ts";

const METRES_A_MILE = 1_609;

/** Keeps metres in 16 bits, which is enough for 20 miles: most distances come out wrong, and half of those negative. */
const toCompactRow: FlightTransform = (flight, context): FlightRow => {
  const [metres = 0] = Int16Array.of(flight.distance * METRES_A_MILE);
  return { ...toFlightRow(flight, context), distance_km: Math.round(metres / 1_000) };
};

export const pipeline = defineFlights("1.1.0", toCompactRow);

import { z } from "zod";

/** More than an hour early, or a whole day late: a slip of the pen, not a flight. 150 of the three million are. */
const DELAY_MINUTES_MIN = -60;
const DELAY_MINUTES_MAX = 24 * 60 - 1;
/** No scheduled flight is longer. */
const DISTANCE_MILES_MAX = 10_000;

const airport = z.string().regex(/^[A-Z]{3}$/u, "is not three capital letters");

/**
 * A flight as the public files have it. Their shapes differ: Parquet holds points in time, the smaller JSON files text such as
 * `2001/01/01 06:55`, and the one of 200,000 only the hour of the day, and no airports.
 */
export const flightSchema = z
  .object({
    date: z.union([z.date(), z.string().regex(/^\d{4}\/\d{2}\/\d{2} \d{2}:\d{2}$/u, "is no date")]).optional(),
    time: z.number().min(0).lt(24).optional(),
    delay: z.int().min(DELAY_MINUTES_MIN).max(DELAY_MINUTES_MAX),
    distance: z.int().min(1).max(DISTANCE_MILES_MAX),
    origin: airport.optional(),
    destination: airport.optional(),
  })
  .refine(({ date, time }) => date !== undefined || time !== undefined, { path: ["date"], error: "is missing" })
  .refine(({ origin, destination }) => origin === undefined || origin !== destination, {
    path: ["destination"],
    error: "is where the flight began",
  });

/** A flight that was checked. */
export type Flight = z.infer<typeof flightSchema>;

import { describe, expect, test } from "vitest";

import { momentOf } from "./moment.ts";

describe("momentOf()", () => {
  test.each([
    ["2027-01-31", "2027-01-31T00:00:00.000Z"],
    ["2024-02-29", "2024-02-29T00:00:00.000Z"],
    ["0024-02-29", "0024-02-29T00:00:00.000Z"],
    ["2027-01-31T12:00Z", "2027-01-31T12:00:00.000Z"],
    ["2027-01-31T12:34:56Z", "2027-01-31T12:34:56.000Z"],
    ["2027-01-31T12:34:56.5Z", "2027-01-31T12:34:56.500Z"],
    ["2027-01-31T12:34:56.123456789Z", "2027-01-31T12:34:56.123Z"],
    ["2027-01-31T00:30+01:00", "2027-01-30T23:30:00.000Z"],
    ["2027-01-31T23:59:59-05:30", "2027-02-01T05:29:59.000Z"],
  ])("reads %s", (text, moment) => {
    expect(new Date(momentOf(text, "since")).toISOString()).toBe(moment);
  });

  test.each([
    "",
    "soon",
    "1",
    "2027",
    "2027-01",
    "2027-02-29",
    "2027-02-31",
    "2027-04-31",
    "2027-00-01",
    "2027-13-01",
    "2027-1-31",
    "01/02/2027",
    "Jan 31 2027",
    "31.1.2027",
    "2027-01-31 12:00Z",
    "2027-01-31T24:00Z",
    "2027-01-31T12:60Z",
    "2027-01-31T12Z",
    "2027-02-31T12:00Z",
    "2027-01-31T12:00+25:00",
    "+002027-01-31",
    " 2027-01-31",
    "2027-01-31\n",
  ])("refuses %j, naming what it was for", (text) => {
    expect(() => momentOf(text, "since")).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        message: `${JSON.stringify(text)} is no moment for since`,
        hint: "Write it as in 2027-01-31 or 2027-01-31T12:00:00Z.",
      }),
    );
  });

  test("refuses a time of no zone, which is another moment on another machine", () => {
    expect(() => momentOf("2027-01-31T12:00", "until")).toThrow(
      expect.objectContaining({
        code: "INVALID_ARGUMENT",
        hint: "Say in which zone: 2027-01-31T12:00Z in UTC, or 2027-01-31T12:00+01:00.",
      }),
    );
  });
});

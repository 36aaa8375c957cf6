import { inspect } from "node:util";

import { describe, expect, test } from "vitest";

import { failureOfAnswer, redact, type ServiceAnswer } from "./service-failure.ts";

const ANSWER: ServiceAnswer = {
  doing: "read the blob a/b",
  status: null,
  code: null,
  message: "said",
  placeMissing: false,
  noCredentials: false,
  secrets: [],
  hints: { PLACE_MISSING: "Make it." },
};

describe("failureOfAnswer()", () => {
  test.each([
    [{ status: 401 }, "ACCESS_DENIED"],
    [{ status: 403 }, "ACCESS_DENIED"],
    [{ noCredentials: true }, "ACCESS_DENIED"],
    [{ status: 404, placeMissing: true }, "PLACE_MISSING"],
    [{ status: 404 }, "IO_FAILED"],
    [{ status: 408 }, "STORE_UNREACHABLE"],
    [{ status: 429 }, "STORE_UNREACHABLE"],
    [{ status: 500 }, "STORE_UNREACHABLE"],
    [{ status: 503, code: "ServerBusy" }, "STORE_UNREACHABLE"],
    [{ status: 501 }, "ENGINE_UNSUITABLE"],
    [{ status: 507 }, "DISK_FULL"],
    [{ code: "ECONNREFUSED" }, "STORE_UNREACHABLE"],
    [{ code: "ECONNRESET" }, "STORE_UNREACHABLE"],
    [{ code: "EAI_AGAIN" }, "STORE_UNREACHABLE"],
    [{ code: "EHOSTUNREACH" }, "STORE_UNREACHABLE"],
    [{ code: "ENOTFOUND" }, "STORE_UNREACHABLE"],
    [{ code: "ETIMEDOUT" }, "STORE_UNREACHABLE"],
    [{ code: "DEPTH_ZERO_SELF_SIGNED_CERT" }, "STORE_UNREACHABLE"],
    [{ code: "ERR_STREAM_PREMATURE_CLOSE" }, "STORE_UNREACHABLE"],
    [{ code: "ERR_INVALID_ARG_TYPE" }, "IO_FAILED"],
    [{}, "IO_FAILED"],
  ])("%o is %s", (facts, code) => {
    expect(failureOfAnswer({ ...ANSWER, ...facts }).code).toBe(code);
  });

  test("says what was tried, the status and the service's word, and the way out there", () => {
    const failure = failureOfAnswer({ ...ANSWER, status: 404, code: "NoPlace", placeMissing: true });
    expect(failure.message).toBe("Could not read the blob a/b: said (HTTP 404, NoPlace)");
    expect(failure.details).toEqual({ status: 404, reason: "NoPlace" });
    expect(failure.hint).toBe("Make it.");
  });

  test("keeps no secret anywhere", () => {
    const message = "GET http://h/a?sv=1&sig=a%2Bb%3D failed for key KEY/== by Bearer abcdefgh.ijkl";
    const failure = failureOfAnswer({ ...ANSWER, message, secrets: ["KEY/=="] });
    const shown = inspect(failure, { depth: 9, showHidden: true });
    for (const secret of ["a%2Bb%3D", "KEY/==", "abcdefgh.ijkl"]) expect(shown).not.toContain(secret);
    expect(shown).toContain("sv=1");
  });
});

describe("redact()", () => {
  test("knows a secret as it stands in an address", () => {
    expect(redact("key=a%2Fb%3D%3D", ["a/b=="])).toBe("key=***");
  });
});

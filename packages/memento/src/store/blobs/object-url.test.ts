import { describe, expect, test } from "vitest";

import { endpointOf, parseObjectUrl, segmentsOf, shownUrl } from "./object-url.ts";

describe("parseObjectUrl()", () => {
  test("takes a URL apart that shownUrl() put together", () => {
    const url = shownUrl("gs", ["my_bucket", "a b", "ü"], { endpoint: "http://127.0.0.1:1", other: undefined });
    expect(url).toBe("gs://my_bucket/a%20b/%C3%BC?endpoint=http%3A%2F%2F127.0.0.1%3A1");
    const parsed = parseObjectUrl(url, "gs", ["endpoint"]);
    expect(parsed).toMatchObject({ host: "my_bucket", segments: ["a b", "ü"] });
    expect(parsed.parameters.get("endpoint")).toBe("http://127.0.0.1:1");
  });

  test("takes a slash at the end, and none", () => {
    for (const url of ["gs://b", "gs://b/"]) expect(parseObjectUrl(url, "gs", []).segments).toEqual([]);
    expect(parseObjectUrl("gs://b/a/c/", "gs", []).segments).toEqual(["a", "c"]);
  });

  test.each([
    "s3://b",
    "gs:b",
    "gs:///b",
    "gs://u@b",
    "gs://:p@b",
    "gs://b#x",
    "gs://b?x=1",
    "gs://b/a//b",
    "gs://b/%2e%2e%2fx",
  ])("refuses %s", (url) => {
    expect(() => parseObjectUrl(url, "gs", ["endpoint"])).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });
});

describe("segmentsOf()", () => {
  test("refuses what a path would swallow", () => {
    for (const path of ["a//b", "a/./b", "../a", "a/.."])
      expect(() => segmentsOf(path)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
    expect(segmentsOf("/a/b/")).toEqual(["a", "b"]);
  });
});

describe("endpointOf()", () => {
  test("keeps a path, and no slash at the end", () => {
    expect(endpointOf("http://127.0.0.1:10000/account/")).toBe("http://127.0.0.1:10000/account");
    expect(endpointOf("https://h")).toBe("https://h");
  });

  test.each(["h", "ftp://h", "http://u:p@h", "http://h?x", "http://h#x"])("refuses %s", (endpoint) => {
    expect(() => endpointOf(endpoint)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

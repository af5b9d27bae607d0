import { describe, expect, it } from "vitest";

import { type Route, href, parse } from "../src/core/route";

describe("routes", () => {
  it("come back from their own addresses", () => {
    const routes: Route[] = [
      { view: "streams" },
      { view: "start" },
      { view: "start", from: "a.b-c_1" },
      { view: "stream", id: "a.b-c_1" },
      { view: "log" },
      { view: "log", stream: "x" },
      { view: "storage" },
    ];
    for (const route of routes) expect(parse(href(route))).toEqual(route);
  });

  it("lead to the list where they name nothing that can be", () => {
    for (const hash of ["", "#", "#/nothing", "#/streams", "#/streams/", "#/streams/..%2fx", "#/streams/.hidden", "#/streams/%E0%A4%A", `#/streams/${"x".repeat(65)}`]) {
      expect(parse(hash)).toEqual({ view: "streams" });
    }
    expect(parse("#/log?stream=../x")).toEqual({ view: "log" });
    expect(parse("#/start?from=%00")).toEqual({ view: "start" });
  });
});

import { defineConfig } from "vitest/config";

// Real browsers against a real service. The limits are for a machine that does other things too: what ends a test is
// what it waits for, never the clock.
export default defineConfig({
  test: {
    include: ["e2e/**/*.test.ts"],
    environment: "node",
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 60_000, interval: 100 } },
    // A step that fails leaves the page in a state that later steps do not expect.
    bail: 1,
  },
});

import { defineConfig } from "vitest/config";

// Real browsers against a real service: one file after the other, since each waits for live media.
export default defineConfig({
  test: {
    include: ["e2e/**/*.test.ts"],
    environment: "node",
    fileParallelism: true,
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // A step that fails leaves the page in a state that later steps do not expect.
    bail: 1,
  },
});

import { defineConfig } from "vitest/config";

// The page is served by `overdub` itself, and asks for everything relative to its own address: a reverse proxy may have
// put it below a path.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    // A data: address would need a wider content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // hls.js is that large, and loaded only where something is played.
    chunkSizeWarningLimit: 700,
  },
  server: {
    // `npm run dev` beside a running service: OVERDUB=http://127.0.0.1:3000 npm run dev
    proxy: Object.fromEntries(
      ["/api", "/preview", "/socket.io", "/docs", "/openapi.json", "/metrics"].map((path) => [
        path,
        { target: process.env["OVERDUB"] ?? "http://127.0.0.1:3000", ws: path === "/socket.io" },
      ]),
    ),
  },
  // Far above what any takes: a machine that does other things too must not fail them.
  test: { include: ["test/**/*.test.ts"], environment: "node", testTimeout: 60_000 },
});

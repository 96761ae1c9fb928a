import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // A synthesis takes seconds on a busy machine.
    testTimeout: 60_000,
    globalSetup: "test/temporary-folder.ts",
    // Test files share the synthesised templates.
    isolate: false,
    // Reading CloudFormation's schemas takes seconds, so only the tests that need this check turn it on.
    env: { CDK_VALIDATION: "false" },
  },
});

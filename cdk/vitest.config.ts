import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // A synthesis takes seconds on a busy machine.
    testTimeout: 60_000,
    // Test files share what they have synthesised.
    isolate: false,
    // CloudFormation's own schemas are checked where a test asks for it: reading them takes seconds.
    env: { CDK_VALIDATION: "false" },
  },
});

import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["cdk.out", "node_modules"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
  },
  { files: ["**/*.mjs"], ...tseslint.configs.disableTypeChecked },
);

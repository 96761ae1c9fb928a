import { buildApp } from "../lib/app.js";
import { SettingError } from "../lib/settings.js";

try {
  buildApp();
} catch (error) {
  if (!(error instanceof SettingError)) throw error;
  // Where in the code it was found is of no use to whoever has set it.
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
}

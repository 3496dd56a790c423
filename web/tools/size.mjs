// The budget of the first load: all script, gzip, in kB.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

const root = "../src/liqfield/server/static";
const BUDGET_KB = 200;
if (!existsSync(root)) {
  console.error(`no build in ${root}: run npm run build`);
  process.exit(1);
}
let bytes = 0;
for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
  if (entry.isFile() && entry.name.endsWith(".js.gz")) bytes += statSync(join(entry.parentPath, entry.name)).size;
}
console.log(`script: ${(bytes / 1000).toFixed(1)} kB gzip of ${BUDGET_KB}`);
if (bytes === 0 || bytes > BUDGET_KB * 1000) process.exit(1);

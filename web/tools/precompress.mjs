// After the build, once: tells the service worker what the shell is, and compresses every file, so that
// the server sends .br or .gz as they lie.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "vite";

const root = "../src/liqfield/server/static";
const paths = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
  .sort();

const shell = paths.filter((path) => /assets\/.*\.(js|css)$|manifest|icon\.svg$|icon-192/.test(path)).map((path) => `/${relative(root, path)}`);
// The worker is asked for by the script: named in the page it comes along with it, one round trip earlier.
const workerFile = shell.find((path) => path.includes("/assets/worker-"));
if (!workerFile) throw new Error("no worker in the build");
const page = join(root, "index.html");
// The styles go into the page: it is painted when it arrives.
const html = readFileSync(page, "utf8").replace("</head>", `  <link rel="modulepreload" href="${workerFile}" />\n  </head>`);
const filled = html.replace(/<link rel="stylesheet"[^>]*href="(\/assets\/[^"]+\.css)"[^>]*>/, (_, href) => `<style>${readFileSync(join(root, href), "utf8").trim()}</style>`);
if (!filled.includes("<style>")) throw new Error("the styles were not written into the page");
// What draws the first picture runs before any file has come: it is part of the page.
const [made] = await build({
  configFile: false,
  logLevel: "warn",
  build: { write: false, target: "es2022", lib: { entry: "src/app/still.ts", formats: ["iife"], name: "still" } },
});
const script = made.output[0].code.trim();
if (/<\/?script/i.test(script)) throw new Error("the page's script would end itself");
writeFileSync(page, filled.replace("</body>", () => `<script>${script}</script></body>`));

const name = createHash("sha256");
for (const path of paths) name.update(readFileSync(path));
const worker = join(root, "sw.js");
const text = readFileSync(worker, "utf8")
  .replace('const FILES = ["/index.html"];', `const FILES = ${JSON.stringify(["/index.html", ...shell])};`)
  .replace("liqfield-dev", `liqfield-${name.digest("hex").slice(0, 12)}`);
if (!text.includes('"/assets/')) throw new Error("the service worker's list of files was not written");
writeFileSync(worker, text);

for (const path of paths) {
  if (!/\.(js|css|html|svg|webmanifest)$/.test(path)) continue;
  const data = readFileSync(path);
  writeFileSync(`${path}.gz`, gzipSync(data, { level: 9 }));
  writeFileSync(`${path}.br`, brotliCompressSync(data));
}

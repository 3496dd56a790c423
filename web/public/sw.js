// Keeps the shell, so that the app opens on a flaky network; data is never served from a cache here.
// The build writes the list of files and a name that changes with them (tools/precompress.mjs).
const FILES = ["/index.html"];
const SHELL = "liqfield-dev";
self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(SHELL).then((c) => c.addAll(FILES)).then(() => self.skipWaiting()));
});
self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches.keys()
      .then((keys) => Promise.all(keys.filter((k) => k !== SHELL).map((k) => caches.delete(k))))
      .then(() => self.clients.claim()),
  );
});
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/api") || url.pathname === "/ws") return;
  // Files carry a hash in their name: what is kept is right. The page is asked for first.
  if (url.pathname.startsWith("/assets/")) event.respondWith(caches.match(request).then((hit) => hit ?? fetch(request)));
  else event.respondWith(fetch(request).catch(() => caches.match(request).then((hit) => hit ?? (request.mode === "navigate" ? caches.match("/index.html") : undefined) ?? Response.error())));
});
